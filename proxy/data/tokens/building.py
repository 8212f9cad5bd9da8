"""Building a store: span by span, in this process or several, and the manifest when all shards are there.

Killed at any moment, finished shards are used again. A damaged store is built again in the same way, so that only what
is damaged is read. Processes that build the same store at once harm nothing: they write the same bytes, and each finds
the other's shards.
"""

import os
import shutil
import time
import uuid
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from proxy.data.corpora import CorpusLocation
from proxy.data.documents import Progress, scan_corpus
from proxy.data.shared import SharedStore
from proxy.data.tokenizers import Tokenizer
from proxy.data.tokens.copies import open_copies, own_documents, share_rows
from proxy.data.tokens.index import write_index
from proxy.data.tokens.making import Making, fingerprint_of, make_span, spans_of
from proxy.data.tokens.manifest import MANIFEST, Manifest, index_identity
from proxy.data.tokens.pool import make_spans
from proxy.data.tokens.shards import Shard, finished_shards
from proxy.data.tokens.spans import SHARD_BYTES, Span
from proxy.data.tokens.store import TokenStore, open_tokens, verify_tokens
from proxy.errors import CorpusChangedError, ForetasteError, SharedStoreError

VERIFIED_BYTES = 1 << 30  # a store up to this size is checked against its checksums once a process, in about a second
STALE_SECONDS = 86_400.0  # a partial file so old is nobody's work
OLD_LAYOUT = ("tokens.bin", "offsets.npy", "documents.npz", "fields.json")


def tokenise_corpus(  # noqa: PLR0913 - what, with what, where to, and how
    location: CorpusLocation,
    corpus_fingerprint: str,
    tokenizer: Tokenizer,
    folder: Path,
    progress: Progress | None = None,
    *,
    processes: int = 1,
    documents: Path | None = None,
    shard_bytes: int = SHARD_BYTES,
    shared: SharedStore | None = None,
) -> TokenStore:
    """Opens or makes the tokens. CorpusChangedError if the files no longer hold what was registered; nothing stays.

    `documents` is the folder where registration keeps the table of documents; without it the table is made too, in a
    pass of its own. `processes` beyond 1 take one core each. What is not here is taken from the store that machines
    share, and what is made is published there; SharedStoreError if that cannot be used.
    """
    place = folder / corpus_fingerprint / tokenizer.fingerprint
    store = open_tokens(folder, corpus_fingerprint, tokenizer.fingerprint)
    if store is not None and _is_trusted(folder, corpus_fingerprint, tokenizer.fingerprint):
        return store
    making = Making(location=location, tokenizer=tokenizer, place=place, shard_bytes=shard_bytes, shared=shared)
    if shared is not None and (found := _open_copies(making, documents)) is not None:
        return found
    try:
        shards = make_spans(making, spans_of(making), processes, progress)
        return finish_store(making, corpus_fingerprint, folder, shards, documents)
    except ForetasteError as error:
        discard(making, error)
        raise


def tokenise_shard(making: Making, span: Span, progress: Progress | None = None) -> list[Shard]:
    """One span by itself, as a job of its own does it; `finish_store` joins them."""
    total = [0, 0]

    def advance(documents: int, text_bytes: int) -> None:
        total[0] += documents
        total[1] += text_bytes
        if progress:
            progress(total[0], total[1])

    return make_span(making, span, advance)


def finish_store(
    making: Making, corpus_fingerprint: str, folder: Path, shards: list[Shard], documents: Path | None = None
) -> TokenStore:
    """Writes index and manifest over all shards. CorpusChangedError if they are not what was registered."""
    location, place, tokenizer = making.location, making.place, making.tokenizer
    found = fingerprint_of(shards)
    if found != corpus_fingerprint:
        raise CorpusChangedError(
            f"{location.uri} no longer holds what was registered: fingerprint {found} instead of "
            f"{corpus_fingerprint}; register it again to get a new revision"
        )
    if making.shared is not None:
        documents = share_rows(making, shards, documents)
    elif documents is None or not documents.exists():
        documents = _own_table(location, folder / corpus_fingerprint / "documents")
    write_index(place, shards)
    manifest = Manifest(
        corpus=corpus_fingerprint,
        tokenizer=tokenizer.fingerprint,
        vocabulary=tokenizer.vocabulary,
        dtype=tokenizer.dtype.__name__,
        documents=sum(shard.documents for shard in shards),
        tokens=sum(shard.tokens for shard in shards),
        text_bytes=sum(shard.text_bytes for shard in shards),
        documents_table=os.path.relpath(documents.resolve(), place.resolve()),
        index=index_identity(place),
        shards=tuple(shards),
    )
    manifest.save(place)
    _sweep(place)
    if (shared := making.shared_tokens) is not None:
        shared.publish(manifest)
        made = open_copies(shared, documents, making)
    else:
        made = open_tokens(folder, corpus_fingerprint, tokenizer.fingerprint)
    assert made is not None
    return made


def join_shards(
    making: Making, corpus_fingerprint: str, folder: Path, shards: list[Shard], documents: Path | None = None
) -> TokenStore:
    """`finish_store` for shards that others made, which are made again where they are there no more. CorpusChangedError
    leaves nothing."""
    if making.shared is None and not all(shard.has_sizes(making.place) for shard in shards):
        return tokenise_corpus(
            making.location,
            corpus_fingerprint,
            making.tokenizer,
            folder,
            documents=documents,
            shard_bytes=making.shard_bytes,
        )
    try:
        return finish_store(making, corpus_fingerprint, folder, shards, documents)
    except ForetasteError as error:
        discard(making, error)
        raise


def missing_spans(making: Making, spans: tuple[Span, ...]) -> list[Span]:
    """Spans of which a shard is missing or damaged."""
    return [span for span in spans if not _is_complete(making, span)]


def _is_complete(making: Making, span: Span) -> bool:
    return any(shard.is_last for shard in finished_shards(making.place, span.index, span.source))


def _own_table(location: CorpusLocation, folder: Path) -> Path:
    """The table of documents where nobody registered the corpus; it appears whole or not at all."""
    if folder.exists():
        return folder
    partial = folder.with_name(f".{uuid.uuid4().hex}")
    try:
        scan_corpus(location)[0].save(partial)
        with suppress(OSError):  # another process was first
            os.rename(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder


def _is_trusted(folder: Path, corpus_fingerprint: str, tokenizer_fingerprint: str) -> bool:
    """False for a store that is small enough to be checked and is damaged."""
    place = folder / corpus_fingerprint / tokenizer_fingerprint
    manifest = Manifest.load(place)
    if manifest is None or sum(shard.tokens_bytes for shard in manifest.shards) > VERIFIED_BYTES:
        return manifest is not None
    return _is_intact(folder, corpus_fingerprint, tokenizer_fingerprint, (place / MANIFEST).stat().st_mtime_ns)


@lru_cache(maxsize=4096)
def _is_intact(folder: Path, corpus_fingerprint: str, tokenizer_fingerprint: str, written_ns: int) -> bool:
    return verify_tokens(folder, corpus_fingerprint, tokenizer_fingerprint) == []


def discard(making: Making, error: ForetasteError) -> None:
    """Removes everything of a store that could not be made, and its corpus's folder if nothing else is in it; what may
    be there again in a minute costs nothing that was made."""
    if error.is_retryable:
        return
    shutil.rmtree(making.place, ignore_errors=True)
    with suppress(OSError):
        making.place.parent.rmdir()
    if isinstance(error, CorpusChangedError) and (shared := making.shared_tokens) is not None:
        with suppress(SharedStoreError):
            shared.withdraw(unless_published=True)


def _open_copies(making: Making, documents: Path | None) -> TokenStore | None:
    """What the shared store holds, with the copies that are here; damaged ones of a small store are fetched again."""
    manifest = Manifest.load(making.place)
    if manifest is not None and sum(shard.tokens_bytes for shard in manifest.shards) <= VERIFIED_BYTES:
        manifest.drop_damaged(making.place)
    shared = making.shared_tokens
    assert shared is not None
    return open_copies(shared, documents or own_documents(making.place), making)


def _sweep(place: Path) -> None:
    """Removes the layout of earlier versions, and what killed processes left."""
    for name in OLD_LAYOUT:
        (place / name).unlink(missing_ok=True)
    for partial in place.glob(".*"):
        with suppress(OSError):
            if time.time() - partial.stat().st_mtime > STALE_SECONDS:
                partial.unlink()
