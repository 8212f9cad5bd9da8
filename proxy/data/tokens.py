"""Tokenised corpora: one flat, memory-mapped array of tokens and the offsets of the documents in it.

Made once a (corpus, tokenizer) pair under `<folder>/<corpus fingerprint>/<tokenizer fingerprint>/`. A folder
appears whole or not at all, so two processes that race do the work twice and harm nothing.
"""

import os
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from proxy.data.corpora import CorpusLocation
from proxy.data.documents import DocumentTable, Int64Array, Progress, TableBuilder, follow
from proxy.data.tokenizers import TokenArray, Tokenizer
from proxy.errors import CorpusChangedError

BATCH_CHARACTERS = 1_000_000  # the library holds about 100 bytes a token of a batch


@dataclass(frozen=True, kw_only=True)
class TokenStore:
    """Document i is `tokens[offsets[i]:offsets[i + 1]]`, without an end of text. Reading order as in `documents`."""

    tokens: TokenArray
    offsets: Int64Array
    documents: DocumentTable

    @property
    def token_counts(self) -> Int64Array:
        """Tokens of each document, int64[D]."""
        return np.diff(self.offsets)


def open_tokens(folder: Path, corpus_fingerprint: str, tokenizer_fingerprint: str) -> TokenStore | None:
    """The stored tokens, or None if this pair was never tokenised."""
    place = folder / corpus_fingerprint / tokenizer_fingerprint
    if not place.exists():
        return None
    offsets = np.load(place / "offsets.npy", allow_pickle=False)
    return TokenStore(
        tokens=_mapped(place / "tokens.bin", int(offsets[-1])),
        offsets=offsets,
        documents=DocumentTable.load(place),
    )


def load_token_counts(folder: Path, corpus_fingerprint: str, tokenizer_fingerprint: str) -> Int64Array | None:
    """Tokens of each document, in the order of the table stored beside them; None if never tokenised."""
    store = open_tokens(folder, corpus_fingerprint, tokenizer_fingerprint)
    return None if store is None else store.token_counts


def tokenise_corpus(
    location: CorpusLocation,
    corpus_fingerprint: str,
    tokenizer: Tokenizer,
    folder: Path,
    progress: Progress | None = None,
) -> TokenStore:
    """Opens or makes the tokens. CorpusChangedError if the files no longer hold what was registered."""
    if (store := open_tokens(folder, corpus_fingerprint, tokenizer.fingerprint)) is not None:
        return store
    temporary = folder / f".{uuid.uuid4().hex}"
    temporary.mkdir(parents=True)
    try:
        _write_tokens(location, corpus_fingerprint, tokenizer, temporary, progress)
        _publish(temporary, folder / corpus_fingerprint / tokenizer.fingerprint)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    made = open_tokens(folder, corpus_fingerprint, tokenizer.fingerprint)
    assert made is not None
    return made


def _write_tokens(
    location: CorpusLocation, registered: str, tokenizer: Tokenizer, place: Path, progress: Progress | None
) -> None:
    builder = TableBuilder()
    lengths: list[int] = []
    with (place / "tokens.bin").open("wb") as out:
        for batch in _batches(location, builder, progress):
            for tokens in tokenizer.encode_batch(batch):
                lengths.append(len(tokens))
                out.write(tokens.tobytes())
    found = builder.counts().fingerprint
    if found != registered:
        raise CorpusChangedError(
            f"{location.uri} no longer holds what was registered: fingerprint {found} instead of {registered}; "
            "register it again to get a new revision"
        )
    np.save(place / "offsets.npy", np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64))
    builder.table().save(place)


def _batches(location: CorpusLocation, builder: TableBuilder, progress: Progress | None) -> Iterator[list[str]]:
    batch: list[str] = []
    size = 0
    for document in follow(location, builder, progress):
        batch.append(document.text)
        size += len(document.text)
        if size >= BATCH_CHARACTERS:
            yield batch
            batch, size = [], 0
    yield batch


def _publish(temporary: Path, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.rename(temporary, place)
    except OSError:
        if not place.exists():  # otherwise another process was first, with the same content
            raise


def _mapped(path: Path, count: int) -> TokenArray:
    """The tokens on disk; their width follows from the size of the file."""
    if count == 0:  # an empty file cannot be mapped
        return np.empty(0, dtype=np.uint16)
    if path.stat().st_size == count * np.dtype(np.uint16).itemsize:
        return np.memmap(path, dtype=np.uint16, mode="r")
    return np.memmap(path, dtype=np.uint32, mode="r", shape=(count,))
