"""Searches for a protocol's reduced learning rate."""

from fastapi import APIRouter, Response

from api.dependencies import Body, Key, Reading, SettingsOf, Writing
from api.openapi import takes
from api.pagination import Cursor, Limit, Page, paginate
from api.rate_searches.schemas import EstimateOut, RateSearchIn, RateSearchOut, RateSearchSummary, show, summarise
from worker import rate_searches
from worker.parsing import validate
from worker.queue import Bell

router = APIRouter(prefix="/rate-searches", tags=["rate searches"])


@router.post("", status_code=202, openapi_extra=takes(RateSearchIn))
def submit(key: Key, body: Body, writing: Writing, settings: SettingsOf, response: Response) -> RateSearchOut:
    """Submits a search: the ladder's runs that are not there yet are queued. 200 if the same search is there; one that
    failed or was cancelled goes on."""
    asked = validate(RateSearchIn, body)
    row, is_new = rate_searches.submit_search(writing.session, settings, asked.request())
    if not row.state.is_final:
        writing.ring_after_commit(Bell.RUNS, Bell.JOBS)
    response.status_code = 202 if is_new else 200
    response.headers["Location"] = f"/v1/rate-searches/{row.id}"
    return show(writing.session, row)


@router.post(":estimate", openapi_extra=takes(RateSearchIn))
def estimate(key: Key, body: Body, session: Reading) -> EstimateOut:
    """What a search would cost here. Nothing is queued."""
    return EstimateOut.model_validate(rate_searches.estimate_search(session, validate(RateSearchIn, body).request()))


@router.get("")
def show_all(session: Reading, limit: Limit = 100, cursor: Cursor = None) -> Page[RateSearchSummary]:
    """Searches, newest first."""
    return paginate(rate_searches.list_searches(session), cursor, limit, summarise)


@router.get("/{search_id}")
def show_one(search_id: str, session: Reading) -> RateSearchOut:
    """One search with its report: optimum, gates of each rate with numbers, ranking, evidence."""
    return show(session, rate_searches.get_search(session, search_id))


@router.delete("/{search_id}")
def cancel(key: Key, search_id: str, writing: Writing) -> RateSearchOut:
    """Cancels a search and what was queued for it alone; one that has ended is left alone."""
    return show(writing.session, rate_searches.cancel_search(writing.session, search_id))
