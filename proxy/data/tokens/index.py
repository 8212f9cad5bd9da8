"""The index of a store: where each document's tokens lie, in the order of the documents' keys.

`starts.npy` (position of a document's first token in the shards laid end to end) and `lengths.npy` (its tokens), each
int64[D] and memory-mapped when read. Which of several identical documents has which key is known only over all shards.
"""

import os
import uuid
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from proxy.data.documents import Int64Array
from proxy.data.hashing import UInt64Array
from proxy.data.identity import document_keys
from proxy.data.tokens.shards import Shard

INDEX_FILES = ("starts.npy", "lengths.npy")


def write_index(place: Path, shards: Sequence[Shard]) -> None:
    """Puts the rows of all shards in the order of their keys."""
    content_D2, lengths = load_content(place, shards)
    keys = document_keys(content_D2)
    del content_D2
    order = np.argsort(keys, kind="stable")
    del keys
    save_column(place / "lengths.npy", lengths[order])
    starts = np.cumsum(lengths)
    starts -= lengths
    del lengths
    save_column(place / "starts.npy", starts[order])


def load_content(place: Path, shards: Sequence[Shard]) -> tuple[UInt64Array, Int64Array]:
    """Words of all documents' digests, uint64[D, 2], and their tokens, int64[D], shard after shard."""
    documents = sum(shard.documents for shard in shards)
    content_D2 = np.empty((documents, 2), dtype=np.uint64)
    lengths = np.empty(documents, dtype=np.int64)
    row = 0
    for shard in shards:
        part = slice(row, row + shard.documents)
        content_D2[part], lengths[part] = shard.load_index(place)
        row += shard.documents
    return content_D2, lengths


def load_index(place: Path) -> tuple[Int64Array, Int64Array]:
    """Starts and lengths, int64[D], memory-mapped."""
    starts, lengths = (np.load(place / name, mmap_mode="r", allow_pickle=False) for name in INDEX_FILES)
    return starts, lengths


def save_column(path: Path, column: Int64Array) -> None:
    """The file appears whole or not at all."""
    partial = path.with_name(f".{uuid.uuid4().hex}-{path.name}")
    try:
        np.save(partial, column, allow_pickle=False)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
