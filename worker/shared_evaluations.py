"""Evaluations that rate searches, replications and studies ask for, several at once. Two of them may wait for the same
one: whoever had it queued may cancel it, but not while another that goes on waits for it. What is left for that reason
is cancelled with the last of those that wait.

A row's points name its evaluations; `is_own`: queued for this row, because it was not there or had ended. What was
open already is not; nor is anything cancelled with a row that somebody has asked for by itself meanwhile
(`Evaluation.is_requested`).
"""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from worker.evaluation_runs import lock_runs
from worker.evaluations import Request, cancel_evaluation, lock_evaluations, lock_requested
from worker.store.models import EvaluationRun, RateSearch, Replication, Study
from worker.store.states import State

Asker = RateSearch | Replication | Study


def own_after(session: Session, points: Iterable[dict[str, Any]], requests: Sequence[Request]) -> set[str]:
    """Ids of evaluations that are the row's own once it has submitted these requests, beside new ones.

    Locks all that is there of them, so that they may be submitted in any order."""
    ended = {evaluation.id for evaluation in lock_requested(session, requests) if evaluation.state.is_final}
    return ended | _own(points)


def release_evaluations(session: Session, row: Asker) -> None:
    """Of a row that was cancelled: its evaluations are cancelled but for those that another open row needs, or that
    somebody asked for by itself."""
    session.flush()
    asked = sorted({point["evaluation"] for point in row.points})
    locked = lock_evaluations(session, asked)
    lock_runs(session, session.scalars(select(EvaluationRun.run_id).where(EvaluationRun.evaluation_id.in_(asked))))
    # Read under these locks: whoever asks for one of them meanwhile is seen now, or finds it cancelled and revives it.
    needed = {point["evaluation"] for other in _rows(session, State.RUNNING) for point in other.points}
    left = {evaluation_id for other in _rows(session, State.CANCELLED) for evaluation_id in _own(other.points)}
    for evaluation in locked:
        if evaluation.id in left and evaluation.id not in needed and not evaluation.is_requested:
            cancel_evaluation(session, evaluation.id)
    row.points = [point | {"is_own": point["is_own"] and point["evaluation"] in needed} for point in row.points]


def _own(points: Iterable[dict[str, Any]]) -> set[str]:
    return {point["evaluation"] for point in points if point["is_own"]}


def _rows(session: Session, state: State) -> list[Asker]:
    searches = session.scalars(select(RateSearch).where(RateSearch.state == state))
    races = session.scalars(select(Replication).where(Replication.state == state))
    studies = session.scalars(select(Study).where(Study.state == state))
    return [*searches, *races, *studies]
