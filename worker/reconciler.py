"""Finds what nobody rang for: leases that ran out, evaluations that nobody concluded, work that waits.

Any number of reconcilers may run at once; each step is a short transaction that can be repeated.
"""

import logging
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from worker import leases
from worker.cohorts.endings import settle_failed_job
from worker.evaluations import conclude_runs
from worker.queue import Bell, ring
from worker.settings import Settings
from worker.store.models import Evaluation, EvaluationRun, Job, Run, utc_now
from worker.store.sessions import Sessions, read_scope, session_scope
from worker.store.states import FINAL_STATES

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What one look found: rows freed from dead workers, runs concluded late, and whether a bell rang."""

    freed_runs: tuple[str, ...]
    freed_jobs: tuple[str, ...]
    concluded_runs: tuple[str, ...]
    rang: tuple[Bell, ...]


def reconcile(sessions: Sessions, settings: Settings, now: datetime | None = None) -> Findings:
    """One look at everything that is not final."""
    now = now or utc_now()
    with session_scope(sessions) as session:
        freed_runs = tuple(run.id for run in leases.free_expired(session, Run, settings, now))
        freed_jobs = tuple(job.id for job in leases.free_expired(session, Job, settings, now))
        session.flush()
        for job_id in freed_jobs:
            settle_failed_job(session, job_id)
    if freed_runs or freed_jobs:
        logger.warning("freed runs %s and jobs %s from workers that fell silent", freed_runs, freed_jobs)
    rang = _ring_for_waiting(sessions, settings, now)
    concluded = _conclude_forgotten(sessions, settings)
    return Findings(freed_runs=freed_runs, freed_jobs=freed_jobs, concluded_runs=concluded, rang=rang)


def _conclude_forgotten(sessions: Sessions, settings: Settings) -> tuple[str, ...]:
    """A worker may die between a run's result and its evaluation's: conclude where every run has ended."""
    with read_scope(sessions) as session:
        forgotten = _forgotten_runs(session)
    if forgotten:
        with session_scope(sessions) as session:
            conclude_runs(session, settings, list(forgotten))
    return forgotten


def _forgotten_runs(session: Session) -> tuple[str, ...]:
    unfinished = (
        select(EvaluationRun.run_id)
        .join(Run, Run.id == EvaluationRun.run_id)
        .where(EvaluationRun.evaluation_id == Evaluation.id, Run.state.not_in(FINAL_STATES))
    )
    ended = select(Evaluation.id).where(Evaluation.state.not_in(FINAL_STATES), ~exists(unfinished))
    runs = select(EvaluationRun.run_id).where(EvaluationRun.evaluation_id.in_(ended)).distinct()
    return tuple(session.scalars(runs.order_by(EvaluationRun.run_id)))


def _ring_for_waiting(sessions: Sessions, settings: Settings, now: datetime) -> tuple[Bell, ...]:
    with read_scope(sessions) as session:
        waiting = {
            Bell.RUNS: session.scalars(select(Run.id).where(leases.is_waiting(Run, now)).limit(1)).first(),
            Bell.JOBS: session.scalars(select(Job.id).where(leases.is_waiting(Job, now)).limit(1)).first(),
        }
    due = tuple(bell for bell, found in waiting.items() if found)
    for bell in due:
        ring(bell, settings, expires_seconds=settings.reconcile_seconds)
    return due
