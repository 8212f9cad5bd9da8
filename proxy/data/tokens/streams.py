"""Streams out of stores: the beginnings of many documents, copied with index arithmetic, no loop a document.

Pieces are taken shard by shard in the order of their place on disk, in chunks of a bounded number of tokens: each page
that holds a sampled token is read once, no other is touched, and the arrays of positions stay small. Left alone, the
system reads and maps 16 pages or more around each one; of a shard that is sampled thinly it is told not to, and pages
are given back after each chunk (they stay in the system's cache).
"""

import mmap
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from proxy.data.documents import Int64Array
from proxy.data.tokenizers import TokenArray

if TYPE_CHECKING:
    from proxy.data.tokens.store import TokenStore

CHUNK_TOKENS = 1 << 18  # positions of a chunk fit a core's cache
THIN = 1 / 8  # of a shard's tokens: below it, what the system reads ahead is mostly not wanted


def copy_pieces(
    open_shard: Callable[[int], TokenArray],
    bases: Int64Array,
    starts: Int64Array,
    lengths: Int64Array,
    at: Int64Array,
    out: TokenArray,
) -> None:
    """Copies tokens [starts[i], starts[i] + lengths[i]) of the shards laid end to end to out[at[i]:], for every i."""
    order = np.argsort(starts, kind="stable")
    order = order[lengths[order] > 0]
    starts, lengths, at = starts[order], lengths[order], at[order]
    shards = np.searchsorted(bases, starts, side="right") - 1
    is_thin = int(lengths.sum()) < THIN * int(bases[-1])
    for first, last in _chunks(shards, lengths):
        shard = int(shards[first])
        tokens = open_shard(shard)
        mapping = _mapping_of(tokens)
        _advise(mapping, "MADV_RANDOM" if is_thin else "MADV_NORMAL")
        part = slice(first, last)
        if last - first == 1:
            begin, count, place = int(starts[first] - bases[shard]), int(lengths[first]), int(at[first])
            out[place : place + count] = tokens[begin : begin + count]
        else:
            source = _positions(starts[part] - bases[shard], lengths[part])
            out[_positions(at[part], lengths[part])] = tokens[source]
        _advise(mapping, "MADV_DONTNEED")


def gather_stream(
    stores: Sequence["TokenStore"], source_P: Int64Array, row_P: Int64Array, length_P: Int64Array, end_of_text: int
) -> TokenArray:
    """All pieces in order, each after an end of text (`length_P` includes it), and one end of text more: inputs and
    targets are views shifted by one. Piece p is row `row_P[p]` of store `source_P[p]`."""
    at = np.cumsum(length_P) - length_P
    out: TokenArray = np.empty(int(length_P.sum()) + 1, dtype=stores[0].dtype)
    for source, store in enumerate(stores):
        mine = np.flatnonzero(source_P == source)
        store.gather(row_P[mine], length_P[mine], end_of_text, out=out, at=at[mine])
    out[-1] = end_of_text
    return out


def _mapping_of(tokens: TokenArray) -> mmap.mmap | None:
    """The mapped file under an array; None for one in memory."""
    base: Any = tokens
    while isinstance(base, np.ndarray):
        base = base.base
    return base if isinstance(base, mmap.mmap) else None


def _advise(mapping: mmap.mmap | None, advice: str) -> None:
    """Where the system takes advice."""
    if mapping is not None and hasattr(mmap, advice):
        mapping.madvise(getattr(mmap, advice))


def _chunks(shards: Int64Array, lengths: Int64Array) -> Iterator[tuple[int, int]]:
    """Runs of pieces of one shard with at most CHUNK_TOKENS tokens together, or one piece that is longer."""
    ends = np.cumsum(lengths)
    first = 0
    while first < len(lengths):
        before = int(ends[first - 1]) if first else 0
        last = int(np.searchsorted(ends, before + CHUNK_TOKENS, side="right"))
        last = min(max(last, first + 1), int(np.searchsorted(shards, shards[first], side="right")))
        yield first, last
        first = last


def _positions(starts: Int64Array, lengths: Int64Array) -> Int64Array:
    """start, start + 1, … for each piece, one after the other."""
    before = np.cumsum(lengths) - lengths
    return np.repeat(starts - before, lengths) + np.arange(int(lengths.sum()))
