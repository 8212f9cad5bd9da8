"""A job done in parts: its own attempt plans them, any worker does each, and the last one that ends wakes the job.

While its parts are done the job is running without a lease: nobody claims it, and no lease of it runs out. Woken, it is
queued again, and its next attempt joins what the parts made. A part that fails fails the job, and what is left of the
others is cancelled.

Locks are taken in one order everywhere: a part, or parts by id, then their job. So of two parts that end at once one
sees the other's end.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from proxy.errors import ConflictError, NotFoundError
from worker import leases
from worker.jobs import JobKind
from worker.leases import Claim
from worker.store.models import Job, utc_now
from worker.store.states import FINAL_STATES, State


def fan_out(session: Session, claim: Claim, kind: JobKind, payloads: Iterable[Mapping[str, Any]]) -> bool:
    """Adds the parts and lets the job wait for them; False (and nothing written) if the claim is lost."""
    job = leases.held(session, Job, claim)
    if job is None:
        return False
    session.add_all(Job(kind=kind, payload=dict(payload), parent_id=job.id) for payload in payloads)
    job.lease_owner = job.lease_expires_at = None
    job.progress = {}
    session.flush()
    return True


def parts_of(session: Session, job_id: str) -> Sequence[Job]:
    """In the order in which they were planned."""
    return session.scalars(select(Job).where(Job.parent_id == job_id).order_by(Job.created_at, Job.id)).all()


def settle_part(session: Session, part: Job) -> None:
    """After a part has ended: wakes its job if it was the last, or fails it."""
    if part.parent_id is None or not part.state.is_final:
        return
    session.flush()
    if part.state == State.FAILED:
        _fail(session, part)
    elif part.state == State.FINISHED:
        wake(session, part.parent_id)


def wake(session: Session, job_id: str) -> bool:
    """Queues a waiting job whose parts have all finished; True if it did."""
    job = _locked(session, job_id)
    if not _is_waiting_for_parts(job) or _unfinished(session, job_id):
        return False
    job.state, job.attempt = State.QUEUED, 0
    session.flush()
    return True


def heal(session: Session) -> list[str]:
    """Settles jobs that wait although all their parts have ended: nobody does after a kill at the wrong moment."""
    waiting = select(Job.id).where(Job.state == State.RUNNING, Job.lease_owner.is_(None))
    healed = []
    for job_id in session.scalars(waiting).all():
        failed = [part for part in parts_of(session, job_id) if part.state in (State.FAILED, State.CANCELLED)]
        if failed:
            _fail(session, failed[0])
        if failed or wake(session, job_id):
            healed.append(job_id)
    return healed


def cancel_job(session: Session, job_id: str) -> Job:
    """Cancels a job and its parts; a child that works on one is ended at its next heartbeat. A final job is left alone.

    NotFoundError if there is none; ConflictError for a part or a scoring, which belong to something else.
    """
    job = session.get(Job, job_id)
    if job is None:
        raise NotFoundError(f"no job {job_id!r}")
    if job.parent_id is not None:
        raise ConflictError(f"job {job_id} is a part of job {job.parent_id}; cancel that one")
    if job.kind == JobKind.SCORE_RUN:
        raise ConflictError(f"job {job_id} scores a run; cancel the evaluation that asked for it")
    _cancel_parts(session, job_id)
    job = _locked(session, job_id)
    if not job.state.is_final:
        leases.conclude(job, State.CANCELLED, job.error)
        session.flush()
    return job


def summed_progress(session: Session, job: Job, of_bytes: int) -> dict[str, Any]:
    """Documents, bytes, speed and time left of all parts together; of the job itself where it has none."""
    parts = parts_of(session, job.id)
    if not parts or job.state.is_final:
        return job.progress
    seen = [part.result if part.state == State.FINISHED and part.result else part.progress for part in parts]
    documents, text_bytes = (sum(one.get(name) or 0 for one in seen) for name in ("documents", "bytes"))
    running = [part.progress.get("megabytes_a_second") or 0.0 for part in parts if part.state == State.RUNNING]
    speed = sum(running)
    return {
        "documents": documents,
        "bytes": text_bytes,
        "of_bytes": of_bytes,
        "megabytes_a_second": round(speed, 3),
        "seconds_left": round(max(of_bytes - text_bytes, 0) / 1e6 / speed) if speed else None,
        "parts": len(parts),
        "parts_done": sum(part.state == State.FINISHED for part in parts),
    }


def _fail(session: Session, part: Job) -> None:
    assert part.parent_id is not None
    _cancel_parts(session, part.parent_id)
    job = _locked(session, part.parent_id)
    if not job.state.is_final:
        leases.conclude(job, State.FAILED, part.error or f"a part of it, {part.id}, was {part.state}")
    session.flush()


def _cancel_parts(session: Session, job_id: str) -> None:
    unfinished = select(Job).where(Job.parent_id == job_id, Job.state.not_in(FINAL_STATES)).order_by(Job.id)
    now = utc_now()
    for part in session.scalars(unfinished.with_for_update().execution_options(populate_existing=True)):
        leases.conclude(part, State.CANCELLED, None, now)


def _locked(session: Session, job_id: str) -> Job:
    statement = select(Job).where(Job.id == job_id).with_for_update()
    return session.scalars(statement.execution_options(populate_existing=True)).one()


def _is_waiting_for_parts(job: Job) -> bool:
    return job.state == State.RUNNING and job.lease_owner is None


def _unfinished(session: Session, job_id: str) -> int:
    parts = select(func.count()).select_from(Job).where(Job.parent_id == job_id, Job.state != State.FINISHED)
    return session.scalar(parts) or 0
