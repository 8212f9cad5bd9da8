"""Tokens that lie in a shared store, opened through copies on this machine; what is damaged there is made again.

A shard is made again from its span of the corpus, where the corpus's files are those that it was made from. Where they
have other names, sizes or times, all tokens are withdrawn, and the next attempt makes them anew.
"""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from proxy.data.documents import DocumentTable, has_table, scan_corpus
from proxy.data.shared import SharedStore
from proxy.data.shared_tables import fetch_table, publish_table
from proxy.data.tokens.making import Making, make_span, spans_of
from proxy.data.tokens.manifest import MANIFEST, Manifest
from proxy.data.tokens.shards import Shard
from proxy.data.tokens.sharing import ShardCopies, SharedTokens, at_once, damage_words, rows_file
from proxy.data.tokens.spans import Span
from proxy.data.tokens.store import TokenStore, open_tokens, store_of
from proxy.errors import ForetasteError, SharedStoreError, TokensDamagedError


def own_documents(place: Path) -> Path:
    """Where the table lies that nobody's registration keeps."""
    return place.parent / "documents"


def find_tokens(
    folder: Path, corpus: str, tokenizer: str, shared: SharedStore | None, documents: Path
) -> TokenStore | None:
    """As `open_tokens`; what lies in the shared store counts too. `documents` is where the table is, or is put."""
    store = open_tokens(folder, corpus, tokenizer)
    if store is not None or shared is None:
        return store
    return open_copies(SharedTokens(store=shared, place=folder / corpus / tokenizer), documents)


def open_copies(shared: SharedTokens, documents: Path, making: Making | None = None) -> TokenStore | None:
    """The store with what is fetched when it is wanted; None if nothing whole was published. With `making`, what is
    damaged is made again; else it is a TokensDamagedError."""
    manifest = shared.localise(os.path.relpath(documents.resolve(), shared.place.resolve()))
    if manifest is None:
        return None
    remake = None if making is None else lambda shard: remake_shard(making, shard)
    copies = ShardCopies(shared=shared, manifest=manifest, remake=remake)

    def load_table() -> DocumentTable:
        _keep_table(shared, documents, making)
        return DocumentTable.load(documents)

    return store_of(shared.place, manifest, copies.opener(), load_table, copies.fetch)


def publish_tokens(shared: SharedTokens, documents: Path) -> None:
    """Copies tokens that lie whole on this machine to the shared store, with the table, unless some are there."""
    manifest = Manifest.load(shared.place)
    if manifest is not None and manifest.has_sizes(shared.place) and not shared.is_published():
        own = shared.place / manifest.documents_table
        publish_table(shared.store, documents if has_table(documents) else own, manifest.corpus)
        shared.publish(manifest)


def share_rows(making: Making, shards: Sequence[Shard], documents: Path | None) -> Path:
    """Brings together on this machine what an index is made of, whoever made the shards, and the table. Where the
    table is."""
    shared = making.shared_tokens
    assert shared is not None
    table = documents or own_documents(making.place)

    def keep(shard: Shard) -> None:
        if not shared.fetch(rows_file(shard)):
            remake_shard(making, shard)

    at_once(keep, shards)
    _keep_table(shared, table, making)
    publish_table(shared.store, table, making.place.parent.name)
    return table


def remake_shard(making: Making, shard: Shard) -> None:
    """Makes the span of a shard that is missing or damaged in the shared store, and publishes it again.

    TokensDamagedError if its text is not there; SharedStoreError if all tokens have to be made anew.
    """
    shared = making.shared_tokens
    assert shared is not None
    span = next((span for span in _spans(making, shared, shard) if span.source == shard.source), None)
    if span is None:
        _begin_anew(shared, shard)
        raise SharedStoreError(
            f"{shared.key}/{shard.name} is missing or damaged in the shared store {shared.store.name}, and the "
            "files of its corpus have other names, sizes or times; its tokens are made anew by the next attempt"
        )
    for made in make_span(replace(making, shared=None), span, lambda *_: None):
        shared.put(made, again=made.name == shard.name)
    if not shard.is_intact(making.place):
        raise TokensDamagedError(damage_words(shared, shard, "its text gives other tokens now"))


def _begin_anew(shared: SharedTokens, shard: Shard) -> None:
    """What is published goes if it is what is damaged: others may have made another store meanwhile."""
    published = shared.manifest()
    if published is not None and shard in published.shards:
        shared.withdraw()
    (shared.place / MANIFEST).unlink(missing_ok=True)


def _spans(making: Making, shared: SharedTokens, shard: Shard) -> tuple[Span, ...]:
    try:
        return spans_of(making)
    except ForetasteError as error:
        raise TokensDamagedError(damage_words(shared, shard, str(error))) from error


def _keep_table(shared: SharedTokens, documents: Path, making: Making | None) -> None:
    """The table of documents: here, fetched, or made again."""
    corpus = shared.place.parent.name
    if has_table(documents) or fetch_table(shared.store, documents, corpus):
        return
    if making is None:
        words = f"the table of corpus {corpus} is missing or damaged in the shared store {shared.store.name}"
        raise TokensDamagedError(f"{words}; tokenise the corpus again")
    scan_corpus(making.location)[0].save(documents)
    publish_table(shared.store, documents, corpus, again=True)
