"""Tokenising in a child: a small corpus whole; of a larger one the plan, one span of it, or the joining of all."""

from dataclasses import asdict
from typing import Any

from proxy.data.tokens import (
    Making,
    Shard,
    Span,
    TokenStore,
    join_shards,
    publish_tokens,
    spans_of,
    tokenise_corpus,
    tokenise_shard,
)
from worker.artifacts import documents_path, tokens_folder
from worker.cohorts.materials import locate
from worker.cohorts.messages import TokeniseCorpusSpec, TokeniseSpanSpec
from worker.cohorts.reading import Tell, tell_progress
from worker.sharing import load_tokenizer, shared_store, tokens_of


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
    if len(spans) > 1 and tokens_of(spec, content, spec.tokenizer) is None:
        return {"spans": [span.to_json() for span in spans]}
    store = tokenise_corpus(
        making.location,
        content,
        making.tokenizer,
        tokens_folder(spec),
        tell_progress(tell, spec.text_bytes),
        documents=documents,
        shard_bytes=spec.shard_bytes,
        shared=making.shared,
    )
    if making.shared_tokens is not None:  # they may have been made before there was a shared store
        publish_tokens(making.shared_tokens, documents)
    return _counts(store)


def tokenise_span(spec: TokeniseSpanSpec, tell: Tell) -> dict[str, Any]:
    """The shards of one span, as they are joined later."""
    making = _making(spec)
    span = Span.from_json(spec.span, making.location)
    shards = tokenise_shard(making, span, tell_progress(tell, None))
    return {
        "documents": sum(shard.documents for shard in shards),
        "bytes": sum(shard.text_bytes for shard in shards),
        "shards": [asdict(shard) for shard in shards],
    }


def _making(spec: TokeniseCorpusSpec | TokeniseSpanSpec) -> Making:
    return Making(
        location=locate(spec.corpus, spec),
        tokenizer=load_tokenizer(spec, spec.tokenizer),
        place=tokens_folder(spec) / str(spec.corpus.fingerprint) / spec.tokenizer,
        shard_bytes=spec.shard_bytes,
        shared=shared_store(spec),
    )


def _counts(store: TokenStore) -> dict[str, Any]:
    return {"documents": len(store), "tokens": int(store.bases[-1])}
