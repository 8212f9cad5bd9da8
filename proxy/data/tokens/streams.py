"""Streams out of stores: the beginnings of many documents, copied with index arithmetic, no loop a document.

Pieces are taken shard by shard in the order of their place on disk, in chunks of a bounded number of tokens: each page
that holds a sampled token is read once, no other is touched, and the arrays of positions stay small.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from proxy.data.documents import Int64Array
from proxy.data.tokenizers import TokenArray

if TYPE_CHECKING:
    from proxy.data.tokens.store import TokenStore

CHUNK_TOKENS = 1 << 18  # positions of a chunk fit a core's cache


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
    for first, last in _chunks(shards, lengths):
        shard = int(shards[first])
        part = slice(first, last)
        if last - first == 1:
            begin, count, place = int(starts[first] - bases[shard]), int(lengths[first]), int(at[first])
            out[place : place + count] = open_shard(shard)[begin : begin + count]
            continue
        source = _positions(starts[part] - bases[shard], lengths[part])
        out[_positions(at[part], lengths[part])] = open_shard(shard)[source]


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
