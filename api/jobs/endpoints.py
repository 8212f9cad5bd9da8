"""Long work that is not training."""

from datetime import datetime
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict
from sqlalchemy import select
from sqlalchemy.orm import Session

from api.dependencies import Key, Reading, Writing
from proxy.errors import NotFoundError
from worker import parts
from worker.cohorts.endings import settle_failed_job
from worker.store.models import Corpus, Job
from worker.store.states import State

router = APIRouter(prefix="/jobs", tags=["jobs"])


class JobOut(BaseModel):
    """A job, its progress and what came of it."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    kind: str
    state: State
    attempt: int
    progress: dict[str, Any]
    result: dict[str, Any] | None
    error: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


@router.get("/{job_id}")
def show_one(job_id: str, session: Reading) -> JobOut:
    """One job."""
    row = session.get(Job, job_id)
    if row is None:
        raise NotFoundError(f"no job {job_id!r}")
    return show(session, row)


@router.delete("/{job_id}")
def cancel(key: Key, job_id: str, writing: Writing) -> JobOut:
    """Cancels a job that waits or runs, with its parts; a final one is left alone. What its parts finished stays and is
    used again."""
    job = parts.cancel_job(writing.session, job_id)
    settle_failed_job(writing.session, job_id)
    return show(writing.session, job)


def show(session: Session, row: Job) -> JobOut:
    """A row as people see it, with the progress of its parts."""
    corpus = select(Corpus.text_bytes).where(Corpus.fingerprint == row.payload.get("corpus")).limit(1)
    progress = parts.summed_progress(session, row, session.scalar(corpus) or 0)
    return JobOut.model_validate(row).model_copy(update={"progress": progress})
