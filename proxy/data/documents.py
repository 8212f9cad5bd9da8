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
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from proxy.data.corpora import CorpusLocation, Document, read_documents
from proxy.data.hashing import UInt64Array, combine
from proxy.errors import InvalidInputError

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
    """Builds the table and the fingerprint while documents stream by; holds no text, 40 bytes a document."""

    def __init__(self) -> None:
        self._content = array("Q")  # two words a document: 128 bits of its digest
        self._text_key = array("Q")
        self._characters = array("q")
        self._text_bytes = array("q")
        self._fields: dict[str, list[Any]] = {}
        self._sum = 0
        self._total_bytes = 0

    def add(self, document: Document) -> None:
        """One document more."""
        encoded = document.text.encode()
        digest = _content_digest(encoded, document.fields)
        self._sum = (self._sum + int.from_bytes(digest, "big")) % FINGERPRINT_MODULUS
        self._content.extend((int.from_bytes(digest[:8], "big"), int.from_bytes(digest[8:16], "big")))
        self._text_key.append(_short_hash(normalise(document.text).encode()))
        self._characters.append(len(document.text))
        self._text_bytes.append(len(encoded))
        self._total_bytes += len(encoded)
        for name, value in document.fields.items():
            self._fields.setdefault(name, []).append(value)

    @property
    def progress(self) -> tuple[int, int]:
        """Documents and bytes so far."""
        return len(self._text_key), self._total_bytes

    def table(self) -> DocumentTable:
        """Everything added so far."""
        content_D2 = np.array(self._content, dtype=np.uint64).reshape(-1, 2)
        return DocumentTable(
            key=combine(content_D2[:, 0], _occurrences(content_D2)),
            text_key=np.array(self._text_key, dtype=np.uint64),
            characters=np.array(self._characters, dtype=np.int64),
            text_bytes=np.array(self._text_bytes, dtype=np.int64),
            fields=self._fields,
        )

    def empty_fields(self) -> list[str]:
        """Fields that no document has."""
        return [name for name, values in self._fields.items() if values and all(value is None for value in values)]

    def counts(self) -> CorpusCounts:
        """Counts and fingerprint of everything added so far."""
        documents, text_bytes = self.progress
        total = self._sum.to_bytes(64, "big") + documents.to_bytes(8, "big")
        return CorpusCounts(
            fingerprint=hashlib.blake2b(total, digest_size=16).hexdigest(),
            documents=documents,
            characters=sum(self._characters),
            text_bytes=text_bytes,
        )


def _occurrences(content_D2: UInt64Array) -> UInt64Array:
    """How many rows before it hold the same content, a row: the members of a group are numbered 0, 1, 2 …"""
    order = np.lexsort((content_D2[:, 1], content_D2[:, 0]))
    ordered = content_D2[order]
    is_first = np.ones(len(order), dtype=bool)
    is_first[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    starts = np.flatnonzero(is_first)
    occurrences = np.empty(len(order), dtype=np.uint64)
    occurrences[order] = np.arange(len(order)) - np.repeat(starts, np.diff([*starts, len(order)]))
    return occurrences


def _content_digest(encoded: bytes, fields: dict[str, Any]) -> bytes:
    """64 bytes of a document's text and the fields used; the length keeps the two apart."""
    hasher = hashlib.blake2b(len(encoded).to_bytes(8, "big") + encoded)
    if fields:
        hasher.update(json.dumps(fields, sort_keys=True).encode())
    return hasher.digest()


def _short_hash(content: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "big")


EMPTY_TEXT_KEY = _short_hash(b"")  # what texts of nothing but white space share


def normalise(text: str) -> str:
    """NFC, case folded, runs of white space as one space: the identity that exact dedup and leak checks use."""
    return " ".join(unicodedata.normalize("NFC", text).casefold().split())


def follow(location: CorpusLocation, builder: TableBuilder, progress: Progress | None = None) -> Iterator[Document]:
    """Reads a corpus through `builder`. InvalidInputError for a corpus without documents or a field none has."""
    for document in read_documents(location):
        builder.add(document)
        yield document
        documents, text_bytes = builder.progress
        if progress and documents % REPORT_EVERY_DOCUMENTS == 0:
            progress(documents, text_bytes)
    if builder.progress[0] == 0:
        raise InvalidInputError.at("/uri", location.uri, "holds no document")
    for name in builder.empty_fields():
        index = location.fields.index(name)
        raise InvalidInputError.at(f"/fields/{index}", name, f"no document of {location.uri} has this field")
    if progress:
        progress(*builder.progress)


def scan_corpus(location: CorpusLocation, progress: Progress | None = None) -> tuple[DocumentTable, CorpusCounts]:
    """Reads a corpus to its end."""
    builder = TableBuilder()
    for _ in follow(location, builder, progress):
        pass
    return builder.table(), builder.counts()
