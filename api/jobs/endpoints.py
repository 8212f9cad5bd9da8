"""Long work that is not training."""

from datetime import datetime
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict

from api.dependencies import Reading
from proxy.errors import NotFoundError
from worker.store.models import Job
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
    return JobOut.model_validate(row)
