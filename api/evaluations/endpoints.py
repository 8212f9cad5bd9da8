"""What users ask for: submitted, followed, cancelled."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Literal

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse

from api.dependencies import Body, Key, Reading, SettingsOf, Writing, sessions_of
from api.evaluations.schemas import EvaluationIn, EvaluationOut, EvaluationSummary, show, show_runs, summarise
from api.openapi import takes
from api.pagination import Cursor, Limit, Page, paginate
from api.runs.schemas import RunOut
from worker import evaluations
from worker.parsing import validate
from worker.queue import Bell
from worker.store.sessions import Sessions, read_scope
from worker.store.states import State

router = APIRouter(prefix="/evaluations", tags=["evaluations"])

EVENT_SECONDS = 1.0


@router.post("", status_code=202, openapi_extra=takes(EvaluationIn))
def submit(key: Key, body: Body, writing: Writing, settings: SettingsOf, response: Response) -> EvaluationOut:
    """Submits an evaluation; 200 if it is there already: the same request is never trained twice."""
    asked = validate(EvaluationIn, body)
    row, is_new = evaluations.submit_evaluation(writing.session, settings, asked.request(), is_requested=True)
    if not row.state.is_final:
        writing.ring_after_commit(Bell.RUNS, Bell.JOBS)
    response.status_code = 202 if is_new else 200
    response.headers["Location"] = f"/v1/evaluations/{row.id}"
    return show(writing.session, row)


@router.get("")
def show_all(
    session: Reading,
    state: State | None = None,
    kind: Literal["proxy", "reference"] | None = None,
    protocol: str | None = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[EvaluationSummary]:
    """Evaluations, newest first."""
    rows = evaluations.list_evaluations(session, state=state, protocol=protocol, kind=kind)
    return paginate(rows, cursor, limit, summarise)


@router.get("/{evaluation_id}")
def show_one(evaluation_id: str, session: Reading) -> EvaluationOut:
    """One evaluation with its runs."""
    return show(session, evaluations.get_evaluation(session, evaluation_id))


@router.get("/{evaluation_id}/runs")
def list_runs(evaluation_id: str, session: Reading) -> Page[RunOut]:
    """Its runs, by rate and seed."""
    row = evaluations.get_evaluation(session, evaluation_id)
    return Page(items=show_runs(session, row), next_cursor=None)


@router.get("/{evaluation_id}/events", response_class=StreamingResponse)
async def follow(evaluation_id: str, request: Request) -> StreamingResponse:
    """Server-sent events: the evaluation whenever it changed, until it is final."""
    sessions = sessions_of(request)
    first = await run_in_threadpool(_snapshot, sessions, evaluation_id)  # a miss is a 404, not a broken stream
    return StreamingResponse(_events(sessions, evaluation_id, first), media_type="text/event-stream")


async def _events(sessions: Sessions, evaluation_id: str, seen: EvaluationOut) -> AsyncIterator[str]:
    yield _event(seen)
    while not seen.state.is_final:
        await asyncio.sleep(EVENT_SECONDS)
        now = await run_in_threadpool(_snapshot, sessions, evaluation_id)
        yield _event(now) if now != seen else ": still there\n\n"
        seen = now


def _snapshot(sessions: Sessions, evaluation_id: str) -> EvaluationOut:
    with read_scope(sessions) as session:
        return show(session, evaluations.get_evaluation(session, evaluation_id))


def _event(evaluation: EvaluationOut) -> str:
    return f"event: evaluation\ndata: {json.dumps(evaluation.model_dump(mode='json'))}\n\n"


@router.delete("/{evaluation_id}")
def cancel(key: Key, evaluation_id: str, writing: Writing) -> EvaluationOut:
    """Cancels it and those of its runs that nobody else needs; a final one is left alone."""
    return show(writing.session, evaluations.cancel_evaluation(writing.session, evaluation_id))
