"""What a document and a corpus are called by their content: keys and fingerprints that no file name or order changes.

D counts documents. A document's content is 128 bits of the digest of its text and the fields that are used.
"""

import hashlib
import json
from array import array
from typing import Any

import numpy as np
import numpy.typing as npt

from proxy.data.corpora import Document
from proxy.data.hashing import UInt64Array, combine

Int64Array = npt.NDArray[np.int64]

FINGERPRINT_MODULUS = 1 << 512


class Fingerprinter:
    """Adds up documents while they stream by; holds 16 bytes a document.

    The fingerprint is the sum of the documents' digests (a multiset hash): the same in any order and any files.
    """

    def __init__(self) -> None:
        self._content = array("Q")  # two words a document
        self._sum = 0

    def __len__(self) -> int:
        return len(self._content) // 2

    def add(self, encoded: bytes, fields: dict[str, Any]) -> None:
        """One document more; `encoded` is its text as UTF-8."""
        digest = content_digest(encoded, fields)
        self._sum = (self._sum + int.from_bytes(digest, "big")) % FINGERPRINT_MODULUS
        self._content.extend((int.from_bytes(digest[:8], "big"), int.from_bytes(digest[8:16], "big")))

    def fingerprint(self) -> str:
        """Of everything added so far."""
        total = self._sum.to_bytes(64, "big") + len(self).to_bytes(8, "big")
        return hashlib.blake2b(total, digest_size=16).hexdigest()

    def keys(self) -> UInt64Array:
        """Keys of the documents in the order they were added, uint64[D]."""
        return document_keys(np.array(self._content, dtype=np.uint64).reshape(-1, 2))


class ContentReader:
    """The least that tells whether a corpus is still the registered one, and where its documents' rows are."""

    def __init__(self) -> None:
        self.fingerprinter = Fingerprinter()
        self._bytes = 0

    def add(self, document: Document) -> None:
        """One document more."""
        encoded = document.text.encode()
        self.fingerprinter.add(encoded, document.fields)
        self._bytes += len(encoded)

    @property
    def progress(self) -> tuple[int, int]:
        """Documents and bytes so far."""
        return len(self.fingerprinter), self._bytes

    def empty_fields(self) -> list[str]:
        """None is known: fields are not kept, and a field that went missing changes the fingerprint."""
        return []


def document_keys(content_D2: UInt64Array) -> UInt64Array:
    """Keys of documents in the order given, uint64[D]: content, and how often the same content came before."""
    return combine(content_D2[:, 0], _occurrences(content_D2))


def key_order(key_D: UInt64Array) -> Int64Array:
    """For each row of the table, ascending by key, the place of its document among `key_D`; int64[D]."""
    return np.argsort(key_D, kind="stable").astype(np.int64, copy=False)


def inverse(order_D: Int64Array) -> Int64Array:
    """The permutation that undoes `order_D`: from the row of each place to the place of each row, and back."""
    rows_D = np.empty_like(order_D)
    rows_D[order_D] = np.arange(len(order_D), dtype=np.int64)
    return rows_D


def _occurrences(content_D2: UInt64Array) -> UInt64Array:
    """How many rows before it hold the same content, a row: the members of a group are numbered 0, 1, 2 …

    Only rows whose first word is not unique are compared as a whole, so that memory stays at two arrays.
    """
    occurrences = np.zeros(len(content_D2), dtype=np.uint64)
    order = np.argsort(content_D2[:, 0], kind="stable")
    is_next_same = content_D2[order[1:], 0] == content_D2[order[:-1], 0]
    is_shared = np.zeros(len(order), dtype=bool)
    is_shared[1:] = is_next_same
    is_shared[:-1] |= is_next_same
    places_S = np.sort(order[is_shared])
    occurrences[places_S] = _numbered_in_groups(content_D2[places_S])
    return occurrences


def _numbered_in_groups(content_S2: UInt64Array) -> UInt64Array:
    order = np.lexsort((content_S2[:, 1], content_S2[:, 0]))
    ordered = content_S2[order]
    is_first = np.ones(len(order), dtype=bool)
    is_first[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    starts = np.flatnonzero(is_first)
    numbers = np.empty(len(order), dtype=np.uint64)
    numbers[order] = np.arange(len(order)) - np.repeat(starts, np.diff([*starts, len(order)]))
    return numbers


def content_digest(encoded: bytes, fields: dict[str, Any]) -> bytes:
    """64 bytes of a document's text and the fields used; the length keeps the two apart."""
    hasher = hashlib.blake2b(len(encoded).to_bytes(8, "big"))
    hasher.update(encoded)
    if fields:
        hasher.update(json.dumps(fields, sort_keys=True).encode())
    return hasher.digest()
