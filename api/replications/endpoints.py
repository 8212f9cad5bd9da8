"""Replications: seeds given out until the best recipes are known."""

from functools import partial

from fastapi import APIRouter, Response

from api.dependencies import Body, Key, Reading, SettingsOf, Writing
from api.openapi import takes
from api.pagination import Cursor, Limit, Page, paginate
from api.replications.schemas import (
    ReplicationForecast,
    ReplicationIn,
    ReplicationOut,
    ReplicationSummary,
    show,
    summarise,
)
from worker import replications
from worker.parsing import validate
from worker.queue import Bell

router = APIRouter(prefix="/replications", tags=["replications"])


@router.post("", status_code=202, openapi_extra=takes(ReplicationIn))
def submit(key: Key, body: Body, writing: Writing, settings: SettingsOf, response: Response) -> ReplicationOut:
    """Submits a race: its first round is queued. 200 if the same race is there; the newest budget counts, and one that
    failed, was cancelled or had spent its budget goes on."""
    asked = validate(ReplicationIn, body)
    row, is_new = replications.submit_replication(writing.session, settings, asked.request())
    if not row.state.is_final:
        writing.ring_after_commit(Bell.RUNS, Bell.JOBS)
    response.status_code = 202 if is_new else 200
    response.headers["Location"] = f"/v1/replications/{row.id}"
    return show(writing.session, row)


@router.post(":estimate", openapi_extra=takes(ReplicationIn))
def estimate(key: Key, body: Body, session: Reading) -> ReplicationForecast:
    """What a race would cost here, of what, and which race it is again. Nothing is queued."""
    asked = validate(ReplicationIn, body).request()
    return ReplicationForecast.model_validate(replications.estimate_replication(session, asked))


@router.get("")
def show_all(session: Reading, limit: Limit = 100, cursor: Cursor = None) -> Page[ReplicationSummary]:
    """Replications, newest first."""
    return paginate(replications.list_replications(session), cursor, limit, partial(summarise, session))


@router.get("/{replication_id}")
def show_one(replication_id: str, session: Reading) -> ReplicationOut:
    """One replication: what is known of each recipe, every look, and what is left of the budget."""
    return show(session, replications.get_replication(session, replication_id))


@router.delete("/{replication_id}")
def cancel(key: Key, replication_id: str, writing: Writing) -> ReplicationOut:
    """Cancels a race and what was queued for it alone; one that has ended is left alone."""
    return show(writing.session, replications.cancel_replication(writing.session, replication_id))
