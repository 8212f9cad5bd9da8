"""Finds what nobody rang for: leases that ran out, evaluations that nobody concluded, work that waits.

Any number of reconcilers may run at once; each step is a short transaction that can be repeated.
"""

import logging
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from proxy.errors import SharedStoreError
from worker import leases
from worker.artifacts import forget_states, states_folder
from worker.cohorts.endings import settle_failed_job
from worker.cohorts.work import conclude
from worker.parts import heal
from worker.queue import Bell, ring
from worker.rate_searches import conclude_searches
from worker.replications import advance_replications
from worker.retirements import purge_again
from worker.settings import Settings
from worker.store.models import Evaluation, EvaluationRun, Job, Run, utc_now
from worker.store.sessions import Sessions, read_scope, session_scope
from worker.store.states import FINAL_STATES, State
from worker.studies import advance_studies

UNCLAIMED_SECONDS = 86_400.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What one look found: rows freed from dead workers, evaluations and rate searches concluded late, replications
    and studies that went on late, and which bells rang."""

    freed_runs: tuple[str, ...]
    freed_jobs: tuple[str, ...]
    concluded: tuple[str, ...]
    advanced: tuple[str, ...]
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
    with session_scope(sessions) as session:
        if healed := heal(session):
            logger.warning("settled jobs %s, whose parts had all ended", healed)
        _purge_again(session, settings)
    sweep_states(sessions, settings, now)
    rang = _ring_for_waiting(sessions, settings, now)
    concluded = _conclude_forgotten(sessions, settings) + conclude_searches(sessions, settings)
    if advanced := advance_replications(sessions, settings) + advance_studies(sessions, settings):
        rang += _ring_for_waiting(sessions, settings, now)  # for the next round, or more seeds
    return Findings(freed_runs=freed_runs, freed_jobs=freed_jobs, concluded=concluded, advanced=advanced, rang=rang)


def _purge_again(session: Session, settings: Settings) -> None:
    """A store that does not answer holds up nobody else's work: what is left is found at the next look."""
    try:
        purged = purge_again(session, settings)
    except SharedStoreError as error:
        logger.warning("retired contents could not be removed yet: %s", error)
        return
    if purged:
        logger.warning("removed what was left, or made again, of retired contents %s", purged)


def sweep_states(sessions: Sessions, settings: Settings, now: datetime) -> tuple[str, ...]:
    """Removes the states of runs that have ended while nobody was there to do it; the runs' ids.

    Those of a cancelled run stay for a day, as it may be asked for again; so do those of runs that are not known here.
    """
    folders = {path.name: path for path in states_folder(settings).glob("*")}
    if not folders:
        return ()
    with read_scope(sessions) as session:
        found = session.execute(select(Run.id, Run.state).where(Run.id.in_(folders)))
        states = {row.id: row.state for row in found}
    ended = {State.FINISHED, State.STOPPED, State.FAILED}
    swept = tuple(
        name
        for name, path in folders.items()
        if states.get(name) in ended
        or (states.get(name) in (None, State.CANCELLED) and _age_seconds(path, now) > UNCLAIMED_SECONDS)
    )
    for run_id in swept:
        forget_states(settings, run_id)
    return swept


def _age_seconds(path: Path, now: datetime) -> float:
    """Since a file in it was last written or removed; 0 where it has gone meanwhile."""
    with suppress(FileNotFoundError):
        return now.timestamp() - path.stat().st_mtime
    return 0.0


def _conclude_forgotten(sessions: Sessions, settings: Settings) -> tuple[str, ...]:
    """A worker may die between a run's result and its evaluation's: conclude where every run has ended.

    Each evaluation alone, so that one that cannot be ranked does not hold up the others.
    """
    with read_scope(sessions) as session:
        forgotten = _forgotten_evaluations(session)
    for runs in forgotten.values():
        conclude(sessions, settings, runs)
    return tuple(forgotten)


def _forgotten_evaluations(session: Session) -> dict[str, list[str]]:
    """Ids of their runs, by evaluation."""
    unfinished = (
        select(EvaluationRun.run_id)
        .join(Run, Run.id == EvaluationRun.run_id)
        .where(EvaluationRun.evaluation_id == Evaluation.id, Run.state.not_in(FINAL_STATES))
    )
    ended = select(Evaluation.id).where(Evaluation.state.not_in(FINAL_STATES), ~exists(unfinished))
    found: dict[str, list[str]] = {}
    for link in session.scalars(select(EvaluationRun).where(EvaluationRun.evaluation_id.in_(ended))):
        found.setdefault(link.evaluation_id, []).append(link.run_id)
    return found


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
