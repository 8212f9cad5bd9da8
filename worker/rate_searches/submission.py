"""Searches: submitted, followed and cancelled. The same search again is the same row, taken up where it stopped."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from proxy.errors import InvalidInputError, NotFoundError
from worker.evaluations import Request, conclude_evaluations, submit_evaluation
from worker.lookup import find_or_add
from worker.protocols import store_protocol
from worker.rate_searches.conclusions import conclude_search
from worker.rate_searches.controls import submit_control
from worker.rate_searches.estimates import estimate
from worker.rate_searches.ladders import Plan, SearchRequest, plan_search
from worker.rate_searches.points import controlled_rates, controls, make_point
from worker.rate_searches.rescoring import cancel_rescoring
from worker.settings import Settings
from worker.shared_evaluations import own_after, release_evaluations
from worker.store.models import EvaluationRun, Protocol, RateSearch, Recipe, Run, utc_now
from worker.store.states import State


def submit_search(session: Session, settings: Settings, request: SearchRequest) -> tuple[RateSearch, bool]:
    """The search and True if it is new. All of its evaluations are submitted, or none where one cannot be.

    One that failed or was cancelled goes on; where everything it needs has ended, it is concluded at once.
    """
    plan = plan_search(session, request)
    row, is_new = find_or_add(session, lambda: _find(session, plan.key), lambda: _make(session, plan))
    if is_new or row.state in (State.FAILED, State.CANCELLED):
        row.state, row.error, row.finished_at = State.RUNNING, None, None
        again = [
            point for rate in controlled_rates(row.points) for point in submit_control(session, settings, row, rate)
        ]
        row.points = [*_submit_ladder(session, settings, plan, row.points), *again]
        row.rescoring_id = None  # a job that failed is worth another try
    session.flush()
    conclude_search(session, settings, row.id)
    return row, is_new


def estimate_search(session: Session, request: SearchRequest) -> dict[str, Any]:
    """What it would cost. Nothing is written, and no corpus is looked at."""
    return estimate(session, plan_search(session, request))


def get_search(session: Session, search_id: str) -> RateSearch:
    """By id. NotFoundError if there is none."""
    row = session.get(RateSearch, search_id)
    if row is None:
        raise NotFoundError(f"no rate search {search_id!r}")
    return row


def list_searches(session: Session) -> Sequence[RateSearch]:
    """Newest first."""
    return session.scalars(select(RateSearch).order_by(RateSearch.created_at.desc(), RateSearch.id)).all()


def cancel_search(session: Session, search_id: str) -> RateSearch:
    """Cancels it and the evaluations that were queued for it and that nothing else open needs. One
    that has ended is left alone; so is what is trained already."""
    row = get_search(session, search_id)
    session.refresh(row, with_for_update=True)
    if row.state.is_final:
        return row
    row.state, row.finished_at = State.CANCELLED, utc_now()
    cancel_rescoring(session, row)
    release_evaluations(session, row)
    return row


def progress_of(session: Session, row: RateSearch) -> dict[str, Any]:
    """Runs by how far they are, and the device seconds that are left of the estimate."""
    states = session.scalars(
        select(Run.state)
        .join(EvaluationRun, EvaluationRun.run_id == Run.id)
        .where(EvaluationRun.evaluation_id.in_([point["evaluation"] for point in row.points]))
    )
    counts = Counter(states)
    total = sum(counts.values())
    ended = sum(count for state, count in counts.items() if state.is_final)
    seconds, planned = row.estimate["device_seconds"], row.estimate["runs_to_train"]
    left = total - ended
    if not row.state.is_final and not controls(row.points):
        left += len(row.anchors)  # of the control that comes once a rate would be chosen
    return {
        "runs": total,
        "ended": ended,
        "running": counts[State.RUNNING],
        "queued": counts[State.QUEUED],
        "device_seconds_left": None if seconds is None or not planned else seconds / planned * left,
    }


def _find(session: Session, key: str) -> RateSearch | None:
    return session.scalars(select(RateSearch).where(RateSearch.request_key == key).with_for_update()).first()


def _make(session: Session, plan: Plan) -> RateSearch:
    return RateSearch(
        request_key=plan.key,
        protocol=plan.base,
        suite=plan.suite,
        anchors=[anchor.id for anchor in plan.anchors],
        rates=list(plan.rates),
        seeds=plan.seeds,
        first_seed=plan.first_seed,
        steps=plan.steps,
        state=State.RUNNING,
        estimate=estimate(session, plan),
        points=[],
    )


def _submit_ladder(session: Session, settings: Settings, plan: Plan, known: Sequence[dict[str, Any]]) -> list[Any]:
    """One evaluation a rate and anchor."""
    protocols = [store_protocol(session, spec)[0] for spec in plan.specs]
    asked = [
        (anchor, rate, _request(plan, anchor, protocol))
        for anchor in plan.anchors
        for rate, protocol in zip(plan.rates, protocols, strict=True)
    ]
    own = own_after(session, known, [request for _, _, request in asked])
    points: list[dict[str, Any]] = []
    for anchor, rate, request in asked:
        with _pointing_at_anchor(anchor.name):
            evaluation, is_new = submit_evaluation(
                session, settings, request, concludes=False, checks_data=request.protocol == protocols[0].id
            )
        points.append(make_point(rate, evaluation, is_own=is_new or evaluation.id in own))
    conclude_evaluations(session, settings, [point["evaluation"] for point in points])
    return points


def _request(plan: Plan, anchor: Recipe, protocol: Protocol) -> Request:
    return Request(
        recipe=anchor.id, protocol=protocol.id, suite=plan.suite.id, seeds=plan.seeds, first_seed=plan.first_seed
    )


@contextmanager
def _pointing_at_anchor(name: str) -> Iterator[None]:
    """What is wrong with a recipe is wrong with an anchor; other pointers stay."""
    try:
        yield
    except InvalidInputError as error:
        raise InvalidInputError(
            replace(
                one, pointer="/anchors", message=f"{name}: {one.message} (at {one.pointer.removeprefix('/recipe')})"
            )
            if one.pointer.startswith("/recipe")
            else one
            for one in error.problems
        ) from error
