"""Tokenising in a child: a small corpus whole; of a larger one the plan, one span of it, or the joining of all."""

import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from proxy.data.tokenizers import Tokenizer
from proxy.data.tokens import (
    Making,
    Shard,
    Span,
    TokenStore,
    join_shards,
    open_tokens,
    spans_of,
    tokenise_corpus,
    tokenise_shard,
)
from worker.artifacts import documents_path, tokenizer_path, tokens_folder
from worker.cohorts.materials import locate
from worker.cohorts.messages import TokeniseCorpusSpec, TokeniseSpanSpec

Tell = Callable[..., None]


def tokenise(spec: TokeniseCorpusSpec, tell: Tell) -> dict[str, Any]:
    """Documents and tokens; or `spans`, to be made one by one by whoever is free, and joined by the job's next attempt.
    Shards that an earlier attempt finished are used again."""
    making, content = _making(spec), str(spec.corpus.fingerprint)
    documents = documents_path(spec, content)
    if spec.shards is not None:
        tell(phase="joining", documents=None)
        shards = [Shard(**shard) for shard in spec.shards]
        return _counts(join_shards(making, content, tokens_folder(spec), shards, documents))
    spans = spans_of(making)
    if len(spans) > 1 and open_tokens(tokens_folder(spec), content, spec.tokenizer) is None:
        return {"spans": [span.to_json() for span in spans]}
    store = tokenise_corpus(
        making.location,
        content,
        making.tokenizer,
        tokens_folder(spec),
        _progress(tell, spec.text_bytes),
        documents=documents,
        shard_bytes=spec.shard_bytes,
    )
    return _counts(store)


def tokenise_span(spec: TokeniseSpanSpec, tell: Tell) -> dict[str, Any]:
    """The shards of one span, as they are joined later."""
    making = _making(spec)
    span = Span.from_json(spec.span, making.location)
    shards = tokenise_shard(making, span, _progress(tell, None))
    return {
        "documents": sum(shard.documents for shard in shards),
        "bytes": sum(shard.text_bytes for shard in shards),
        "shards": [asdict(shard) for shard in shards],
    }


def _making(spec: TokeniseCorpusSpec | TokeniseSpanSpec) -> Making:
    tokenizer = Tokenizer.from_json(tokenizer_path(spec, spec.tokenizer).read_text())
    place = tokens_folder(spec) / str(spec.corpus.fingerprint) / spec.tokenizer
    location = locate(spec.corpus, spec)
    return Making(location=location, tokenizer=tokenizer, place=place, shard_bytes=spec.shard_bytes)


def _counts(store: TokenStore) -> dict[str, Any]:
    return {"documents": len(store), "tokens": int(store.bases[-1])}


def _progress(tell: Tell, of_bytes: int | None) -> Callable[[int, int], None]:
    """Says documents, bytes, speed and time left; of a span the job it is a part of knows how much there is."""
    began = time.monotonic()
    first: int | None = None  # bytes that were there already, which say nothing about the speed

    def progress(documents: int, text_bytes: int) -> None:
        nonlocal first
        first = text_bytes if first is None else first
        speed = (text_bytes - first) / max(time.monotonic() - began, 1e-3)
        tell(
            documents=documents,
            bytes=text_bytes,
            of_bytes=of_bytes,
            megabytes_a_second=round(speed / 1e6, 3),
            seconds_left=round((of_bytes - text_bytes) / speed) if of_bytes is not None and speed else None,
        )

    return progress
