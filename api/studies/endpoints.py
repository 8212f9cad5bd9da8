"""Studies: recipes at every rate of a ladder against tuned references."""

from functools import partial
from typing import Any

from fastapi import APIRouter, Response

from api.dependencies import Body, Key, Reading, SettingsOf, Writing
from api.openapi import takes
from api.pagination import Cursor, Limit, Page, paginate
from api.studies.schemas import StudyEstimate, StudyOut, StudySummary, show, summarise
from proxy.studies import StudyRequest
from worker import studies
from worker.parsing import validate
from worker.queue import Bell

router = APIRouter(prefix="/studies", tags=["studies"])


@router.post("", status_code=202, openapi_extra=takes(StudyRequest))
def submit(key: Key, body: Body, writing: Writing, settings: SettingsOf, response: Response) -> StudyOut:
    """Submits a study: proxies and sweeps that are not there yet are queued; the rest follows by itself. 200 if the
    same study is there; what failed or was cancelled of it is queued again."""
    row, is_new = studies.submit_study(writing.session, settings, validate(StudyRequest, body))
    if not row.state.is_final:
        writing.ring_after_commit(Bell.RUNS, Bell.JOBS)
    response.status_code = 202 if is_new else 200
    response.headers["Location"] = f"/v1/studies/{row.id}"
    return show(writing.session, row)


@router.post(":estimate", openapi_extra=takes(StudyRequest))
def estimate(key: Key, body: Body, session: Reading) -> StudyEstimate:
    """What a study would cost here. Nothing is queued."""
    return StudyEstimate.model_validate(studies.estimate_study(session, validate(StudyRequest, body)))


@router.get("")
def show_all(session: Reading, limit: Limit = 100, cursor: Cursor = None) -> Page[StudySummary]:
    """Studies, newest first."""
    return paginate(studies.list_studies(session), cursor, limit, partial(summarise, session))


@router.get("/{study}")
def show_one(study: str, session: Reading) -> StudyOut:
    """One study, by id, or the newest of that name, and how far it is."""
    return show(session, studies.get_study(session, study))


@router.get("/{study}/report")
def report(study: str, session: Reading) -> dict[str, Any]:
    """The tables of its report, of what is there by now: its state, agreement with the references rate by rate on each
    suite, differences between rates, what the rate search would choose, every recipe, costs."""
    from worker.studies.reports import report_of_row

    return report_of_row(session, studies.get_study(session, study))


@router.delete("/{study}")
def cancel(key: Key, study: str, writing: Writing) -> StudyOut:
    """Cancels a study and what was queued for it alone. One that has ended is left alone, but for one that failed while
    evaluations of it go on."""
    return show(writing.session, studies.cancel_study(writing.session, study))
