"""A small service in a temporary folder, for faults that are planted in real trainings: real text, a tokenizer, suites.

Trainings run in this process, by the code that a child runs, so that a fault can be planted in the code too; their
outcomes are judged as the service judges them.
"""

import json
import random
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from api.demo.corpora import COLLECTORS
from api.demo.splits import Document, split, unseen
from proxy.protocols import Protocol
from proxy.suites import Suite
from worker import corpora, protocols, suites, tokenizers
from worker.cohorts.endings import outcome_of
from worker.cohorts.messages import CohortSpec, RunEnded, RunResult, RunSpec, SetResult
from worker.cohorts.specs import build_cohort_spec
from worker.engine import work_until_idle
from worker.evaluations import Request, submit_evaluation
from worker.runs import Outcome
from worker.settings import Settings
from worker.store.migrate import upgrade_database
from worker.store.sessions import Sessions, make_engine, make_sessions, session_scope

VOCABULARY, CONTEXT = 1024, 64
SHAPE = {"layers": 2, "width": 64, "heads": 2, "hidden": 176, "context_tokens": CONTEXT, "vocabulary": VOCABULARY}
STEPS, BATCH_SEQUENCES = 300, 8
STANDARD_RATE = 4e-3
HELD_OUT = ("prose", "python")
PLANTED_COPIES = 60  # of each held-out document, so that most are drawn
RECIPES: dict[str, dict[str, float]] = {
    "prose": {"prose": 1.0},
    "python": {"python": 1.0},
    "both": {"prose": 1.0, "python": 1.0},
    "leaking": {"leaking": 1.0},
}


class NobodyAsks:
    """Orders of a supervisor that wants nothing."""

    def has_cancelled(self, run_id: str) -> bool:
        return False

    def is_stopping(self) -> bool:
        return False

    def keep_states(self) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Trained:
    """One run and what the service stores of it."""

    run: RunSpec
    outcome: Outcome

    @property
    def result(self) -> RunResult:
        return RunResult.model_validate(self.outcome.result)

    @property
    def score(self) -> float | None:
        """None where it has none."""
        return self.outcome.scores[0].score if self.outcome.scores else None

    @property
    def sets(self) -> dict[str, SetResult]:
        """By name; {} for a run that has not finished."""
        return next((part.sets for part in self.result.suites.values()), {})

    @property
    def gates(self) -> dict[str, dict[str, Any]]:
        return {gate["name"]: gate for score in self.outcome.scores for gate in score.gates}

    @property
    def failed(self) -> tuple[str, ...]:
        """Names of the gates that it failed."""
        return tuple(name for name, gate in self.gates.items() if not gate["passed"])


@dataclass(frozen=True, kw_only=True)
class Laboratory:
    """Everything registered, nothing trained."""

    settings: Settings
    sessions: Sessions

    def cohort(self, recipe: str, *, shuffled: bool = False, seeds: int = 1) -> CohortSpec:
        """What a child would be told to train."""
        with session_scope(self.sessions) as session:
            asked = Request(
                recipe=_recipe(recipe), protocol="shuffled" if shuffled else "ordered", suite="held-out", seeds=seeds
            )
            evaluation, _ = submit_evaluation(session, self.settings, asked)
            return build_cohort_spec(session, evaluation.runs, self.settings)

    def train(self, spec: CohortSpec, rates: Sequence[float] = (STANDARD_RATE,)) -> list[Trained]:
        """The runs at each of the rates."""
        from worker.cohorts.training import train_runs

        runs = {
            f"{run.id}-{rate:g}": run.model_copy(update={"learning_rate": rate}) for rate in rates for run in spec.runs
        }
        wanted = tuple(run.model_copy(update={"id": name}) for name, run in runs.items())
        spec = spec.model_copy(update={"runs": wanted})
        ended: list[RunEnded] = list(train_runs(spec, lambda line: None, NobodyAsks()))
        return [Trained(run=runs[line.run], outcome=outcome_of(line, spec)) for line in ended]


def _recipe(name: str) -> dict[str, Any]:
    sources = [{"corpus": corpus, "weight": weight} for corpus, weight in RECIPES[name].items()]
    return {"name": name, "sources": sources}


@contextmanager
def open_laboratory() -> Iterator[Laboratory]:
    """Registers two corpora, one that leaks, and what is held out."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(_env_file=None, data_dir=Path(folder) / "data", threads=1, compile=False)
        upgrade_database(settings)
        engine = make_engine(settings.resolved_database_url)
        made = Laboratory(settings=settings, sessions=make_sessions(engine))
        _register(made, Path(folder) / "corpora")
        yield made
        engine.dispose()


def _register(made: Laboratory, folder: Path) -> None:
    with session_scope(made.sessions) as session:
        for name, texts in _texts().items():
            corpora.register_corpus(session, name, str(_write(folder / f"{name}.jsonl", texts)))
    work_until_idle(made.sessions, made.settings)
    with session_scope(made.sessions) as session:
        tokenizers.train_tokenizer(session, "bpe", VOCABULARY, list(HELD_OUT), 1_000_000)
    work_until_idle(made.sessions, made.settings)
    with session_scope(made.sessions) as session:
        sets = [{"name": name, "corpus": f"{name}-held-out"} for name in HELD_OUT]
        suites.store_suite(session, Suite.model_validate({"name": "held-out", "sets": sets}))
        for name in ("ordered", "shuffled"):
            protocols.store_protocol(session, _protocol(name))


def _protocol(name: str) -> Protocol:
    return Protocol.model_validate(
        {
            "name": name,
            "architecture": SHAPE,
            "tokenizer": "bpe",
            "batch_sequences": BATCH_SEQUENCES,
            "steps": STEPS,
            "standard_rate": STANDARD_RATE,
            "precision": "fp32",
            "shuffled_tokens": name == "shuffled",
        }
    )


def _texts() -> dict[str, list[str]]:
    """Of each corpus. The leaking one holds the training documents and among them the held-out ones, each under a new
    first line: word for word the same documents would be refused before anything is trained."""
    splits = {name: split(COLLECTORS[name]()) for name in HELD_OUT}
    held_out = {f"{name}-held-out": _plain(documents) for name, documents in unseen(splits).items()}
    train = {name: _plain(documents) for name, (documents, _) in splits.items()}
    planted = [f"Copy {copy}.\n{text}" for copy in range(PLANTED_COPIES) for text in held_out["prose-held-out"]]
    leaking = [*train["prose"], *planted]
    random.Random(0).shuffle(leaking)
    return {**train, **held_out, "leaking": leaking}


def _plain(documents: list[Document]) -> list[str]:
    return [document["text"] for document in documents]


def _write(path: Path, texts: list[str]) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return path
