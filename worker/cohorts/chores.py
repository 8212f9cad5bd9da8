"""The jobs a child does besides training: reading a corpus, learning a tokenizer, tokenising, scoring."""

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from proxy.data.corpora import CorpusLocation, read_documents
from proxy.data.scans import scan_once
from proxy.data.tokenizers import Tokenizer
from proxy.data.tokenizers import train_tokenizer as learn_tokenizer
from proxy.data.tokens import tokenise_corpus
from worker.artifacts import documents_folder, documents_path, stored_path, tokenizer_path, tokens_folder, write_bytes
from worker.cohorts.materials import Bench, Materials, locate
from worker.cohorts.messages import (
    RegisterCorpusSpec,
    ScoreRunSpec,
    TokeniseCorpusSpec,
    TrainTokenizerSpec,
)

Tell = Callable[..., None]


def register_corpus(spec: RegisterCorpusSpec, tell: Tell) -> dict[str, Any]:
    """Reads the corpus to its end, unless these files were read before, and keeps its table of documents.
    InvalidInputError if it cannot."""
    location = locate(spec.corpus, spec)
    folder = documents_folder(spec)
    counts = scan_once(location, folder, lambda documents, bytes_: tell(documents=documents, bytes=bytes_))
    return {
        "fingerprint": counts.fingerprint,
        "documents": counts.documents,
        "characters": counts.characters,
        "text_bytes": counts.text_bytes,
    }


def train_tokenizer(spec: TrainTokenizerSpec, tell: Tell) -> dict[str, Any]:
    """Learns from an equal number of bytes of each corpus, in reading order."""
    each = spec.sample_bytes // len(spec.corpora)
    content = learn_tokenizer(_sample([locate(corpus, spec) for corpus in spec.corpora], each, tell), spec.vocabulary)
    tokenizer = Tokenizer.from_json(content)
    write_bytes(tokenizer_path(spec, tokenizer.fingerprint), content.encode())
    return {"fingerprint": tokenizer.fingerprint, "vocabulary": tokenizer.vocabulary}


def tokenise(spec: TokeniseCorpusSpec, tell: Tell) -> dict[str, Any]:
    """Makes the tokens, or finds them; shards that an earlier attempt finished are used again."""
    assert spec.corpus.fingerprint is not None
    began = time.monotonic()
    first: int | None = None  # bytes that were there already, which say nothing about the speed

    def progress(documents: int, text_bytes: int) -> None:
        nonlocal first
        first = text_bytes if first is None else first
        speed = (text_bytes - first) / max(time.monotonic() - began, 1e-3)
        tell(
            documents=documents,
            bytes=text_bytes,
            of_bytes=spec.text_bytes,
            megabytes_a_second=round(speed / 1e6, 3),
            seconds_left=round((spec.text_bytes - text_bytes) / speed) if speed else None,
        )

    store = tokenise_corpus(
        locate(spec.corpus, spec),
        spec.corpus.fingerprint,
        Tokenizer.from_json(tokenizer_path(spec, spec.tokenizer).read_text()),
        tokens_folder(spec),
        progress,
        documents=documents_path(spec, spec.corpus.fingerprint),
    )
    return {"documents": len(store), "tokens": int(store.bases[-1])}


def score_run(spec: ScoreRunSpec, tell: Tell) -> dict[str, Any]:
    """Scores a stored checkpoint on a suite that was not there when it was trained."""
    from proxy.lm.checkpoints import load_checkpoint
    from proxy.lm.cohort import rescore
    from worker.cohorts.training import scoring_sets

    materials = Materials(spec)
    sets = scoring_sets([spec.suite], {spec.suite.id}, materials)
    weights = load_checkpoint(stored_path(spec, spec.checkpoint))
    tell(phase="scoring", run=spec.run.id)
    nats = rescore(spec.protocol, weights, sets, spec.threads)
    bench = Bench(spec=spec.suite, materials=materials, place=spec)
    return bench.result(spec.run, nats).model_dump(mode="json")


def _sample(corpora: Iterable[CorpusLocation], bytes_each: int, tell: Tell) -> Iterator[str]:
    for index, location in enumerate(corpora):
        tell(phase="reading", corpus=index)
        left = bytes_each
        for document in read_documents(location):
            yield document.text
            left -= len(document.text.encode())
            if left <= 0:
                break
