"""Jobs: long work that is not training, leased like runs and one at a time."""

from collections.abc import Collection, Iterable
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from worker import leases
from worker.devices import claimable_jobs
from worker.leases import Claim
from worker.settings import Settings
from worker.store.models import Job, utc_now
from worker.store.states import State


class JobKind(StrEnum):
    """What a job does. Each is done in a child process of its own."""

    REGISTER_CORPUS = "register_corpus"
    TRAIN_TOKENIZER = "train_tokenizer"
    SCORE_RUN = "score_run"
    RESCORE_RUNS = "rescore_runs"
    TOKENISE_CORPUS = "tokenise_corpus"
    TOKENISE_SPAN = "tokenise_span"
    IMPORT_TOKENS = "import_tokens"


AWAITED = (JobKind.REGISTER_CORPUS, JobKind.TRAIN_TOKENIZER)  # somebody waits for it, and it loads no model


def claim_job(
    session: Session,
    owner: str,
    settings: Settings,
    now: datetime | None = None,
    kinds: Collection[JobKind] = tuple(JobKind),
) -> Job | None:
    """The oldest waiting job of these kinds that this worker's devices can do, now this owner's; None if there is none.
    Parts of a larger one come last: there may be thousands, and others wait for what is short."""
    now = now or utc_now()
    oldest = (
        select(Job)
        .where(claimable_jobs(settings, now), Job.kind.in_(kinds))
        .order_by(Job.parent_id.is_not(None), Job.created_at, Job.id)
        .limit(1)
    )
    job = session.scalars(oldest.with_for_update(skip_locked=True)).first()
    if job is not None:
        leases.take(job, owner, settings, now)
        session.flush()
    return job


def heartbeat_jobs(
    session: Session, claims: Iterable[Claim], settings: Settings, now: datetime | None = None
) -> set[str]:
    """Extends the leases; the ids of jobs that are still held."""
    return leases.extend(session, Job, claims, settings, now)


def finish_job(session: Session, claim: Claim, result: dict[str, Any]) -> bool:
    """Stores the result; False (and nothing written) if the claim is lost."""
    job = leases.held(session, Job, claim)
    if job is None:
        return False
    leases.conclude(job, State.FINISHED)
    job.result = result
    return True


def fail_job(session: Session, claim: Claim, error: str) -> bool:
    """Ends the job for good; False if the claim is lost."""
    job = leases.held(session, Job, claim)
    if job is None:
        return False
    leases.conclude(job, State.FAILED, error)
    return True


def retry_job(session: Session, claim: Claim, settings: Settings, error: str) -> bool:
    """The attempt broke: queues the job again, or fails it after the last attempt. False if the claim is lost."""
    job = leases.held(session, Job, claim)
    if job is None:
        return False
    leases.put_back(job, settings, error, is_held_against=True)
    return True


def release_job(session: Session, claim: Claim, settings: Settings) -> bool:
    """Gives the job back untouched; the attempt is not held against it."""
    job = leases.held(session, Job, claim)
    if job is None:
        return False
    leases.put_back(job, settings, job.error, is_held_against=False)
    return True
