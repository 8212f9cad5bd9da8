"""The table of a corpus's documents: what filters, dedup, leak checks and plans need to know without the text.

`key` names a document by its content, so that plans do not depend on file names or order; identical documents are
told apart by how often the same content came before. `text_key` names the normalised text: exact duplicates share it.
"""

import hashlib
import io
import json
import os
import unicodedata
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from proxy.data.corpora import CorpusLocation, Document, read_documents
from proxy.errors import InvalidInputError

UInt64Array = npt.NDArray[np.uint64]
Int64Array = npt.NDArray[np.int64]
Progress = Callable[[int, int], None]

FINGERPRINT_MODULUS = 1 << 512
REPORT_EVERY_DOCUMENTS = 1000


@dataclass(frozen=True, kw_only=True)
class CorpusCounts:
    """What a corpus holds. The fingerprint does not depend on file format, compression, names or order."""

    fingerprint: str
    documents: int
    characters: int
    text_bytes: int


@dataclass(frozen=True, kw_only=True)
class DocumentTable:
    """One row a document, in reading order; `fields` hold JSON values."""

    key: UInt64Array
    text_key: UInt64Array
    characters: Int64Array
    text_bytes: Int64Array
    fields: dict[str, list[Any]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.key)

    def save(self, folder: Path) -> None:
        """Writes the table into `folder`; each file appears whole or not at all."""
        folder.mkdir(parents=True, exist_ok=True)
        content = io.BytesIO()
        np.savez(
            content,
            key=self.key,
            text_key=self.text_key,
            characters=self.characters,
            text_bytes=self.text_bytes,
        )
        _write_whole(folder / "fields.json", json.dumps(self.fields).encode())
        _write_whole(folder / "documents.npz", content.getvalue())

    @classmethod
    def load(cls, folder: Path) -> "DocumentTable":
        """Reads what `save` wrote."""
        with np.load(folder / "documents.npz", allow_pickle=False) as arrays:
            columns = {name: arrays[name] for name in arrays.files}
        return cls(**columns, fields=json.loads((folder / "fields.json").read_bytes()))


def _write_whole(path: Path, content: bytes) -> None:
    partial = path.with_name(f".{path.name}-{uuid.uuid4().hex}")
    partial.write_bytes(content)
    os.replace(partial, path)


class TableBuilder:
    """Builds the table and the fingerprint while documents stream by; holds no text."""

    def __init__(self) -> None:
        self._rows: list[tuple[int, int, int, int]] = []
        self._fields: dict[str, list[Any]] = {}
        self._seen: Counter[bytes] = Counter()
        self._sum = 0
        self._characters = self._text_bytes = 0

    def add(self, document: Document) -> None:
        """One document more."""
        encoded = document.text.encode()
        digest = _content_digest(encoded, document.fields)
        self._sum = (self._sum + int.from_bytes(digest, "big")) % FINGERPRINT_MODULUS
        content = digest[:16]
        occurrence = self._seen[content]
        self._seen[content] += 1
        key = _short_hash(content + occurrence.to_bytes(8, "big"))
        text_key = _short_hash(normalise(document.text).encode())
        self._rows.append((key, text_key, len(document.text), len(encoded)))
        self._characters += len(document.text)
        self._text_bytes += len(encoded)
        for name, value in document.fields.items():
            self._fields.setdefault(name, []).append(value)

    @property
    def progress(self) -> tuple[int, int]:
        """Documents and bytes so far."""
        return len(self._rows), self._text_bytes

    def table(self) -> DocumentTable:
        """Everything added so far."""
        unsigned = np.array([row[:2] for row in self._rows], dtype=np.uint64).reshape(-1, 2)
        sizes = np.array([row[2:] for row in self._rows], dtype=np.int64).reshape(-1, 2)
        return DocumentTable(
            key=unsigned[:, 0].copy(),
            text_key=unsigned[:, 1].copy(),
            characters=sizes[:, 0].copy(),
            text_bytes=sizes[:, 1].copy(),
            fields=self._fields,
        )

    def counts(self) -> CorpusCounts:
        """Counts and fingerprint of everything added so far."""
        total = self._sum.to_bytes(64, "big") + len(self._rows).to_bytes(8, "big")
        return CorpusCounts(
            fingerprint=hashlib.blake2b(total, digest_size=16).hexdigest(),
            documents=len(self._rows),
            characters=self._characters,
            text_bytes=self._text_bytes,
        )


def _content_digest(encoded: bytes, fields: dict[str, Any]) -> bytes:
    """64 bytes of a document's text and the fields used."""
    hasher = hashlib.blake2b(encoded)
    if fields:
        hasher.update(b"\0" + json.dumps(fields, sort_keys=True, default=str).encode())
    return hasher.digest()


def _short_hash(content: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "big")


def normalise(text: str) -> str:
    """NFC, case folded, runs of white space as one space: the identity that exact dedup and leak checks use."""
    return " ".join(unicodedata.normalize("NFC", text).casefold().split())


def follow(location: CorpusLocation, builder: TableBuilder, progress: Progress | None = None) -> Iterator[Document]:
    """Reads a corpus through `builder`. InvalidInputError at /uri for a corpus without documents."""
    for document in read_documents(location):
        builder.add(document)
        yield document
        documents, text_bytes = builder.progress
        if progress and documents % REPORT_EVERY_DOCUMENTS == 0:
            progress(documents, text_bytes)
    if builder.progress[0] == 0:
        raise InvalidInputError.at("/uri", location.uri, "holds no document")
    if progress:
        progress(*builder.progress)


def scan_corpus(location: CorpusLocation, progress: Progress | None = None) -> tuple[DocumentTable, CorpusCounts]:
    """Reads a corpus to its end."""
    builder = TableBuilder()
    for _ in follow(location, builder, progress):
        pass
    return builder.table(), builder.counts()
