"""Replications: submitted, followed and cancelled. The same race again is the same row, taken up where it stopped."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from proxy.errors import NotFoundError
from worker.leaderboards import describe_protocol, describe_suite
from worker.lookup import find_or_add
from worker.replications.costs import estimate, require_a_look, runs_paid_for, seconds_of_run
from worker.replications.racing import BUDGET_SPENT, advance_replication, begin
from worker.replications.requests import Budget, Plan, ReplicationRequest, plan_replication
from worker.replications.rounds import newest_points, submit_round
from worker.settings import Settings
from worker.shared_evaluations import release_evaluations
from worker.store.models import EvaluationRun, Replication, Run, utc_now
from worker.store.states import State


def submit_replication(session: Session, settings: Settings, request: ReplicationRequest) -> tuple[Replication, bool]:
    """The replication and True if it is new. All evaluations of its first round are submitted, or none.

    Sent again, the newest budget counts, and one that failed, was cancelled or had spent its budget goes on; so does
    one of whose recipes a run had failed for a reason that may have gone.
    """
    plan = plan_replication(session, request)
    row, is_new = find_or_add(session, lambda: _find(session, plan.key), lambda: _make(session, plan))
    if is_new:
        require_a_look(plan, row.estimate)
        begin(session, settings, row)
    else:
        _take_budget(session, row, plan.budget)
        if _may_go_on(row):
            _go_on(session, settings, row)
    session.flush()
    advance_replication(session, settings, row.id)
    return row, is_new


def estimate_replication(session: Session, request: ReplicationRequest) -> dict[str, Any]:
    """What it would cost, under which protocol and suite, and which race it is again. Nothing is written, and no corpus
    is looked at."""
    plan = plan_replication(session, request)
    known = session.scalar(select(Replication.id).where(Replication.request_key == plan.key))
    chosen = {"protocol": describe_protocol(plan.protocol), "suite": describe_suite(plan.suite)}
    return {**chosen, "replication": known, **estimate(session, plan)}


def get_replication(session: Session, replication_id: str) -> Replication:
    """By id. NotFoundError if there is none."""
    row = session.get(Replication, replication_id)
    if row is None:
        raise NotFoundError(f"no replication {replication_id!r}")
    return row


def list_replications(
    session: Session, *, protocol_id: str | None = None, suite_id: str | None = None
) -> Sequence[Replication]:
    """Newest first, narrowed where asked."""
    query = select(Replication)
    if protocol_id is not None:
        query = query.where(Replication.protocol_id == protocol_id)
    if suite_id is not None:
        query = query.where(Replication.suite_id == suite_id)
    return session.scalars(query.order_by(Replication.created_at.desc(), Replication.id)).all()


def cancel_replication(session: Session, replication_id: str) -> Replication:
    """Cancels it and the evaluations that were queued for it and that nothing else open needs. One
    that has ended is left alone; so is what is trained already."""
    row = get_replication(session, replication_id)
    session.refresh(row, with_for_update=True)
    if row.state.is_final:
        return row
    row.state, row.finished_at = State.CANCELLED, utc_now()
    release_evaluations(session, row)
    return row


def progress_of(session: Session, row: Replication) -> dict[str, Any]:
    """Runs of the race by how far they are, the next look (in seeds), and how much of the budget is left."""
    ids = [point["evaluation"] for point in newest_points(row).values()]
    runs = select(Run.id, Run.state).join(EvaluationRun, EvaluationRun.run_id == Run.id)
    found = session.execute(runs.where(EvaluationRun.evaluation_id.in_(ids)).distinct()).all()
    counts = Counter(run.state for run in found)
    ended = sum(count for state, count in counts.items() if state.is_final)
    left = None if row.budget_runs is None else max(row.budget_runs - row.runs_used, 0)
    seconds = row.seconds_per_run
    return {
        "look": None if row.state.is_final else max((point["seeds"] for point in row.points), default=None),
        "runs": len(found),
        "ended": ended,
        "running": counts[State.RUNNING],
        "queued": counts[State.QUEUED],
        "runs_used": row.runs_used,
        "runs_left": left,
        "device_seconds_until_look": None if seconds is None else seconds * (len(found) - ended),
    }


def _find(session: Session, key: str) -> Replication | None:
    return session.scalars(select(Replication).where(Replication.request_key == key).with_for_update()).first()


def _make(session: Session, plan: Plan) -> Replication:
    costs = estimate(session, plan)
    return Replication(
        request_key=plan.key,
        protocol=plan.protocol,
        suite=plan.suite,
        recipes=[recipe.id for recipe in plan.recipes],
        resolve=plan.resolve,
        error_rate=plan.race.error_rate,
        most_seeds=plan.race.most_seeds,
        budget=plan.budget.text,
        budget_seconds=plan.budget.seconds,
        max_runs=plan.budget.runs,
        budget_runs=costs["budget_runs"],
        seconds_per_run=costs["seconds_per_run"],
        runs_used=0,
        state=State.RUNNING,
        estimate=costs,
        points=[],
        failed={},
        looks=[],
    )


def _take_budget(session: Session, row: Replication, budget: Budget) -> None:
    """Of the whole race, what it has spent included. The same words again are the same number of runs."""
    if (row.budget, row.max_runs) == (budget.text, budget.runs):
        return
    row.budget, row.budget_seconds, row.max_runs = budget.text, budget.seconds, budget.runs
    if budget.seconds is not None and row.seconds_per_run is None:
        row.seconds_per_run = seconds_of_run(session, row.protocol)
    row.budget_runs = runs_paid_for(budget, row.seconds_per_run)


def _may_go_on(row: Replication) -> bool:
    is_worth_another_try = any(not failure["is_lasting"] for failure in row.failed.values())
    has_ended_early = row.state in (State.FAILED, State.CANCELLED) or row.outcome == BUDGET_SPENT
    return row.state.is_final and (has_ended_early or is_worth_another_try)


def _go_on(session: Session, settings: Settings, row: Replication) -> None:
    """What was cancelled or broke is queued again. A recipe that comes back takes part from the next look on, with what
    was known of it before; until then nobody's place is known."""
    row.state, row.outcome, row.error, row.finished_at = State.RUNNING, None, None, None
    lasting = {recipe: failure for recipe, failure in row.failed.items() if failure["is_lasting"]}
    if lasting != row.failed:
        row.failed, row.report = lasting, None
    asked = {recipe: int(point["seeds"]) for recipe, point in newest_points(row).items()}
    if asked:
        submit_round(session, settings, row, asked)
    else:
        begin(session, settings, row)
