"""Words of a text and their repeated n-grams, as arrays: 8 bytes a word kept, about 60 while they are found and
sorted, and no Python object a word outlives its block of a million characters.

A word is a longest run of characters that are not white space, as `str.split` cuts them. A language that writes no
spaces has words as long as its lines; word statistics say little there. W words, P positions of an n-gram.
"""

import re
from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from proxy.data.documents import Int64Array
from proxy.data.statistics.characters import (
    ALPHABETIC,
    PUNCTUATION,
    SPACE,
    WHITE_SPACE,
    ByteArray,
    as_int64,
    blocks,
    classes_of,
    code_points,
)

BoolArray = npt.NDArray[np.bool_]
IndexArray = npt.NDArray[np.signedinteger[Any]]  # int32 where the text is short enough, which halves the memory

LARGEST_INT32 = 2**31 - 1

STOP_WORDS = ("the", "be", "to", "of", "and", "that", "have", "with")  # Rae et al. 2021, section A1.1
_STOP_WORD = re.compile(rf"\b(?:{'|'.join(STOP_WORDS)})\b")


@dataclass(frozen=True, kw_only=True)
class Words:
    """`numbers_W`: equal words have equal numbers, from 0; `ends_W`: characters of the words up to and with each."""

    numbers_W: IndexArray
    ends_W: IndexArray
    counts_V: Int64Array
    alphabetic: int

    def __len__(self) -> int:
        return len(self.numbers_W)

    @property
    def characters(self) -> int:
        """Characters in words: all that are not white space."""
        return int(self.ends_W[-1]) if len(self.ends_W) else 0


@dataclass(frozen=True, kw_only=True)
class RepeatedNgrams:
    """Characters, not counting white space and none twice, that repeated n-grams of one length cover."""

    length: int
    top_characters: int
    duplicate_characters: int


def find_words(text: str) -> Words:
    """Words are told apart by their 64-bit hash: one chance in a million that two of six million distinct ones meet."""
    hashes, lengths, alphabetic = array("q"), array("q"), 0
    for block in blocks(text, WHITE_SPACE):
        words = block.split()
        hashes.extend(map(hash, words))
        lengths.extend(map(len, words))
        alphabetic += _alphabetic_words(block)
    index = np.int32 if len(text) < LARGEST_INT32 else np.int64
    distinct, numbers_W = np.unique(as_int64(hashes), return_inverse=True)
    return Words(
        numbers_W=numbers_W.astype(index),
        ends_W=np.cumsum(as_int64(lengths), dtype=index),
        counts_V=np.bincount(numbers_W, minlength=len(distinct)),
        alphabetic=alphabetic,
    )


def _alphabetic_words(block: str) -> int:
    """Words with at least one letter."""
    classes = classes_of(code_points(block))
    return _alphabetic_runs(classes, _run_starts((classes & SPACE) == 0))


def _run_starts(is_in_run: BoolArray) -> Int64Array:
    is_start = is_in_run.copy()
    is_start[1:] &= ~is_in_run[:-1]
    return np.flatnonzero(is_start)


def _alphabetic_runs(classes: ByteArray, starts: Int64Array) -> int:
    """Runs with a letter among all that stands before the next run's start."""
    if len(starts) == 0:
        return 0
    return int(np.count_nonzero(np.bitwise_or.reduceat(classes, starts) & ALPHABETIC))


def count_tokens(text: str) -> tuple[int, int]:
    """Tokens, and those with a letter: words without the marks at their ends, and each such mark by itself.

    A mark between two characters that are none belongs to its word ("don't", "3.5", "well-known").
    """
    tokens, alphabetic = 0, 0
    for block in blocks(text, WHITE_SPACE):
        classes = classes_of(code_points(block))
        is_plain = (classes & (SPACE | PUNCTUATION)) == 0
        is_inner = np.zeros(len(classes), dtype=bool)
        is_inner[1:-1] = is_plain[:-2] & is_plain[2:] & ((classes[1:-1] & PUNCTUATION) != 0)
        starts = _run_starts(is_plain | is_inner)
        is_mark = ((classes & PUNCTUATION) != 0) & ~is_inner
        tokens += len(starts) + int(np.count_nonzero(is_mark))
        alphabetic += _alphabetic_runs(classes, starts)
    return tokens, alphabetic


def count_stop_words(text: str) -> Counter[str]:
    """Occurrences of each stop word between word boundaries, in any case: "The" and "(with" count, "theme" does not."""
    found: Counter[str] = Counter()
    for block in blocks(text, WHITE_SPACE):
        found.update(_STOP_WORD.findall(block.lower()))
    return found


def repeated_ngrams(words: Words, longest: int) -> Iterator[RepeatedNgrams]:
    """For n = 2 … `longest`: characters of the commonest n-gram, and of n-grams that were seen before.

    An n-gram that occurs once is no repetition. Of n-grams equally common the one that covers most counts. A
    (n+1)-gram can repeat only where its first n words do, so after n = 2 little is left to sort.
    """
    numbers_P = words.numbers_W
    positions_P: IndexArray = np.arange(len(words), dtype=words.numbers_W.dtype)
    for length in range(2, longest + 1):
        is_inside = positions_P <= len(words) - length
        positions_P = positions_P[is_inside]
        keys_P = numbers_P[is_inside].astype(np.int64)
        keys_P *= len(words)
        keys_P += words.numbers_W[positions_P + (length - 1)]
        positions_P, sizes_G = _keep_repeated(keys_P, positions_P)
        numbers_P = np.repeat(np.arange(len(sizes_G), dtype=positions_P.dtype), sizes_G)
        yield RepeatedNgrams(
            length=length,
            top_characters=_top_characters(words, length, positions_P, sizes_G),
            duplicate_characters=_duplicate_characters(words, length, positions_P, sizes_G),
        )


def _keep_repeated(keys_P: Int64Array, positions_P: IndexArray) -> tuple[IndexArray, Int64Array]:
    """Positions whose key occurs at least twice, group by group and ascending in each; the groups' sizes, [G].

    Positions come ascending among equal keys and the sort is stable, so they stay ascending.
    """
    order = np.argsort(keys_P, kind="stable")
    keys_P, positions_P = keys_P[order], positions_P[order]
    is_first = np.ones(len(keys_P) + 1, dtype=bool)  # one more: where the last group ends
    np.not_equal(keys_P[1:], keys_P[:-1], out=is_first[1:-1])
    edges = np.flatnonzero(is_first)
    sizes = edges[1:] - edges[:-1]
    is_repeated = sizes > 1
    return positions_P[np.repeat(is_repeated, sizes)], sizes[is_repeated]


def _top_characters(words: Words, length: int, positions_P: IndexArray, sizes_G: Int64Array) -> int:
    """Of the commonest n-grams, the most that one covers."""
    if len(sizes_G) == 0:
        return 0
    most = sizes_G.max()
    tops_TP = positions_P[np.repeat(sizes_G == most, sizes_G)].reshape(-1, most)
    return int(_covers(words, length, tops_TP).sum(axis=1).max())


def _duplicate_characters(words: Words, length: int, positions_P: IndexArray, sizes_G: Int64Array) -> int:
    """What the second and later members of each group cover together."""
    if len(sizes_G) == 0:
        return 0
    is_repeat = np.ones(len(positions_P), dtype=bool)
    is_repeat[np.cumsum(sizes_G) - sizes_G] = False
    return int(_covers(words, length, np.sort(positions_P[is_repeat])).sum())


def _covers(words: Words, length: int, positions: IndexArray) -> IndexArray:
    """Characters from each position to the end of its n-gram or to the next position (last axis, ascending)."""
    ends = positions + length
    np.minimum(ends[..., :-1], positions[..., 1:], out=ends[..., :-1])
    starts = np.where(positions > 0, words.ends_W[positions - 1], 0)
    covered: IndexArray = words.ends_W[ends - 1] - starts
    return covered
