"""The jobs a child does besides training: reading a corpus, learning a tokenizer, tokenising, scoring."""

import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np

from proxy.data.corpora import CorpusLocation, read_documents
from proxy.data.documents import Int64Array
from proxy.data.files import require_within
from proxy.data.scans import scan_once
from proxy.data.shared_tables import publish_table
from proxy.data.tokenizers import Tokenizer
from proxy.data.tokenizers import train_tokenizer as learn_tokenizer
from proxy.data.tokens import SharedTokens, import_tokens, open_tokens, publish_tokens
from proxy.errors import InvalidInputError
from worker.artifacts import documents_folder, documents_path, tokenizer_path, tokens_folder, write_bytes
from worker.cohorts.materials import Bench, Materials, locate, set_name
from worker.cohorts.messages import (
    ImportTokensSpec,
    JobSpec,
    RegisterCorpusSpec,
    RescoreRunsSpec,
    ScoreRunSpec,
    TokeniseCorpusSpec,
    TokeniseSpanSpec,
    TrainTokenizerSpec,
)
from worker.cohorts.reading import Tell
from worker.cohorts.tokenising import tokenise, tokenise_span
from worker.sharing import find_file, load_tokenizer, share_file, shared_store


def do(spec: JobSpec, tell: Tell) -> dict[str, Any]:
    """The job's result. ForetasteError if it cannot be done."""
    match spec:
        case RegisterCorpusSpec():
            return register_corpus(spec, tell)
        case TrainTokenizerSpec():
            return train_tokenizer(spec, tell)
        case TokeniseCorpusSpec():
            return tokenise(spec, tell)
        case TokeniseSpanSpec():
            return tokenise_span(spec, tell)
        case ImportTokensSpec():
            return import_corpus(spec, tell)
        case ScoreRunSpec():
            return score_run(spec, tell)
        case RescoreRunsSpec():
            return rescore_runs(spec, tell)


def register_corpus(spec: RegisterCorpusSpec, tell: Tell) -> dict[str, Any]:
    """Reads the corpus to its end, unless these files were read before, and keeps its table of documents.
    InvalidInputError if it cannot."""
    location = locate(spec.corpus, spec)
    folder = documents_folder(spec)
    counts = scan_once(location, folder, lambda documents, bytes_: tell(documents=documents, bytes=bytes_))
    if (shared := shared_store(spec)) is not None:
        publish_table(shared, documents_path(spec, counts.fingerprint), counts.fingerprint)
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
    share_file(spec, tokenizer_path(spec, tokenizer.fingerprint))
    return {"fingerprint": tokenizer.fingerprint, "vocabulary": tokenizer.vocabulary}


def import_corpus(spec: ImportTokensSpec, tell: Tell) -> dict[str, Any]:
    """Copies the tokens into a store, and its table to where the tables of all corpora lie."""
    for path in (spec.tokens, spec.offsets, spec.text_bytes):
        if isinstance(path, Path):
            require_within(str(path), spec.corpus_roots)
    tell(phase="reading", bytes=spec.tokens.stat().st_size)
    made = import_tokens(
        spec.tokens,
        load_tokenizer(spec, spec.tokenizer),
        tokens_folder(spec),
        offsets_path=spec.offsets,
        dtype=spec.dtype,
        text_bytes=_text_bytes(spec.text_bytes),
    )
    store = open_tokens(tokens_folder(spec), made.fingerprint, spec.tokenizer)
    assert store is not None
    documents = documents_path(spec, made.fingerprint)
    store.documents.save(documents)
    if (shared := shared_store(spec)) is not None:
        place = tokens_folder(spec) / made.fingerprint / spec.tokenizer
        publish_tokens(SharedTokens(store=shared, place=place), documents)
    return {
        "fingerprint": made.fingerprint,
        "documents": made.documents,
        "tokens": made.tokens,
        "text_bytes": made.text_bytes,
        "characters": int(store.documents.characters.sum()) if spec.text_bytes == "decode" else None,
        "lost": list(made.lost),
    }


def _text_bytes(asked: Path | Literal["decode"] | None) -> Int64Array | Literal["decode"] | None:
    """InvalidInputError at /text_bytes for a file that holds no whole numbers of at least 0."""
    if not isinstance(asked, Path):
        return asked
    try:
        found = np.load(asked, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InvalidInputError.at("/text_bytes", str(asked), f"cannot be read: {error}") from error
    if not isinstance(found, np.ndarray) or found.ndim != 1 or found.dtype.kind not in "iu" or (found < 0).any():
        raise InvalidInputError.at("/text_bytes", str(asked), "is no flat array of whole numbers of at least 0")
    return found.astype(np.int64)


def score_run(spec: ScoreRunSpec, tell: Tell) -> dict[str, Any]:
    """Scores a stored checkpoint on a suite that was not there when it was trained."""
    from proxy.lm.checkpoints import load_checkpoint
    from proxy.lm.rescoring import rescore_by_step
    from worker.cohorts.training import scoring_sets

    materials = Materials(spec)
    materials.tell = tell
    sets = scoring_sets([spec.suite], {spec.suite.id}, materials)
    weights = load_checkpoint(find_file(spec, spec.checkpoint))
    tell(phase="scoring", run=spec.run.id)
    by_step = rescore_by_step(spec.protocol, weights, sets, spec.threads)
    nats = {name: np.mean([one[name] for one in by_step.values()], axis=0) for name in sets}
    bench = Bench(spec=spec.suite, materials=materials, place=spec)
    return bench.result(spec.run, nats, by_step, {}).model_dump(mode="json")


def rescore_runs(spec: RescoreRunsSpec, tell: Tell) -> dict[str, Any]:
    """By run, what logits in bf16 add to its score on the suite, in bits per byte."""
    from proxy.lm.checkpoints import load_checkpoint
    from proxy.lm.rescoring import bf16_differences
    from worker.cohorts.training import scoring_sets

    materials = Materials(spec)
    materials.tell = tell
    sets = scoring_sets([spec.suite], {spec.suite.id}, materials)
    shares = spec.suite.suite.shares()
    names = {part.name: set_name(part, spec.suite.corpora[part.corpus]) for part in spec.suite.suite.sets}
    stored = (load_checkpoint(find_file(spec, path)) for path in spec.checkpoints.values())
    found = {}
    measured = bf16_differences(spec.protocol, stored, sets, spec.threads)
    for run_id, by_set in zip(spec.checkpoints, measured, strict=True):
        tell(phase="scoring", run=run_id)
        found[run_id] = math.fsum(shares[part] * by_set[name] for part, name in names.items())
    return {"bf16_differences": found}


def _sample(corpora: Iterable[CorpusLocation], bytes_each: int, tell: Tell) -> Iterator[str]:
    for index, location in enumerate(corpora):
        tell(phase="reading", corpus=index)
        left = bytes_each
        for document in read_documents(location):
            yield document.text
            left -= len(document.text.encode())
            if left <= 0:
                break
