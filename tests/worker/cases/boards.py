"""Runs ended by hand: scores that a test decides, without a training."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from proxy.ranking.gates import Gate
from tests.worker.cases.conftest import Bureau
from worker import evaluations
from worker.artifacts import SetLosses, new_losses_path, relative_path, write_losses
from worker.runs import Score, record_score
from worker.store.models import Run
from worker.store.states import State

DOCUMENTS = 9  # of the held-out corpus
DIVERGED = {"failed_step": 3}  # the result of a run whose loss did


def finish(
    session: Session, bureau: Bureau, run: Run, suite_id: str, nats: float = 100.0, gates: Sequence[Gate] = ()
) -> None:
    """The run has finished with about so many nats a document, and what depends on it is concluded."""
    path = new_losses_path(bureau.settings, run.id, suite_id)
    noise = np.random.default_rng(run.seed).normal(size=DOCUMENTS)
    losses = SetLosses(
        nats=nats + noise,
        text_bytes=np.full(DOCUMENTS, 150),
        clusters=np.arange(DOCUMENTS) // 3,
    )
    write_losses(path, {"held": losses})
    artifact = relative_path(bureau.settings, path)
    marks = [asdict(gate) for gate in gates]
    score = Score(suite_id=suite_id, score=1.0, sets={"held": 1.0}, gates=marks, artifact=artifact)
    run.state, run.error, run.checkpoint = State.FINISHED, None, "checkpoints/none.safetensors"
    record_score(session, run.id, score)
    session.flush()
    evaluations.conclude_runs(session, bureau.settings, [run.id])


def fail(session: Session, bureau: Bureau, run: Run, error: str, result: dict[str, Any] | None = None) -> None:
    """The run has failed, and what depends on it is concluded."""
    run.state, run.error, run.attempt, run.result = State.FAILED, error, 1, result
    session.flush()
    evaluations.conclude_runs(session, bureau.settings, [run.id])


def count(session: Session, model: type) -> int:
    return session.scalar(select(func.count()).select_from(model)) or 0


def forget_rows(session: Session, *models: type) -> None:
    """All rows of the models, in this order: the module's other tests find what they expect."""
    for model in models:
        for row in session.scalars(select(model)):
            session.delete(row)
        session.flush()
