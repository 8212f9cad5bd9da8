"""Tokens that another tool made: a flat file and where its documents begin become a store of a corpus without text.

What is lost is stated and kept with the store. The corpus's fingerprint is of the token sequences and the tokenizer:
the same tokens in other files, in another order or width are the same corpus. A document's end of text is left out;
one in its midst is refused, for it would end itself half-way.
"""

import hashlib
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from proxy.data.documents import DocumentTable, Int64Array
from proxy.data.identity import FINGERPRINT_MODULUS, document_keys
from proxy.data.tokenizers import TokenArray, Tokenizer
from proxy.data.tokens.index import load_content, write_index
from proxy.data.tokens.making import NUMERICS, fingerprint_of
from proxy.data.tokens.manifest import Manifest, index_identity
from proxy.data.tokens.shards import Shard, ShardWriter, shard_name
from proxy.data.tokens.store import open_tokens
from proxy.errors import InvalidInputError

SHARD_TOKENS = 1 << 26
CHECK_TOKENS = 1 << 22  # looked at together

TextBytes = Int64Array | Literal["decode"] | None
RawTokens = npt.NDArray[np.integer]

WITHOUT_TEXT = (
    "no filters, scores or overlap by text: the text is not there",
    "no dedup beyond exact equality of token sequences",
    "tokens of this tokenizer only",
)
WITHOUT_BYTES = "no bytes of text: it cannot be scored in bits per byte, nor filtered by length"


@dataclass(frozen=True, kw_only=True)
class ImportedTokens:
    """What was imported; `lost` says in sentences what such a corpus cannot do."""

    fingerprint: str
    documents: int
    tokens: int
    text_bytes: int | None
    lost: tuple[str, ...]


def import_tokens(
    tokens_path: Path,
    tokenizer: Tokenizer,
    folder: Path,
    *,
    offsets_path: Path | None = None,
    dtype: Literal["uint16", "uint32"] | None = None,
    text_bytes: TextBytes = None,
) -> ImportedTokens:
    """Makes a store below `folder` that `open_tokens` opens by the fingerprint returned.

    `tokens_path` is a one-dimensional .npy or raw little-endian integers of `dtype` (default: what the tokenizer
    needs). `offsets_path` is a .npy of D + 1 ascending positions from 0 to the number of tokens; without it an end of
    text ends each document. `text_bytes` are bytes of UTF-8 a document (int64[D]), or "decode" to count them. Raises
    InvalidInputError at /tokens, /offsets, /dtype or /text_bytes.
    """
    tokens = _open(tokens_path, tokenizer, dtype)
    _check_ids(tokens, tokens_path, tokenizer)
    offsets = _ended_offsets(tokens, tokenizer) if offsets_path is None else _given_offsets(offsets_path, len(tokens))
    if not isinstance(text_bytes, str | None) and len(text_bytes) != len(offsets) - 1:
        message = f"has not one number for each of the {len(offsets) - 1} documents"
        raise InvalidInputError.at("/text_bytes", len(text_bytes), message)
    if len(offsets) == 1:
        raise InvalidInputError.at("/tokens", str(tokens_path), "holds no document")
    temporary = folder / f".{uuid.uuid4().hex}"
    try:
        rows = _Rows(tokens, offsets, tokenizer)
        shards = list(_write_shards(rows, temporary, tokenizer))
        table = _table(rows, shards, temporary, text_bytes, tokenizer)
        return _publish(temporary, folder, tokenizer, shards, table, text_bytes is not None)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


class _Rows:
    """Document i without the end of text that may stand before or after it."""

    def __init__(self, tokens: RawTokens, offsets: Int64Array, tokenizer: Tokenizer) -> None:
        self._tokens, self._offsets, self._tokenizer = tokens, offsets, tokenizer

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def __getitem__(self, index: int) -> TokenArray:
        end_of_text = self._tokenizer.end_of_text
        row = self._tokens[self._offsets[index] : self._offsets[index + 1]]
        if len(row) and row[-1] == end_of_text:
            row = row[:-1]
        if len(row) and row[0] == end_of_text:
            row = row[1:]
        if (row == end_of_text).any():
            message = f"document {index} holds an end of text in its midst; one document is one text"
            raise InvalidInputError.at("/offsets", index, message)
        return row.astype(np.uint16) if self._tokenizer.dtype is np.uint16 else row.astype(np.uint32)


def _open(path: Path, tokenizer: Tokenizer, dtype: str | None) -> RawTokens:
    width = np.dtype(dtype or tokenizer.dtype)
    if width not in (np.dtype(np.uint16), np.dtype(np.uint32)):
        raise InvalidInputError.at("/dtype", dtype, "is neither uint16 nor uint32")
    try:
        size = path.stat().st_size
        if path.suffix == ".npy":
            tokens: RawTokens = np.load(path, mmap_mode="r", allow_pickle=False)
        elif size % width.itemsize:
            raise InvalidInputError.at("/tokens", str(path), f"its {size} bytes are no multiple of {width.itemsize}")
        else:
            tokens = np.memmap(path, dtype=width.newbyteorder("<"), mode="r") if size else np.empty(0, dtype=width)
    except (OSError, ValueError, EOFError) as error:
        raise InvalidInputError.at("/tokens", str(path), f"cannot be read: {error}") from error
    if tokens.ndim != 1 or tokens.dtype.kind not in "iu":
        message = f"is no flat array of integers but {tokens.ndim}-dimensional {tokens.dtype}"
        raise InvalidInputError.at("/tokens", str(path), message)
    return tokens.view(np.ndarray)


def _check_ids(tokens: RawTokens, path: Path, tokenizer: Tokenizer) -> None:
    for start in range(0, len(tokens), CHECK_TOKENS):
        part = tokens[start : start + CHECK_TOKENS]
        wrong = np.flatnonzero((part < 0) | (part >= tokenizer.vocabulary))
        if len(wrong):
            message = (
                f"{path} holds this at position {start + int(wrong[0])}; the tokenizer's ids are below "
                f"{tokenizer.vocabulary} (another tokenizer, or another dtype?)"
            )
            raise InvalidInputError.at("/tokens", int(part[wrong[0]]), message)


def _given_offsets(path: Path, tokens: int) -> Int64Array:
    try:
        found = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InvalidInputError.at("/offsets", str(path), f"cannot be read: {error}") from error
    if found.ndim != 1 or found.dtype.kind not in "iu" or len(found) == 0:
        raise InvalidInputError.at("/offsets", str(path), "is no flat array of integers")
    offsets: Int64Array = found.astype(np.int64)
    if offsets[0] != 0 or offsets[-1] != tokens:
        message = f"must begin at 0 and end at the number of tokens, {tokens}"
        raise InvalidInputError.at("/offsets", [int(offsets[0]), int(offsets[-1])], message)
    falls = np.flatnonzero(np.diff(offsets) < 0)
    if len(falls):
        place = int(falls[0]) + 1
        raise InvalidInputError.at("/offsets", int(offsets[place]), f"position {place} is below the one before it")
    return offsets


def _ended_offsets(tokens: RawTokens, tokenizer: Tokenizer) -> Int64Array:
    """After each end of text; what follows the last one is a document too. One that begins the file ends nothing."""
    ends = [
        start + 1 + np.flatnonzero(tokens[start : start + CHECK_TOKENS] == tokenizer.end_of_text)
        for start in range(0, len(tokens), CHECK_TOKENS)
    ]
    offsets = np.concatenate([np.zeros(1, dtype=np.int64), *ends])
    if len(offsets) > 1 and offsets[1] == 1:
        offsets = np.delete(offsets, 1)
    return offsets if offsets[-1] == len(tokens) else np.append(offsets, len(tokens))


def _write_shards(rows: _Rows, place: Path, tokenizer: Tokenizer) -> Iterator[Shard]:
    row = number = 0
    while row < len(rows):
        writer = ShardWriter(place, shard_name(number, 0), tokenizer.dtype)
        number += 1
        digest_sum = written = 0
        try:
            while row < len(rows) and written < SHARD_TOKENS:
                tokens = rows[row]
                digest = _digest(tokens, tokenizer)
                digest_sum += int.from_bytes(digest, "big")
                words = np.frombuffer(digest[:16], dtype=">u8").astype(np.uint64)
                writer.write(tokens, np.array([len(tokens)]), words.reshape(1, 2))
                written += len(tokens)
                row += 1
            yield writer.finish(
                source="imported",
                is_last=row == len(rows),
                text_bytes=0,
                digest_sum=digest_sum % FINGERPRINT_MODULUS,
                numerics=NUMERICS,
            )
        finally:
            writer.discard()


def _digest(tokens: TokenArray, tokenizer: Tokenizer) -> bytes:
    """64 bytes, the same for every width."""
    content = f"tokens of {tokenizer.fingerprint}:".encode() + tokens.astype("<u4").tobytes()
    return hashlib.blake2b(content).digest()


def _table(rows: _Rows, shards: list[Shard], place: Path, text_bytes: TextBytes, tokenizer: Tokenizer) -> DocumentTable:
    """In key order. Two documents share a text key if they share their tokens."""
    content_D2, _ = load_content(place, shards)
    characters_D = bytes_D = np.zeros(len(rows), dtype=np.int64)
    if isinstance(text_bytes, str):
        texts = (tokenizer.decode(rows[row].tolist()) for row in range(len(rows)))
        sizes_D2 = np.array([(len(text), len(text.encode(errors="replace"))) for text in texts], dtype=np.int64)
        characters_D, bytes_D = sizes_D2[:, 0], sizes_D2[:, 1]
    elif text_bytes is not None:
        bytes_D = text_bytes.astype(np.int64)
    key = document_keys(content_D2)
    order = np.argsort(key, kind="stable")
    return DocumentTable(
        key=key[order],
        text_key=content_D2[order, 1],
        characters=characters_D[order],
        text_bytes=bytes_D[order],
    )


def _publish(
    temporary: Path, folder: Path, tokenizer: Tokenizer, shards: list[Shard], table: DocumentTable, has_bytes: bool
) -> ImportedTokens:
    corpus = fingerprint_of(shards)
    made = ImportedTokens(
        fingerprint=corpus,
        documents=sum(shard.documents for shard in shards),
        tokens=sum(shard.tokens for shard in shards),
        text_bytes=int(table.text_bytes.sum()) if has_bytes else None,
        lost=WITHOUT_TEXT if has_bytes else (WITHOUT_BYTES, *WITHOUT_TEXT),
    )
    table.save(temporary / "table")
    write_index(temporary, shards)
    Manifest(
        corpus=corpus,
        tokenizer=tokenizer.fingerprint,
        vocabulary=tokenizer.vocabulary,
        dtype=tokenizer.dtype.__name__,
        documents=made.documents,
        tokens=made.tokens,
        text_bytes=made.text_bytes or 0,
        documents_table="table",
        index=index_identity(temporary),
        shards=tuple(shards),
        lost=made.lost,
    ).save(temporary)
    place = folder / corpus / tokenizer.fingerprint
    known = open_tokens(folder, corpus, tokenizer.fingerprint)
    if known is None:
        shutil.rmtree(place, ignore_errors=True)
    elif _told(table) > _told(known.documents):
        _tell_more(temporary, place)
    place.parent.mkdir(parents=True, exist_ok=True)
    with suppress(OSError):  # it is there already, with the same content
        os.rename(temporary, place)
    if open_tokens(folder, corpus, tokenizer.fingerprint) is None:
        raise OSError(f"the imported tokens could not be moved to {place}")
    return made


def _told(table: DocumentTable) -> int:
    """How much is known of the texts: nothing, their bytes, their characters too."""
    return int(table.text_bytes.any()) + int(table.characters.any())


def _tell_more(temporary: Path, place: Path) -> None:
    """The same tokens were imported before, and less was known of their texts: they keep their shards, which may be
    read at this moment, and get the new table."""
    name = f"table-{uuid.uuid4().hex}"
    os.rename(temporary / "table", place / name)
    kept, more = Manifest.load(place), Manifest.load(temporary)
    assert kept is not None
    assert more is not None
    replace(kept, documents_table=name, text_bytes=more.text_bytes, lost=more.lost).save(place)
