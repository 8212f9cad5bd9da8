"""Runs as a worker sees them: claimed in cohorts, kept by heartbeat, and concluded once.

Nothing here trains, and nothing here commits.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from typing import Any

from sqlalchemy import and_, func, select
from sqlalchemy.orm import Session

from worker import leases
from worker.devices import claimable_runs
from worker.leases import Claim, claim_of, host_prefix, is_claimable
from worker.settings import Settings
from worker.store.models import Protocol, Run, RunScore, utc_now
from worker.store.states import State

__all__ = [
    "Claim",
    "Outcome",
    "Score",
    "claim_cohort",
    "claim_of",
    "finish_run",
    "heartbeat",
    "release",
    "retry_run",
]


@dataclass(frozen=True, kw_only=True)
class Score:
    """A run on one suite, bits per byte; `artifact` is relative to the artifact folder. `checkpoints` are the scores
    that `score` averages (worker.cohorts.messages.CheckpointScore)."""

    suite_id: str
    score: float
    sets: dict[str, float]
    gates: list[dict[str, Any]]
    artifact: str
    checkpoints: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How an attempt ended: finished, stopped (a hopeless rate) or failed for good."""

    state: State
    result: dict[str, Any] | None = None
    error: str | None = None
    checkpoint: str | None = None
    scores: Sequence[Score] = field(default=())


def claim_cohort(session: Session, owner: str, settings: Settings, now: datetime | None = None) -> list[Run]:
    """The oldest waiting run and others of its cohort key, whole sweeps, a lane's share of what waits; [] if none.

    A sweep is never split between claimers: a cohort key is claimed under a lock on one of its protocols.
    """
    now = now or utc_now()
    while cohort_key := _oldest_cohort_key(session, settings, now):
        if not _lock_cohort_key(session, cohort_key):
            return []
        if runs := _lock_runs(session, _choose(session, cohort_key, settings, now), settings, now):
            for run in runs:
                leases.take(run, owner, settings, now)
            session.flush()
            return runs
    return []


def heartbeat(session: Session, claims: Iterable[Claim], settings: Settings, now: datetime | None = None) -> set[str]:
    """Extends the leases; the ids of runs that are still held, so neither lost nor cancelled."""
    return leases.extend(session, Run, claims, settings, now)


def finish_run(session: Session, claim: Claim, outcome: Outcome) -> bool:
    """Stores how the run ended and its scores; False (and nothing written) if the claim is lost."""
    run = leases.held(session, Run, claim)
    if run is None:
        return False
    leases.conclude(run, outcome.state, outcome.error)
    run.result, run.checkpoint = outcome.result, outcome.checkpoint
    for score in outcome.scores:
        record_score(session, run.id, score)
    return True


def record_score(session: Session, run_id: str, score: Score) -> None:
    """Adds a score unless the run has one on that suite: no result is overwritten."""
    if session.get(RunScore, (run_id, score.suite_id)) is None:
        session.add(
            RunScore(
                run_id=run_id,
                suite_id=score.suite_id,
                score=score.score,
                sets=score.sets,
                gates=score.gates,
                artifact=score.artifact,
                checkpoints=score.checkpoints,
            )
        )


def record_bf16_difference(session: Session, run_id: str, suite_id: str, difference: float) -> None:
    """Keeps what logits in bf16 add to the run's score, unless that is known."""
    score = session.get(RunScore, (run_id, suite_id))
    if score is not None and score.bf16_difference is None and math.isfinite(difference):
        score.bf16_difference = difference


def release(session: Session, claims: Iterable[Claim], settings: Settings) -> set[str]:
    """Gives runs back untouched: the worker stops, and the attempt is not held against them. The ids it freed."""
    rows = [row for claim in sorted(claims, key=lambda c: c.id) if (row := leases.held(session, Run, claim))]
    for row in rows:
        leases.put_back(row, settings, row.error, is_held_against=False)
    return {row.id for row in rows}


def retry_run(session: Session, claim: Claim, settings: Settings, error: str) -> bool:
    """The attempt broke: queues the run again, or fails it after the last attempt. False if the claim is lost."""
    run = leases.held(session, Run, claim)
    if run is None:
        return False
    leases.put_back(run, settings, error, is_held_against=True)
    return True


def _oldest_cohort_key(session: Session, settings: Settings, now: datetime) -> str | None:
    oldest = select(Run.cohort_key).where(claimable_runs(settings, now)).order_by(Run.created_at, Run.id)
    return session.scalars(oldest.limit(1)).first()


def _lock_cohort_key(session: Session, cohort_key: str) -> bool:
    """Waits for other claimers of the key. The lock lets evaluations refer to the protocol meanwhile."""
    first = select(Protocol.id).where(Protocol.cohort_key == cohort_key).order_by(Protocol.id).limit(1)
    return session.scalars(first.with_for_update(key_share=True)).first() is not None


def _choose(session: Session, cohort_key: str, settings: Settings, now: datetime) -> list[str]:
    """Ids of whole sweeps, oldest first, until a lane's fair share or `cohort_runs` is reached; the first sweep
    whatever its size.

    A lane's share is of what waits and of what this host's lanes have: a lane that comes second takes as much as the
    first, and does not start a child for half of what waits, another for a quarter, and so on.
    """
    waiting = select(Run.id, Run.sweep, Run.created_at).where(
        Run.cohort_key == cohort_key, is_claimable(Run, settings, now)
    )
    rows = session.execute(waiting).all()
    born: dict[str, datetime] = {}
    for row in rows:
        born[row.sweep or row.id] = min(row.created_at, born.get(row.sweep or row.id, row.created_at))
    ordered = sorted(rows, key=lambda row: (born[row.sweep or row.id], row.sweep or row.id, row.created_at, row.id))
    outstanding = len(rows) + _taken_here(session, cohort_key, now)
    most = min(settings.cohort_runs, math.ceil(outstanding / settings.resolved_lanes))
    chosen: list[str] = []
    for _, members in groupby(ordered, key=lambda row: row.sweep or row.id):
        ids = [row.id for row in members]
        if chosen and len(chosen) + len(ids) > most:
            break
        chosen += ids
    return chosen


def _taken_here(session: Session, cohort_key: str, now: datetime) -> int:
    """Runs that lanes of this host hold."""
    is_ours = Run.lease_owner.startswith(host_prefix(), autoescape=True)
    is_held = and_(Run.cohort_key == cohort_key, Run.state == State.RUNNING, Run.lease_expires_at >= now, is_ours)
    return session.scalar(select(func.count()).where(is_held)) or 0


def _lock_runs(session: Session, ids: Sequence[str], settings: Settings, now: datetime) -> list[Run]:
    locked = select(Run).where(Run.id.in_(ids), is_claimable(Run, settings, now))
    rows = session.scalars(locked.with_for_update(skip_locked=True).execution_options(populate_existing=True))
    place = {run_id: index for index, run_id in enumerate(ids)}
    return sorted(rows, key=lambda run: place[run.id])
