"""The jobs a child does besides training: reading a corpus, learning a tokenizer, scoring a checkpoint."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from proxy.data.corpora import read_documents
from proxy.data.documents import scan_corpus
from proxy.data.tokenizers import Tokenizer
from proxy.data.tokenizers import train_tokenizer as learn_tokenizer
from worker.artifacts import documents_path, stored_path, tokenizer_path, write_bytes
from worker.cohorts.materials import Bench, Materials, locate
from worker.cohorts.messages import CorpusSpec, RegisterCorpusSpec, ScoreRunSpec, TrainTokenizerSpec

Tell = Callable[..., None]


def register_corpus(spec: RegisterCorpusSpec, tell: Tell) -> dict[str, Any]:
    """Reads the corpus to its end and keeps its table of documents. InvalidInputError if it cannot."""
    table, counts = scan_corpus(locate(spec.corpus), lambda documents, bytes_: tell(documents=documents, bytes=bytes_))
    table.save(documents_path(spec, counts.fingerprint))
    return {
        "fingerprint": counts.fingerprint,
        "documents": counts.documents,
        "characters": counts.characters,
        "text_bytes": counts.text_bytes,
    }


def train_tokenizer(spec: TrainTokenizerSpec, tell: Tell) -> dict[str, Any]:
    """Learns from an equal number of bytes of each corpus, in reading order."""
    each = spec.sample_bytes // len(spec.corpora)
    content = learn_tokenizer(_sample(spec.corpora, each, tell), spec.vocabulary)
    tokenizer = Tokenizer.from_json(content)
    write_bytes(tokenizer_path(spec, tokenizer.fingerprint), content.encode())
    return {"fingerprint": tokenizer.fingerprint, "vocabulary": tokenizer.vocabulary}


def score_run(spec: ScoreRunSpec, tell: Tell) -> dict[str, Any]:
    """Scores a stored checkpoint on a suite that was not there when it was trained."""
    from proxy.lm.checkpoints import load_checkpoint
    from proxy.lm.cohort import rescore
    from worker.cohorts.training import scoring_sets

    materials = Materials(spec, spec.protocol)
    sets = scoring_sets([spec.suite], {spec.suite.id}, materials)
    weights = load_checkpoint(stored_path(spec, spec.checkpoint))
    tell(phase="scoring", run=spec.run.id)
    nats = rescore(spec.protocol, weights, sets, spec.threads)
    bench = Bench(spec=spec.suite, materials=materials, place=spec)
    return bench.result(spec.run, nats).model_dump(mode="json")


def _sample(corpora: Iterable[CorpusSpec], bytes_each: int, tell: Tell) -> Iterator[str]:
    for index, corpus in enumerate(corpora):
        tell(phase="reading", corpus=index)
        left = bytes_each
        for document in read_documents(locate(corpus)):
            yield document.text
            left -= len(document.text.encode())
            if left <= 0:
                break
