"""N-gram bounds against counting by hand."""

import math
from collections import Counter, defaultdict
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.data.ngrams import progress_bounds
from tests.proxy.data.material import END, few, held_out

VOCABULARY = 6
documents = st.lists(st.lists(st.integers(1, VOCABULARY - 1), min_size=1, max_size=8), min_size=1, max_size=5)


def stream_of(docs: list[list[int]]) -> list[int]:
    return [token for document in docs for token in (END, *document)] + [END]


def brute_force(stream: list[int], validation: list[list[int]]) -> tuple[float, float]:
    """The definitions, one token at a time; the stream's last end of text is not a training token."""
    trained = stream[:-1]
    counts = Counter(trained)
    followers: dict[int, Counter[int]] = defaultdict(Counter)
    for context, token in pairwise(trained):
        followers[context][token] += 1
    uni, bi = [], []
    for document in validation:
        for context, token in zip([END, *document], document, strict=False):
            p_uni = (counts[token] + 1) / (len(trained) + VOCABULARY)
            after = followers[context]
            n, types = sum(after.values()), len(after)
            p_bi = (after[token] + types * p_uni) / (n + types) if n else p_uni
            uni.append(-math.log(p_uni))
            bi.append(-math.log(p_bi))
    return sum(uni) / len(uni), sum(bi) / len(bi)


@few
@given(documents, documents)
def test_bounds_are_what_counting_by_hand_gives(train: list[list[int]], validation: list[list[int]]) -> None:
    stream = stream_of(train)
    bounds = progress_bounds(np.array(stream, dtype=np.uint16), held_out(validation), VOCABULARY)
    assert (bounds.unigram_nats, bounds.bigram_nats) == pytest.approx(brute_force(stream, validation))


@few
@given(documents)
def test_both_models_are_distributions(train: list[list[int]]) -> None:
    stream = np.array(stream_of(train), dtype=np.uint16)
    every_token = [progress_bounds(stream, held_out([[token]]), VOCABULARY) for token in range(VOCABULARY)]
    assert sum(math.exp(-bounds.unigram_nats) for bounds in every_token) == pytest.approx(1)
    assert sum(math.exp(-bounds.bigram_nats) for bounds in every_token) == pytest.approx(1)


def test_a_stream_too_short_for_a_pair_falls_back_to_the_unigrams() -> None:
    bounds = progress_bounds(np.array([END, END], dtype=np.uint16), held_out([[1, 2]]), VOCABULARY)
    assert bounds.unigram_nats == bounds.bigram_nats == pytest.approx(math.log(7))


def test_order_is_worth_something_where_words_follow_each_other() -> None:
    regular = [[1, 2, 3, 4, 5] * 20]
    bounds = progress_bounds(np.array(stream_of(regular * 5), dtype=np.uint16), held_out(regular), VOCABULARY)
    assert bounds.bigram_nats < 0.1 < 1.5 < bounds.unigram_nats
