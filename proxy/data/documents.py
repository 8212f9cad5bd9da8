"""The table of a corpus's documents: what filters, dedup, leak checks and plans need to know without the text.

`key` names a document by its content, so that plans do not depend on file names or order; identical documents are
told apart by how often the same content came before. `text_key` names the normalised text: exact duplicates share it.
Rows stand in the order of `key`, and so does every other array of a corpus that has one value a document.
"""

import hashlib
import json
import unicodedata
from array import array
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from proxy.data.arrays import map_array, save_array, save_json
from proxy.data.corpora import CorpusLocation, Document, read_documents
from proxy.data.fields import FieldBuilder, FieldColumn, load_fields, save_fields
from proxy.data.hashing import UInt64Array
from proxy.data.identity import Fingerprinter, Int64Array, document_keys, inverse, key_order
from proxy.errors import ConflictError, InvalidInputError

__all__ = ["CorpusCounts", "DocumentTable", "Int64Array", "TableBuilder", "document_keys", "follow", "scan_corpus"]

Progress = Callable[[int, int], None]

REPORT_EVERY_DOCUMENTS = 1000
SPLIT_CHARACTERS = 1 << 20
COLUMNS = ("key", "text_key", "characters", "text_bytes")
MANIFEST = "table.json"  # written last: a folder without it holds no table


@dataclass(frozen=True, kw_only=True)
class CorpusCounts:
    """What a corpus holds. The fingerprint does not depend on file format, compression, names or order."""

    fingerprint: str
    documents: int
    characters: int
    text_bytes: int


@dataclass(frozen=True, kw_only=True)
class DocumentTable:
    """One row a document, ascending by `key`; arrays are [D] and may be memory-mapped."""

    key: UInt64Array
    text_key: UInt64Array
    characters: Int64Array
    text_bytes: Int64Array
    fields: Mapping[str, FieldColumn] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.key)

    def save(self, folder: Path) -> None:
        """Writes the table into `folder`, a file a column; there is no table before the last file is there."""
        for name in COLUMNS:
            save_array(folder / f"{name}.npy", getattr(self, name))
        described = save_fields(folder, self.fields)
        save_json(folder / MANIFEST, {"documents": len(self), "fields": described})
        for former in ("documents.npz", "fields.json"):
            (folder / former).unlink(missing_ok=True)

    @classmethod
    def load(cls, folder: Path) -> "DocumentTable":
        """Maps what `save` wrote, or reads a table as it was written before rows were ordered. ConflictError if
        columns are missing or cut off."""
        if not (folder / MANIFEST).exists():
            return _load_former(folder)
        manifest = json.loads((folder / MANIFEST).read_bytes())
        try:
            columns = {name: np.asarray(map_array(folder / f"{name}.npy")) for name in COLUMNS}
            fields = load_fields(folder, manifest["fields"])
        except (OSError, ValueError) as error:
            raise ConflictError(f"the table in {folder} is damaged: {error}; register the corpus again") from error
        lengths = {*map(len, columns.values()), *map(len, fields.values())}
        if lengths != {manifest["documents"]}:
            raise ConflictError(f"the table in {folder} is damaged: columns of different length; register it again")
        return cls(**columns, fields=fields)


def has_table(folder: Path) -> bool:
    """Whether a whole table lies there: a folder may hold columns alone, or a table that is being written."""
    return (folder / MANIFEST).exists() or (folder / "documents.npz").exists()


def _load_former(folder: Path) -> DocumentTable:
    """One archive of columns and lists of values, both in reading order."""
    with np.load(folder / "documents.npz", allow_pickle=False) as arrays:
        columns = {name: arrays[name] for name in COLUMNS}
    order_D = key_order(columns["key"])
    fields = {}
    for name, values in json.loads((folder / "fields.json").read_bytes()).items():
        builder = FieldBuilder(name)
        for value in values:
            builder.add(value)
        fields[name] = builder.column(order_D)
    return DocumentTable(**{name: column[order_D] for name, column in columns.items()}, fields=fields)


class TableBuilder:
    """Builds the table and the fingerprint while documents stream by; holds no text, 40 bytes a document."""

    def __init__(self) -> None:
        self._fingerprinter = Fingerprinter()
        self._text_key = array("Q")
        self._characters = array("q")
        self._text_bytes = array("q")
        self._fields: dict[str, FieldBuilder] = {}
        self._total_bytes = 0

    def add(self, document: Document) -> None:
        """One document more; all have the same fields."""
        encoded = document.text.encode()
        self._fingerprinter.add(encoded, document.fields)
        self._characters.append(len(document.text))
        self._text_bytes.append(len(encoded))
        self._total_bytes += len(encoded)
        del encoded  # it may be 100 MB
        self._text_key.append(_short_hash(normalise(document.text).encode()))
        for name, value in document.fields.items():
            self._fields.setdefault(name, FieldBuilder(name)).add(value)

    @property
    def progress(self) -> tuple[int, int]:
        """Documents and bytes so far."""
        return len(self._text_key), self._total_bytes

    def table(self) -> DocumentTable:
        """Everything added so far."""
        key = self._fingerprinter.keys()
        order_D = key_order(key)
        return DocumentTable(
            key=key[order_D],
            text_key=np.array(self._text_key, dtype=np.uint64)[order_D],
            characters=np.array(self._characters, dtype=np.int64)[order_D],
            text_bytes=np.array(self._text_bytes, dtype=np.int64)[order_D],
            fields={name: builder.column(order_D) for name, builder in self._fields.items()},
        )

    def reading_order(self) -> Int64Array:
        """The table's row of each document in the order they were read, int64[D]."""
        return inverse(key_order(self._fingerprinter.keys()))

    def empty_fields(self) -> list[str]:
        """Fields that no document has."""
        return [name for name, builder in self._fields.items() if builder.is_empty()]

    def counts(self) -> CorpusCounts:
        """Counts and fingerprint of everything added so far."""
        documents, text_bytes = self.progress
        return CorpusCounts(
            fingerprint=self._fingerprinter.fingerprint(),
            documents=documents,
            characters=sum(self._characters),
            text_bytes=text_bytes,
        )


def _short_hash(content: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "big")


EMPTY_TEXT_KEY = _short_hash(b"")  # what texts of nothing but white space share


def normalise(text: str) -> str:
    """NFC, case folded, runs of white space as one space: the identity that exact dedup and leak checks use."""
    composed = unicodedata.normalize("NFC", text)
    return " ".join(composed.casefold().split()) if len(composed) <= SPLIT_CHARACTERS else _folded_in_pieces(composed)


def _folded_in_pieces(text: str) -> str:
    """As folding, splitting and joining: case folding takes 12 bytes a character, a list of words 50 bytes a word."""
    parts: list[str] = []
    is_apart = False
    for start in range(0, len(text), SPLIT_CHARACTERS):
        piece = text[start : start + SPLIT_CHARACTERS].casefold()
        if words := piece.split():
            if parts and (is_apart or piece[0].isspace()):
                parts.append(" ")
            parts.append(" ".join(words))
            is_apart = piece[-1].isspace()
        else:
            is_apart = True
    return "".join(parts)


class Builder(Protocol):
    """What `follow` feeds."""

    def add(self, document: Document) -> None: ...

    @property
    def progress(self) -> tuple[int, int]: ...

    def empty_fields(self) -> list[str]: ...


def follow(location: CorpusLocation, builder: Builder, progress: Progress | None = None) -> Iterator[Document]:
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
