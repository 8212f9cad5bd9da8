"""Leases: how a worker owns rows for a while, whatever happens to it.

A claim is (id, attempt, owner). Every later write names it and is refused when the row has moved on: another
worker claimed it after the lease ran out, or somebody cancelled it. The owner is drawn anew for every claim, so a
claim is unique even where a release took its attempt back.

Claiming is exclusive: a writing transaction on SQLite is alone (`BEGIN IMMEDIATE`), and PostgreSQL skips rows that
another claimer has locked (`FOR UPDATE SKIP LOCKED`).
"""

import os
import socket
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, CursorResult, and_, or_, select, update
from sqlalchemy.orm import Session

from worker.settings import Settings
from worker.store.models import Job, Run, utc_now
from worker.store.states import State

Leased = Job | Run
Row = TypeVar("Row", Job, Run)


@dataclass(frozen=True, kw_only=True)
class Claim:
    """The right to write one row: `attempt` is the fencing token, `owner` names the claim."""

    id: str
    attempt: int
    owner: str


def new_owner() -> str:
    """Who claims, unique for every claim and readable in a log (at most 100 characters)."""
    return f"{host_prefix()}{os.getpid()}:{uuid.uuid4().hex[:12]}"


def host_prefix() -> str:
    """How the owners of this host's claims begin."""
    return f"{socket.gethostname()[:50]}:"


def claim_of(row: Leased) -> Claim:
    """The claim its worker holds; the row must be leased."""
    assert row.lease_owner is not None
    return Claim(id=row.id, attempt=row.attempt, owner=row.lease_owner)


def is_waiting(model: type[Leased], now: datetime) -> ColumnElement[bool]:
    """Queued, or running with a lease that ran out."""
    has_expired = and_(model.state == State.RUNNING, model.lease_expires_at < now)
    return or_(model.state == State.QUEUED, has_expired)


def is_claimable(model: type[Leased], settings: Settings, now: datetime) -> ColumnElement[bool]:
    """Waiting, with an attempt left."""
    return and_(is_waiting(model, now), model.attempt < settings.max_attempts)


def take(row: Leased, owner: str, settings: Settings, now: datetime) -> None:
    """Makes the row this owner's, and counts the attempt."""
    row.state = State.RUNNING
    row.attempt += 1
    row.lease_owner = owner
    row.lease_expires_at = now + timedelta(seconds=settings.lease_seconds)
    row.started_at = now
    row.progress = {}


def held(session: Session, model: type[Row], claim: Claim) -> Row | None:
    """The locked row while the claim is good, None once it has been lost or cancelled."""
    statement = select(model).where(_is_held(model, claim)).with_for_update()
    return session.scalars(statement.execution_options(populate_existing=True)).one_or_none()


def extend(
    session: Session,
    model: type[Leased],
    claims: Iterable[Claim],
    settings: Settings,
    now: datetime | None = None,
) -> set[str]:
    """Renews the leases; the ids that are still held. One statement a claim: a cohort has tens, not thousands."""
    expiry = (now or utc_now()) + timedelta(seconds=settings.lease_seconds)
    ordered = sorted(claims, key=lambda claim: claim.id)  # two writers of the same rows never wait crosswise
    return {claim.id for claim in ordered if _write(session, model, claim, {"lease_expires_at": expiry})}


def record_progress(session: Session, model: type[Leased], claim: Claim, progress: dict[str, Any]) -> bool:
    """Shows how far the work is; False if the claim is lost."""
    return _write(session, model, claim, {"progress": progress})


def conclude(row: Leased, state: State, error: str | None = None, now: datetime | None = None) -> None:
    """Writes a final state and ends the lease. The last error of an attempt that succeeded in the end is cleared."""
    row.state, row.error = state, error
    row.finished_at = now or utc_now()
    row.lease_owner = row.lease_expires_at = None


def put_back(row: Leased, settings: Settings, error: str | None, *, is_held_against: bool) -> bool:
    """Queues the row again; False if its attempts are used up and it failed with `error` instead.

    An attempt that ended through no fault of the work (the worker was told to stop) is not held against it.
    """
    if not is_held_against:
        row.attempt -= 1
    elif row.attempt >= settings.max_attempts:
        conclude(row, State.FAILED, error)
        return False
    row.state, row.error = State.QUEUED, error
    row.lease_owner = row.lease_expires_at = None
    row.progress = {}
    return True


def free_expired(session: Session, model: type[Row], settings: Settings, now: datetime) -> Sequence[Row]:
    """Queues rows whose lease ran out, or fails them after their last attempt; all the rows it changed."""
    has_expired = and_(model.state == State.RUNNING, model.lease_expires_at < now)
    rows = session.scalars(select(model).where(has_expired).with_for_update(skip_locked=True)).all()
    for row in rows:
        error = f"attempt {row.attempt} of {settings.max_attempts}: worker {row.lease_owner} fell silent"
        put_back(row, settings, row.error or error, is_held_against=True)
    return rows


def _is_held(model: type[Leased], claim: Claim) -> ColumnElement[bool]:
    return and_(
        model.id == claim.id,
        model.state == State.RUNNING,
        model.attempt == claim.attempt,
        model.lease_owner == claim.owner,
    )


def _write(session: Session, model: type[Leased], claim: Claim, values: dict[str, Any]) -> bool:
    statement = update(model).where(_is_held(model, claim)).values(**values)
    result = session.execute(statement, execution_options={"synchronize_session": False})
    assert isinstance(result, CursorResult)
    return result.rowcount == 1
