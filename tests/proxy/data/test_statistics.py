"""Text statistics against counting by hand, on real text, and on texts that break careless code."""

import argparse
import ast
import base64
import doctest
import heapq
import inspect
import math
import os
import pdb
import site
import string
import subprocess
import sys
import tempfile
import tokenize
import tracemalloc
from collections import Counter

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from proxy.data.statistics import STATISTICS, column_name, compute_many, find_statistic, measure
from proxy.data.statistics import characters as characters_module
from proxy.data.statistics.characters import WHITE_SPACE, blocks
from proxy.data.statistics.lines import count_sentences
from proxy.errors import InvalidInputError
from tests.proxy.data.material import few

MEGABYTE = 1_000_000
any_text = st.text(st.characters(exclude_categories=[]), max_size=60)
few_words = st.lists(st.sampled_from(["a", "bb", "ccc"]), max_size=40)
structured = st.lists(
    st.sampled_from(["the", "a-b.", "…", "...", "#", "{", "7", "\n", " ", "\n\n", "«x»", "。"]), max_size=40
)

PROSE = (
    "The report was written in the spring of that year, and it found that most of the wells had run dry. "
    "People who have lived with drought know what to do: they dig deeper, or they wait for the rain to come. "
    "Neither was of much use here, for the rock lies close to the surface and the clouds pass without a drop. "
    "It is said to be the price of living with such a view.\n"
)


def value(name: str, text: str) -> float:
    return measure(text, [name])[0]


def values(text: str) -> dict[str, float]:
    return dict(zip(STATISTICS, measure(text, list(STATISTICS)), strict=True))


@few
@given(any_text | structured.map("".join) | structured.map(" ".join))
@example("")
@example(" \n\t")
@example("x")
@example("😀")
@example("\ud800 lone surrogate")
@example("中文没有空格。" * 50)
@example("\n" * 100)
@example("THE-THE")
def test_every_statistic_is_finite_and_every_share_is_one(text: str) -> None:
    for name, number in values(text).items():
        assert math.isfinite(number), name
        assert number >= 0, name
        if name == "stop_word_share":
            assert number <= len(text) / 3  # occurrences a word, and a word may be made of several
        elif name.endswith("share") or name == "prose_quality":
            assert number <= 1, name


@few
@given(structured.map(" ".join))
def test_a_statistic_is_the_same_alone_and_among_others(text: str) -> None:
    together = compute_many(text, STATISTICS.values())
    assert together == [statistic.compute(text) for statistic in STATISTICS.values()]


def test_sizes_are_what_counting_by_hand_gives() -> None:
    text = "# Héading…\n\n- one point 42\n  - TWO points...\nThe end, of it.\n"
    found = values(text)
    assert found["characters"] == len(text)
    assert found["utf8_bytes"] == len(text) + 1 + 2
    assert (found["words"], found["lines"], found["paragraphs"], found["sentences"]) == (13, 4, 2, 3)
    assert found["bullet_line_share"] == 2 / 4
    assert found["ellipsis_line_share"] == 2 / 4
    assert found["terminal_punctuation_line_share"] == 3 / 4
    assert found["short_line_share"] == 1
    assert found["newline_ratio"] == 5 / 13
    assert found["symbol_to_word_ratio"] == 2 / 13
    assert found["alphabetic_word_share"] == 9 / 13
    assert (found["stop_words"], found["stop_word_share"]) == (2, 2 / 13)
    assert found["longest_line"] == len("  - TWO points...")
    assert found["digit_share"] == 2 / len(text)
    assert found["uppercase_share"] == 5 / len(text)
    assert found["non_ascii_share"] == 2 / len(text)


@few
@given(any_text)
def test_character_shares_are_what_python_says_of_each_character(text: str) -> None:
    whole = max(len(text), 1)
    assert value("alphabetic_share", text) == sum(map(str.isalpha, text)) / whole
    assert value("white_space_share", text) == sum(map(str.isspace, text)) / whole
    assert value("uppercase_share", text) == sum(map(str.isupper, text)) / whole
    assert value("non_ascii_share", text) == sum(not c.isascii() for c in text) / whole


@few
@given(any_text | structured.map(" ".join))
def test_word_statistics_are_what_split_gives(text: str) -> None:
    words = text.split()
    count = max(len(words), 1)
    assert value("words", text) == len(words)
    assert value("mean_word_length", text) == pytest.approx(sum(map(len, words)) / count)
    assert value("alphabetic_word_share", text) == sum(any(map(str.isalpha, word)) for word in words) / count
    assert value("unique_word_share", text) == len(set(words)) / count
    entropy = -sum(n / count * math.log2(n / count) for n in Counter(words).values())
    assert value("word_entropy", text) == pytest.approx(entropy, abs=1e-8)


def test_a_process_with_other_hashes_measures_the_same() -> None:
    program = "import sys; from proxy.data.statistics import *; print(measure(sys.argv[1], list(STATISTICS)))"
    text = PROSE * 3 + "\n\n" + PROSE
    printed = {
        subprocess.run(
            [sys.executable, "-c", program, text],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert printed == {f"{measure(text, list(STATISTICS))}\n".encode()}


def test_all_punctuation_of_ascii_is_punctuation() -> None:
    assert value("punctuation_share", string.punctuation) == 1
    assert value("punctuation_share", string.ascii_letters + string.digits + " \n") == 0


def brute_force_ngrams(words: list[str], n: int) -> tuple[float, float]:
    """Share of the commonest n-gram and of n-grams seen before, one n-gram at a time."""
    grams = [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]
    counts = Counter(grams)
    most = max(counts.values(), default=0)
    covers: dict[tuple[str, ...], set[int]] = {}
    repeated: set[int] = set()
    seen: set[tuple[str, ...]] = set()
    for i, gram in enumerate(grams):
        if counts[gram] == most > 1:
            covers.setdefault(gram, set()).update(range(i, i + n))
        if gram in seen:
            repeated.update(range(i, i + n))
        seen.add(gram)
    whole = max(sum(map(len, words)), 1)
    top = max((sum(len(words[i]) for i in cover) for cover in covers.values()), default=0)
    return top / whole, sum(len(words[i]) for i in repeated) / whole


@given(few_words)
@example(["a"] * 30)
@example(["a", "bb", "ccc", "a", "bb"] * 6)
def test_ngram_shares_are_what_brute_force_gives(words: list[str]) -> None:
    text = " ".join(words)
    for n in (2, 3, 4):
        assert value(f"top_{n}_gram_share", text) == brute_force_ngrams(words, n)[0]
    for n in range(5, 11):
        assert value(f"duplicate_{n}_gram_share", text) == brute_force_ngrams(words, n)[1]


@given(st.lists(st.sampled_from(["", "a", "bb", "  a", "a \t"]), max_size=20))
def test_duplicate_lines_are_what_brute_force_gives(lines: list[str]) -> None:
    kept = [line.rstrip() for line in lines if line.strip()]
    repeats = [line for i, line in enumerate(kept) if line in kept[:i]]
    text = "\n".join(lines)
    assert value("duplicate_line_share", text) == len(repeats) / max(len(kept), 1)
    characters = max(sum(map(len, kept)), 1)
    assert value("duplicate_line_character_share", text) == sum(map(len, repeats)) / characters


def test_a_paragraph_repeats_only_as_a_whole() -> None:
    text = "one\ntwo\n\n\nthree\n \none\ntwo\n\nthree\ntwo\n"
    found = values(text)
    assert found["paragraphs"] == 4
    assert found["duplicate_paragraph_share"] == 1 / 4
    assert found["duplicate_paragraph_character_share"] == 6 / (6 + 5 + 6 + 8)


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("", 0),
        ("...", 1),
        ("One. Two! Three?", 3),
        ('He said "no." Then (yes!) he left', 3),
        ("Version 3.5 of a.b is out...", 1),
        ("没有空格。真的！好吗？", 3),
        ("no end", 1),
        ("ended. \n--\n", 1),
    ],
)
def test_sentences_end_with_marks_before_white_space(text: str, sentences: int) -> None:
    assert count_sentences(text) == sentences


def test_marks_at_the_ends_of_words_are_tokens_without_a_letter() -> None:
    assert value("alphabetic_token_share", "“Don't,” he said (well-known 3.5).") == 4 / 11
    assert value("alphabetic_word_share", "“Don't,” he said (well-known 3.5).") == 4 / 5


def test_c4_counts_sentences_only_on_lines_that_it_keeps() -> None:
    kept = "This line has five words. It has two sentences[12]."
    assert value("c4_sentences", kept) == 2
    dropped = [
        "Four words are few.",
        "This line has no mark at its end",
        "This line trails off like so...",
        "Please enable Javascript to see this page.",
        "By reading on you accept our Privacy Policy here.",
        f"There is a word of over {'x' * 1001} characters here.",
    ]
    assert value("c4_sentences", "\n".join([*dropped, kept])) == 2
    assert value("javascript_lines", "\n".join(dropped)) == 1
    assert value("policy_lines", "\n".join(dropped)) == 1
    assert value("lorem_ipsum", "Lorem ipsum dolor. LOREM IPSUM") == 2


def test_a_text_in_many_blocks_measures_as_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    text = (PROSE + "\nÉ is no ASCII…\n\n" + PROSE[:60]) * 9
    whole = values(text)
    monkeypatch.setattr(characters_module, "BLOCK_CHARACTERS", 7)
    assert values(text) == whole


@few
@given(any_text)
def test_blocks_are_the_text_and_cut_no_word(text: str) -> None:
    assert "".join(blocks(text, WHITE_SPACE)) == text


@pytest.mark.parametrize("piece", ["a", "\n", " ", ".", "[1", "a.\n", "é ", "x.'", "a b ", "the\n\n", "。", "-"])
def test_a_quarter_megabyte_of_one_thing_takes_linear_memory_and_ends(piece: str) -> None:
    peaks = []
    for characters in (MEGABYTE // 16, MEGABYTE // 4):
        text = (piece * (characters // len(piece))) + "x"  # the end that makes careless patterns backtrack
        tracemalloc.start()
        assert all(map(math.isfinite, measure(text, list(STATISTICS))))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 6 * peaks[0]
    assert peaks[1] < 20 * MEGABYTE


def prose_quality_of(*texts: str) -> list[float]:
    return [value("prose_quality", text) for text in texts]


def test_the_prose_score_orders_real_texts_sensibly() -> None:
    modules = (argparse, ast, doctest, heapq, pdb, site, tempfile, tokenize)
    described = prose_quality_of(PROSE, *(inspect.getdoc(module) or "" for module in modules))
    sources = [inspect.getsource(module)[5000:] for module in modules]  # without the docstring at the top
    code = prose_quality_of(*sources)
    minified = prose_quality_of(*("".join(source.split()) for source in sources))
    noise = prose_quality_of(base64.encodebytes(np.random.default_rng(0).bytes(4000)).decode())
    table = prose_quality_of("\n".join(f"{i}\t{i * i}\t{i * 17 % 101}" for i in range(300)))
    assert min(described) > max(code)
    assert min(code) > max(*minified, *noise, *table)
    assert max(*minified, *noise, *table) < 0.3


def test_the_prose_score_falls_with_each_fault() -> None:
    good = value("prose_quality", PROSE)
    assert value("prose_quality", PROSE.upper()) < good
    assert value("prose_quality", PROSE * 40) < good
    assert value("prose_quality", " ".join(PROSE)) < good
    assert value("prose_quality", PROSE.replace(" the ", " ").replace(" of ", " ").replace(" to ", " ")) < good
    assert value("prose_quality", PROSE.replace(".", "").replace(":", "")) < good
    assert value("prose_quality", "The end.") < good / 2


def test_names_and_columns_are_file_name_safe_and_carry_a_version() -> None:
    assert column_name(find_statistic("words")) == "statistic-words-v1"
    for name, statistic in STATISTICS.items():
        assert statistic.name == name
        assert column_name(statistic).replace("-", "").replace("_", "").isalnum()
        assert statistic.description


def test_an_unknown_statistic_is_refused_with_its_name_and_the_known_ones() -> None:
    with pytest.raises(InvalidInputError, match=r"/filters/0/statistic: is no text statistic.*words.*'wrods'"):
        find_statistic("wrods", "/filters/0/statistic")
