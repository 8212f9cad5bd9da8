"""Signatures: what they estimate, and that they are the same everywhere."""

import os
import subprocess
import sys
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.data.near_duplicates import NearDuplicates, signature
from proxy.errors import InvalidInputError
from tests.proxy.data.material import few
from tests.proxy.data.planted import edited, jaccard, real_texts, shingles

DEFAULT = NearDuplicates()


@pytest.mark.parametrize(
    ("values", "pointer"),
    [
        ({"shingle_words": 0}, "/shingle_words"),
        ({"bands": -1}, "/bands"),
        ({"rows": 2.5}, "/rows"),
        ({"rows": True}, "/rows"),
        ({"bands": 103, "rows": 5}, "/bands"),
        ({"similarity": 0.0}, "/similarity"),
        ({"similarity": 1.01}, "/similarity"),
        ({"similarity": float("nan")}, "/similarity"),
        ({"similarity": "high"}, "/similarity"),
    ],
)
def test_bad_settings_are_refused_by_name(values: dict[str, Any], pointer: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        NearDuplicates(**values)
    assert [problem.pointer for problem in refused.value.problems] == [pointer]


def test_all_that_is_wrong_is_named_at_once() -> None:
    with pytest.raises(InvalidInputError) as refused:
        NearDuplicates(shingle_words=0, rows=0, similarity=2)
    assert [problem.pointer for problem in refused.value.problems] == ["/shingle_words", "/rows", "/similarity"]


def test_a_signature_has_a_number_for_each_row_of_each_band() -> None:
    made = signature("one two three four five six", NearDuplicates(bands=3, rows=4))
    assert (made.shape, made.dtype) == ((12,), np.uint32)


@few
@given(st.lists(st.text("abÄé", min_size=1, max_size=3), max_size=12))
def test_case_and_white_space_do_not_matter(words: list[str]) -> None:
    plain, spread = signature(" ".join(words), DEFAULT), signature(" \n".join(words).upper() + "\t", DEFAULT)
    assert plain.tolist() == spread.tolist()


def test_a_text_shorter_than_a_shingle_is_one_shingle() -> None:
    short, same, other = (signature(text, DEFAULT) for text in ("two words", "Two  words", "two word"))
    assert (short == same).all()
    assert (short == other).mean() < 0.05


def test_texts_without_words_share_a_signature_that_no_word_has() -> None:
    empty = signature("", DEFAULT)
    assert (empty == signature(" \n", DEFAULT)).all()
    assert not (empty == signature("a", DEFAULT)).any()


def test_repeating_a_shingle_changes_nothing_because_shingles_are_a_set() -> None:
    once, often = "a b c d e " * 3, "a b c d e " * 30
    assert (signature(once, DEFAULT) == signature(often, DEFAULT)).all()


def test_agreement_estimates_the_similarity_without_bias_and_with_the_binomial_error() -> None:
    generator = np.random.default_rng(5)
    errors, variances = [], []
    for text in real_texts(300, 120):
        copy = edited(text, generator.uniform(0.3, 1), generator)
        true = jaccard(shingles(text), shingles(copy))
        errors.append(float((signature(text, DEFAULT) == signature(copy, DEFAULT)).mean()) - true)
        variances.append(true * (1 - true) / DEFAULT.hashes)
    standard_error = np.sqrt(np.mean(variances) / len(errors))
    assert abs(np.mean(errors)) < 4 * standard_error
    assert np.mean(np.square(errors)) == pytest.approx(np.mean(variances), rel=0.35)  # 4 sd of a mean square of 300


def test_neither_the_process_nor_its_hash_seed_changes_a_signature() -> None:
    program = (
        "from proxy.data.near_duplicates import *; print(signature('a b c d e f g', NearDuplicates(bands=1)).tolist())"
    )
    here = str(signature("a b c d e f g", NearDuplicates(bands=1)).tolist())
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)}
        there = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, check=True)
        assert there.stdout.decode().strip() == here


@pytest.mark.parametrize("text", ["word and word " * 500_000, "x" * 7_000_000], ids=["many words", "one word"])
def test_a_long_document_needs_a_few_copies_of_its_bytes_and_no_more(text: str) -> None:
    signature("warm the caches of powers", DEFAULT)
    tracemalloc.start()
    signature(text, DEFAULT)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 5 * len(text) + 20_000_000
    # A Python object a word alone would be more than this.


def test_the_probability_to_be_compared_is_that_of_the_published_banding() -> None:
    # FineWeb, Penedo et al., NeurIPS 2024: 56, 77, 92 and 98.8 % at 0.7, 0.75, 0.8 and 0.85.
    chances = [DEFAULT.candidate_probability(similarity) for similarity in (0.7, 0.75, 0.8, 0.85)]
    assert chances == pytest.approx([0.56, 0.77, 0.92, 0.988], abs=0.006)


def test_only_what_changes_the_numbers_changes_the_columns_name() -> None:
    assert NearDuplicates(bands=7, rows=16, similarity=0.5).column_name == DEFAULT.column_name
    assert NearDuplicates(shingle_words=3).column_name != DEFAULT.column_name != NearDuplicates(bands=13).column_name
