"""A service without processes: real SQLite, real files, work done by draining the queue where a test needs it."""

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.orm import Session

from proxy.protocols import Architecture, Protocol, Scoring
from proxy.suites import Suite
from worker import corpora, evaluations, protocols, suites, tokenizers
from worker.engine import work_until_idle
from worker.settings import Settings
from worker.store import models
from worker.store.sessions import Sessions, session_scope

VOCABULARY = 280  # few enough that the text surely fills it
WORDS = "a data team asks which recipe gives the best large model and how sure we are of it".split()


@dataclass(frozen=True, kw_only=True)
class Bureau:
    """Registered corpora `web`, `code`, `tiny` and held-out `held`, a tokenizer, a suite and a small protocol."""

    settings: Settings
    sessions: Sessions
    folder: Path

    def write(self, name: str, documents: int, seed: int) -> Path:
        draw = random.Random(seed)
        texts = (" ".join(draw.choices(WORDS, k=30)) + f" {seed} {index}" for index in range(documents))
        lines = [json.dumps({"text": text, "page": index // 3}) for index, text in enumerate(texts)]
        path = self.folder / f"{name}.jsonl"
        path.write_text("\n".join(lines) + "\n")
        return path

    def register(self, name: str, documents: int, seed: int) -> None:
        with session_scope(self.sessions) as session:
            corpora.register_corpus(session, name, str(self.write(name, documents, seed)), fields=("page",))

    def drain(self) -> None:
        work_until_idle(self.sessions, self.settings)

    def protocol(self, name: str = "small", **options: Any) -> Protocol:
        architecture = Architecture(layers=1, width=16, heads=1, hidden=16, context_tokens=16, vocabulary=VOCABULARY)
        settings: dict[str, Any] = {
            "name": name,
            "architecture": architecture,
            "tokenizer": "bpe",
            "batch_sequences": 2,
            "steps": 8,
            "standard_rate": 1e-2,
            "precision": "fp32",
            "scoring": Scoring(checkpoints=1),
        }
        return Protocol.model_validate(settings | options)


def recipe(name: str, **weights: float) -> dict[str, Any]:
    return {"name": name, "sources": [{"corpus": corpus, "weight": weight} for corpus, weight in weights.items()]}


def submit(session: Session, bureau: Bureau, body: object, **options: Any) -> tuple[models.Evaluation, bool]:
    asked = {"recipe": body, "protocol": "small", "suite": "suite", **options}
    return evaluations.submit_evaluation(session, bureau.settings, evaluations.Request(**asked))


@pytest.fixture(scope="module")
def bureau(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bureau]:
    from worker.store.migrate import upgrade_database
    from worker.store.sessions import make_engine, make_sessions

    folder = tmp_path_factory.mktemp("bureau")
    settings = Settings(_env_file=None, data_dir=folder / "data", threads=1, compile=False)
    upgrade_database(settings)
    engine = make_engine(settings.resolved_database_url)
    made = Bureau(settings=settings, sessions=make_sessions(engine), folder=folder)
    for seed, (name, documents) in enumerate({"web": 120, "code": 120, "tiny": 1, "held": 9}.items()):
        made.register(name, documents, seed)
    made.drain()
    with session_scope(made.sessions) as session:
        tokenizers.train_tokenizer(session, "bpe", VOCABULARY, ["web", "code"], 20_000)
    made.drain()
    with session_scope(made.sessions) as session:
        protocols.store_protocol(session, made.protocol())
        part = {"name": "held", "corpus": "held", "cluster_field": "page"}
        suites.store_suite(session, Suite.model_validate({"name": "suite", "sets": [part]}))
    yield made
    engine.dispose()


@pytest.fixture
def session(bureau: Bureau) -> Iterator[Session]:
    """A writing session; what a test wrote is undone."""
    with bureau.sessions() as session:
        yield session
        session.rollback()
