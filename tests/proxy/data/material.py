"""Small corpora in every format, token stores without a tokenizer, and how often a property is tried."""

import gzip
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import zstandard
from fsspec.core import url_to_fs
from hypothesis import settings
from hypothesis import strategies as st
from pyarrow import parquet

from proxy.data.corpora import Document
from proxy.data.documents import TableBuilder
from proxy.data.shared import SharedStore, StoredFile
from proxy.data.tokens import TokenStore
from proxy.data.validation import ValidationTokens

Record = dict[str, Any]

END = 0
FORMATS = ("jsonl", "jsonl.gz", "jsonl.zst", "parquet")

few = settings(max_examples=25, deadline=None, database=None)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


def lines(records: Sequence[Record]) -> bytes:
    """JSON lines."""
    return "".join(json.dumps(record) + "\n" for record in records).encode()


def write(folder: Path, name: str, records: Sequence[Record]) -> Path:
    """A file of the format that its name says."""
    path = folder / name
    if name.endswith(".parquet"):
        parquet.write_table(pyarrow.Table.from_pylist(list(records)), path)
    elif name.endswith(".gz"):
        path.write_bytes(gzip.compress(lines(records)))
    elif name.endswith(".zst"):
        path.write_bytes(zstandard.compress(lines(records)))
    else:
        path.write_bytes(lines(records))
    return path


def records(*words: str) -> list[Record]:
    """Documents of nothing but text."""
    return [{"text": word} for word in words]


def built(documents: Sequence[Sequence[int]], fields: Sequence[Record] | None = None) -> TableBuilder:
    """The builder after these documents were read."""
    builder = TableBuilder()
    for index, tokens in enumerate(documents):
        text = " ".join(map(str, tokens))
        builder.add(Document(text=text, fields=dict(fields[index]) if fields else {}))
    return builder


def store(documents: Sequence[Sequence[int]], fields: Sequence[Record] | None = None) -> TokenStore:
    """A store whose tokens stand for themselves: a document's text is its token numbers. Rows are in key order."""
    builder = built(documents, fields)
    in_order = [documents[place] for place in np.argsort(builder.reading_order())]
    return TokenStore.in_memory(builder.table(), [np.array(tokens, dtype=np.uint16) for tokens in in_order])


def numbered(first: int, documents: int, length: int = 4) -> list[list[int]]:
    """Documents of equal length that share no token; with their end of text each costs `length` + 1."""
    return [list(range(first + i * length, first + (i + 1) * length)) for i in range(documents)]


def split_stream(stream: Sequence[int]) -> list[tuple[int, ...]]:
    """The pieces of a stream, in order, without the ends of text."""
    pieces: list[list[int]] = []
    for token in stream:
        if token == END:
            pieces.append([])
        else:
            pieces[-1].append(int(token))
    assert pieces.pop() == []
    return [tuple(piece) for piece in pieces]


def held_out(documents: Sequence[Sequence[int]]) -> ValidationTokens:
    """A validation set of these documents in this order, each a cluster."""
    builder = built(documents)
    table, rows = builder.table(), builder.reading_order()
    return ValidationTokens(
        name="held-out",
        tokens=tuple(np.array(tokens, dtype=np.uint16) for tokens in documents),
        text_bytes=table.text_bytes[rows],
        clusters=np.arange(len(documents), dtype=np.int64),
        keys=table.key[rows],
    )


@dataclass(frozen=True)
class Stored:
    """A file of a shared store, as an operator finds it there."""

    store: Any
    place: str

    def read(self) -> bytes:
        return bytes(self.store.cat_file(self.place))

    def hurt(self, how: str) -> None:
        """flip: one byte; truncate: its last byte is missing; remove."""
        content = bytearray(self.read())
        content[len(content) // 2] ^= 1
        if how == "remove":
            self.store.rm_file(self.place)
        else:
            self.store.pipe_file(self.place, bytes(content) if how == "flip" else self.read()[:-1])


def stored(shared: SharedStore, folder: str, file: StoredFile | str) -> Stored:
    """The file of a folder of the store."""
    store, root = url_to_fs(shared.url)
    return Stored(store, f"{root}/{folder}/{file if isinstance(file, str) else file.key}")


def listed(shared: SharedStore) -> list[str]:
    """All files of the store."""
    store, root = url_to_fs(shared.url)
    return sorted(name.removeprefix(f"{root}/") for name in store.find(root))
