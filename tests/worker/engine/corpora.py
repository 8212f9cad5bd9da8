"""Real small files, and the rows of an evaluation on them, written without the use cases."""

import gzip
import json
import random
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy.orm import Session

from proxy.protocols import Protocol as ProtocolSpec
from tests.worker.engine.rows import add_job, add_protocol, add_runs
from worker.engine import work_until_idle
from worker.settings import Settings
from worker.store import models
from worker.store.sessions import Sessions, read_scope, session_scope

WORDS = [
    "the",
    "worker",
    "claims",
    "a",
    "run",
    "and",
    "trains",
    "it",
    "on",
    "text",
    "that",
    "was",
    "read",
    "from",
    "a",
    "file",
    "while",
    "nobody",
    "waits",
    "for",
    "long",
]


def write_corpus(path: Path, documents: int, seed: int) -> Path:
    """JSON lines of random sentences, one `page` for every two documents."""
    draw = random.Random(seed)
    lines = [
        json.dumps({"text": " ".join(draw.choices(WORDS, k=20)) + f" {seed}-{i}", "page": i // 2})
        for i in range(documents)
    ]
    path.write_text("\n".join(lines) + "\n")
    return path


def write_endless_corpus(folder: Path) -> Path:
    """Small to write, and half a minute to read: the same ten thousand lines three hundred times."""
    path = folder / "endless.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"text": "again and again"}\n' * 10_000) * 300)
    return path


def add_corpus(session: Session, name: str, path: Path, fields: tuple[str, ...] = ()) -> models.Corpus:
    job = add_job(session, "register_corpus")
    row = models.Corpus(name=name, revision=1, uri=str(path), fields=list(fields), job_id=job.id)
    session.add(row)
    session.flush()
    return row


@dataclass(kw_only=True)
class Laboratory:
    """Registered corpora and a tokenizer, made by real children."""

    settings: Settings
    sessions: Sessions
    folder: Path
    fingerprints: dict[str, str] = field(default_factory=dict)
    tokenizer: str = ""

    def register(self, **documents: int) -> None:
        """Corpora of so many documents by name, and a tokenizer learnt from the first."""
        with session_scope(self.sessions) as session:
            for seed, (name, count) in enumerate(documents.items()):
                path = write_corpus(self.folder / f"{name}.jsonl", count, seed)
                add_corpus(session, name, path, ("page",))
            payload: dict[str, object] = {
                "vocabulary": 300,
                "corpora": [next(iter(documents))],
                "sample_bytes": 20_000,
            }
            job = add_job(session, "train_tokenizer", payload)
            session.add(models.Tokenizer(name="bpe", job_id=job.id))
        work_until_idle(self.sessions, self.settings)
        with read_scope(self.sessions) as session:
            for corpus in session.query(models.Corpus):
                assert corpus.fingerprint is not None, corpus.error
                self.fingerprints[corpus.name] = corpus.fingerprint
            tokenizer = session.query(models.Tokenizer).one()
            assert tokenizer.fingerprint is not None, tokenizer.error
            self.tokenizer = tokenizer.fingerprint

    def add_suite(self, session: Session, corpus: str, version: int = 1) -> models.Suite:
        part = {"name": corpus, "corpus": self.fingerprints[corpus], "cluster_field": "page"}
        row = models.Suite(
            name="suite", version=version, fingerprint=f"s{version}", spec={"name": "suite", "sets": [part]}
        )
        session.add(row)
        session.flush()
        return row

    def add_evaluation(
        self,
        session: Session,
        protocol: models.Protocol,
        suite: models.Suite,
        weights: dict[str, float],
        *,
        max_epochs: float = 1,
        **runs: object,
    ) -> models.Evaluation:
        """A recipe of these corpora, with runs as `add_runs` makes them."""
        title = "-".join(f"{corpus}{weight:g}" for corpus, weight in weights.items())
        sources = [{"corpus": name, "weight": weight, "max_epochs": max_epochs} for name, weight in weights.items()]
        recipe = models.Recipe(
            name=title,
            fingerprint=title,
            spec={"name": title, "sources": sources},
            corpora={corpus: self.fingerprints[corpus] for corpus in weights},
        )
        session.add(recipe)
        session.flush()
        rows = add_runs(session, protocol, recipe, **runs)  # type: ignore[arg-type]
        evaluation = models.Evaluation(
            kind="proxy",
            recipe_id=recipe.id,
            protocol_id=protocol.id,
            suite_id=suite.id,
            seeds=len(rows),
            learning_rates=[],
            request_key=title,
            runs=rows,
        )
        session.add(evaluation)
        session.flush()
        return evaluation

    def add_protocol(self, session: Session, spec: ProtocolSpec) -> models.Protocol:
        return add_protocol(session, spec.model_copy(update={"tokenizer": self.tokenizer}))
