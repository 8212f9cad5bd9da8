"""Which token follows which, counted while a stream passes by in blocks; memory does not grow with the stream.

Asked for are some pairs (how often each occurs) and their contexts (how many tokens follow each, and how many different
ones). Of the last it is enough to know of each pair whether it occurred: one bit, in rows of whole bytes.

V: the vocabulary, C: contexts that are asked for, W: distinct pairs that are asked for, P: pairs of a block, K: its
distinct ones. A pair's code is context · V + token.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from proxy.data.documents import Int64Array
from proxy.data.tokenizers import TokenArray

Float64Array = npt.NDArray[np.float64]
UInt8Array = npt.NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class PairCounts:
    """`wanted`, int64[W], ascending codes, and how often each was `seen`; of every context how many tokens followed it,
    `total_V`, and how many different ones, `distinct_V`, 0 for those that nobody asked for."""

    wanted: Int64Array
    seen: Int64Array
    total_V: Float64Array
    distinct_V: Float64Array

    def joined(self, other: "PairCounts") -> "PairCounts":
        """With the counts of other, greater contexts."""
        return PairCounts(
            wanted=np.concatenate([self.wanted, other.wanted]),
            seen=np.concatenate([self.seen, other.seen]),
            total_V=self.total_V + other.total_V,
            distinct_V=self.distinct_V + other.distinct_V,
        )


class Followers:
    """Counts what follows the contexts `context_C` (distinct, ascending), and those of the pairs `wanted` (codes, so
    too) that begin with one of them."""

    def __init__(self, context_C: Int64Array, wanted: Int64Array, vocabulary: int) -> None:
        self._context_C, self._vocabulary = context_C, vocabulary
        self._row_V = np.full(vocabulary, -1, dtype=np.int64)
        self._row_V[context_C] = np.arange(len(context_C))
        self._wanted = wanted[self._row_V[wanted // vocabulary] >= 0]
        self._seen = np.zeros(len(self._wanted), dtype=np.int64)
        self._total_C = np.zeros(len(context_C), dtype=np.int64)
        self._bits: UInt8Array = np.zeros(len(context_C) * row_bytes(vocabulary), dtype=np.uint8)

    def add(self, tokens: TokenArray) -> None:
        """Pairs within these tokens; the next block begins with the last of them."""
        flat = tokens.astype(np.int64)
        row_P = self._row_V[flat[:-1]]
        is_asked_P = row_P >= 0
        self._total_C += np.bincount(row_P[is_asked_P], minlength=len(self._context_C))
        code_P = flat[:-1][is_asked_P] * self._vocabulary + flat[1:][is_asked_P]
        code_P.sort()
        self._seen += np.searchsorted(code_P, self._wanted, side="right")
        self._seen -= np.searchsorted(code_P, self._wanted, side="left")
        is_first_P = np.ones(len(code_P), dtype=bool)
        np.not_equal(code_P[1:], code_P[:-1], out=is_first_P[1:])
        self._mark(code_P[is_first_P])

    def counts(self) -> PairCounts:
        """Of all blocks so far."""
        total_V, distinct_V = np.zeros(self._vocabulary), np.zeros(self._vocabulary)
        total_V[self._context_C] = self._total_C
        bits_CB = self._bits.reshape(len(self._context_C), -1)
        distinct_V[self._context_C] = np.bitwise_count(bits_CB).sum(axis=1, dtype=np.int64)
        return PairCounts(wanted=self._wanted, seen=self._seen, total_V=total_V, distinct_V=distinct_V)

    def _mark(self, code_K: Int64Array) -> None:
        """Sets the bits of distinct pairs, one of the eight in a byte after the other: pairs that share a byte would
        overwrite each other's."""
        context_K, token_K = np.divmod(code_K, self._vocabulary)
        byte_K = self._row_V[context_K] * row_bytes(self._vocabulary) + (token_K >> 3)
        for bit in range(8):
            self._bits[byte_K[token_K & 7 == bit]] |= np.uint8(1 << bit)


def row_bytes(vocabulary: int) -> int:
    """A bit for each token that may follow."""
    return (vocabulary + 7) // 8


def groups_of_contexts(context_C: Int64Array, vocabulary: int, most_bytes: int) -> Iterator[Int64Array]:
    """Contexts whose bits together take at most so many bytes, or one alone."""
    together = max(most_bytes // row_bytes(vocabulary), 1)
    for start in range(0, len(context_C), together):
        yield context_C[start : start + together]
