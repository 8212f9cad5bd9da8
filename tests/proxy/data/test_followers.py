"""What is counted of a stream in blocks is what is counted of it whole, to the bit, in memory that does not grow."""

import tracemalloc
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.data.followers import Followers, groups_of_contexts
from proxy.data.ngrams import NgramBounds, _held_out_pairs, bounds_in_blocks
from proxy.data.tokenizers import TokenArray
from proxy.data.validation import ValidationTokens
from tests.proxy.data.material import END, few, held_out
from tests.proxy.data.test_ngrams import stream_of

tokens = st.lists(st.integers(0, 20), min_size=1, max_size=60)
cuts = st.lists(st.integers(0, 200), max_size=6)


def whole(stream: TokenArray, validation: ValidationTokens, vocabulary: int) -> NgramBounds:
    """As it was computed of a stream that lies in memory, before blocks."""
    trained = stream.astype(np.int64)
    context, token = _held_out_pairs(validation, int(trained[0]))
    unigram_V = np.bincount(trained[:-1], minlength=vocabulary).astype(np.float64) + 1.0
    unigram_V /= unigram_V.sum()
    pairs, counts = np.unique(trained[:-2] * vocabulary + trained[1:-1], return_counts=True)
    follower_total_V = np.bincount(pairs // vocabulary, weights=counts, minlength=vocabulary)
    distinct_V = np.bincount(pairs // vocabulary, minlength=vocabulary).astype(np.float64)
    wanted = context * vocabulary + token
    found = np.searchsorted(pairs, wanted)
    seen = np.where(np.append(pairs, -1)[found] == wanted, np.append(counts, 0)[found], 0)
    total = follower_total_V[context] + distinct_V[context]
    mixed = (seen + distinct_V[context] * unigram_V[token]) / np.maximum(total, 1)
    bigram = np.where(total > 0, mixed, unigram_V[token])
    return NgramBounds(unigram_nats=float(-np.log(unigram_V[token]).mean()), bigram_nats=float(-np.log(bigram).mean()))


def in_blocks(stream: TokenArray, places: list[int]) -> list[TokenArray]:
    return np.split(stream, sorted(place % (len(stream) + 1) for place in places))


documents = st.lists(st.lists(st.integers(1, 99), min_size=1, max_size=40), min_size=1, max_size=8)


@few
@given(documents, documents, cuts, st.sampled_from([100, 107, 128]), st.sampled_from([1, 13, 40, 1 << 20]))
def test_bounds_in_blocks_are_those_of_the_whole_stream_to_the_bit(
    train: list[list[int]], validation: list[list[int]], places: list[int], vocabulary: int, most_bytes: int
) -> None:
    stream = np.array(stream_of(train), dtype=np.uint16)
    held = held_out(validation)
    found = bounds_in_blocks(lambda: in_blocks(stream[:-1], places), held, vocabulary, END, most_bytes)
    assert found == whole(stream, held, vocabulary)


def test_a_long_stream_of_a_large_vocabulary_too() -> None:
    rng = np.random.default_rng(0)
    vocabulary = 4096
    stream = np.append(np.append(END, rng.zipf(1.2, 200_000) % vocabulary), END).astype(np.uint16)
    held = held_out([(rng.zipf(1.2, 300) % vocabulary).tolist() for _ in range(40)])
    expected = whole(stream, held, vocabulary)
    for size in (1_000, 65_536, 1 << 20):
        blocks = [stream[:-1][start : start + size] for start in range(0, len(stream) - 1, size)]
        assert bounds_in_blocks(lambda blocks=blocks: blocks, held, vocabulary, END) == expected  # type: ignore[misc]


@few
@given(tokens, cuts, st.sets(st.integers(0, 20), min_size=1), st.lists(st.integers(0, 21 * 21 - 1), max_size=9))
def test_followers_are_counted_as_by_hand(
    stream: list[int], places: list[int], contexts: set[int], asked: list[int]
) -> None:
    followers = Followers(np.array(sorted(contexts)), np.unique(np.array(asked, dtype=np.int64)), 21)
    begun: list[int] = []
    for block in in_blocks(np.array(stream, dtype=np.uint16), places):
        if len(block):
            followers.add(np.array([*begun, *block.tolist()], dtype=np.uint16))
            begun = [int(block[-1])]
    after: dict[int, Counter[int]] = defaultdict(Counter)
    for context, token in pairwise(stream):
        after[context][token] += 1
    found = followers.counts()
    assert found.wanted.tolist() == sorted({code for code in asked if code // 21 in contexts})
    assert found.seen.tolist() == [after[code // 21][code % 21] for code in found.wanted.tolist()]
    assert found.total_V.tolist() == [after[one].total() if one in contexts else 0 for one in range(21)]
    assert found.distinct_V.tolist() == [len(after[one]) if one in contexts else 0 for one in range(21)]


def test_contexts_are_taken_in_groups_that_fit() -> None:
    groups = list(groups_of_contexts(np.arange(10), 16, 7))
    assert [len(group) for group in groups] == [3, 3, 3, 1]
    assert np.concatenate(groups).tolist() == list(range(10))
    assert [len(group) for group in groups_of_contexts(np.arange(2), 16, 0)] == [1, 1]


def blocks_of(count: int) -> Iterator[TokenArray]:
    rng = np.random.default_rng(1)
    for _ in range(count):
        yield rng.integers(0, 500, 20_000).astype(np.uint16)


def peak_of(count: int) -> int:
    tracemalloc.start()
    bounds_in_blocks(lambda: blocks_of(count), held_out([[1, 2, 3], [7, 8]]), 500, END)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def test_memory_does_not_grow_with_the_stream() -> None:
    peak_of(1)
    assert peak_of(40) == pytest.approx(peak_of(4), rel=0.1)
