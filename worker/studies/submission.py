"""Studies: submitted, followed and cancelled. The same study again is the same row, taken up where it stopped."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from proxy.errors import NotFoundError
from proxy.studies import StudyRequest
from worker.lookup import find_or_add
from worker.protocols import store_protocol
from worker.settings import Settings
from worker.shared_evaluations import release_evaluations
from worker.store.models import Study, utc_now
from worker.store.states import State
from worker.studies.advancing import advance_study
from worker.studies.estimates import estimate
from worker.studies.more_seeds import rates_to_ask_for_again
from worker.studies.plans import Plan, plan_study
from worker.studies.points import states_of, submit_again, submit_points


def submit_study(session: Session, settings: Settings, request: StudyRequest) -> tuple[Study, bool]:
    """The study and True if it is new. All of its proxies and sweeps are submitted, or none where one cannot be.

    Sent again, what was cancelled or broke is queued again, and one that failed or was cancelled goes on; so does one
    whose best rate lacks seeds, as it could when they were asked for once.
    """
    plan = plan_study(session, request)
    row, is_new = find_or_add(session, lambda: _find(session, plan.key), lambda: _make(session, plan))
    if is_new:
        submit_points(session, settings, row)
    elif submit_again(session, settings, row) or _has_more_to_do(session, row):
        row.state, row.error, row.finished_at = State.RUNNING, None, None
    session.flush()
    advance_study(session, settings, row.id)
    return row, is_new


def _has_more_to_do(session: Session, row: Study) -> bool:
    return row.state in (State.FAILED, State.CANCELLED) or bool(rates_to_ask_for_again(session, row))


def estimate_study(session: Session, request: StudyRequest) -> dict[str, Any]:
    """What it would cost. Nothing is written, and no corpus is looked at."""
    return estimate(session, plan_study(session, request))


def get_study(session: Session, reference: str) -> Study:
    """By id, or the newest of that name. NotFoundError if there is none."""
    query = select(Study).where(or_(Study.id == reference, Study.name == reference))
    row = session.scalars(query.order_by(Study.created_at.desc(), Study.id)).first()
    if row is None:
        raise NotFoundError(f"no study {reference!r}")
    return row


def list_studies(session: Session) -> Sequence[Study]:
    """Newest first."""
    return session.scalars(select(Study).order_by(Study.created_at.desc(), Study.id)).all()


def cancel_study(session: Session, reference: str) -> Study:
    """Cancels it and the evaluations that were queued for it and that nothing else open needs. One that has ended is
    left alone, but for one that failed while evaluations of it go on; so is what is trained already."""
    row = get_study(session, reference)
    session.refresh(row, with_for_update=True)
    if row.state.is_final and not _trains_on(session, row):
        return row
    row.state, row.finished_at = State.CANCELLED, utc_now()
    release_evaluations(session, row)
    return row


def _trains_on(session: Session, row: Study) -> bool:
    """Whether it failed while evaluations were open that were queued for it: they are of use once it is sent again."""
    states = states_of(session, row)
    return row.state == State.FAILED and any(
        point["is_own"] and not states[point["evaluation"]].is_final for point in row.points
    )


def _find(session: Session, key: str) -> Study | None:
    return session.scalars(select(Study).where(Study.request_key == key).with_for_update()).first()


def _make(session: Session, plan: Plan) -> Study:
    base, reference = (store_protocol(session, spec)[0].id for spec in (plan.base, plan.reference))
    ladder = [{"rate": rate, "protocol": store_protocol(session, spec)[0].id} for rate, spec in plan.ladder.items()]
    return Study(
        request_key=plan.key,
        name=plan.request.name,
        spec=plan.described(),
        protocols={"base": base, "ladder": ladder, "reference": reference},
        state=State.RUNNING,
        estimate=estimate(session, plan),
        points=[],
    )
