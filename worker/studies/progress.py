"""How far a study is: what has ended of each kind of evaluation, and what waits for something else."""

from collections import Counter
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from worker.store.models import Evaluation, EvaluationRun, Run, Study
from worker.store.states import State
from worker.studies.estimates import rates_with_more_seeds
from worker.studies.points import BROKEN, KINDS, MORE_SEEDS, SWEEPS, of_kind, states_of

PARTS = ("proxies", "references")


def progress_of(session: Session, row: Study) -> dict[str, Any]:
    """`device_seconds_left` is of one device, at the speeds of the estimate; None where they are not known."""
    states = states_of(session, row)
    runs = {part: _runs(session, row, part) for part in PARTS}
    counted = {part: _count(found) for part, found in runs.items()}
    waiting = _waiting(row)
    left = {part: one["running"] + one["queued"] for part, one in counted.items()}
    left["references"] += waiting * _more_runs(row)
    kinds = {kind: _kind([states[point["evaluation"]] for point in of_kind(row.points, kind)]) for kind in KINDS}
    if row.state.is_final:
        waiting, left = 0, dict.fromkeys(PARTS, 0)
    return {
        **kinds,
        "recipes_waiting_for_more_seeds": waiting,
        "runs": {name: sum(one[name] for one in counted.values()) for name in ("ended", "running", "queued")},
        "device_seconds_left": _seconds(row, left),
    }


def _kind(states: list[State]) -> dict[str, int]:
    """Evaluations; `failed` are those that ended otherwise than they should."""
    return {
        "evaluations": len(states),
        "ended": sum(state.is_final for state in states),
        "failed": sum(state in BROKEN for state in states),
    }


def _runs(session: Session, row: Study, part: str) -> dict[str, State]:
    """Of the proxies or of the references, by id: suites share runs."""
    is_proxy = part == "proxies"
    wanted = [point for point in row.points if (point["kind"] == "proxies") == is_proxy]
    ids = {point["evaluation"] for point in wanted}
    protocols = {point["protocol"] for point in wanted}
    query = (
        select(EvaluationRun.evaluation_id, Run.id, Run.state)
        .join(Run, Run.id == EvaluationRun.run_id)
        .join(Evaluation, Evaluation.id == EvaluationRun.evaluation_id)
        .where(Evaluation.protocol_id.in_(protocols))
    )
    return {one.id: one.state for one in session.execute(query) if one.evaluation_id in ids}


def _count(runs: dict[str, State]) -> dict[str, int]:
    states = Counter(runs.values())
    ended = sum(count for state, count in states.items() if state.is_final)
    return {"ended": ended, "running": states[State.RUNNING], "queued": states[State.QUEUED]}


def _waiting(row: Study) -> int:
    """Recipes whose more seeds cannot be asked for yet, because their sweep has not ended."""
    if row.spec["references"]["seeds"] == 1:
        return 0
    asked = {point["recipe"] for point in of_kind(row.points, MORE_SEEDS)}
    return len({point["recipe"] for point in of_kind(row.points, SWEEPS)} - asked)


def _more_runs(row: Study) -> int:
    asked = row.spec["references"]
    further: int = asked["seeds"] - 1
    return rates_with_more_seeds(len(row.spec["suites"]), len(asked["rates"])) * further


def _seconds(row: Study, left: dict[str, int]) -> float | None:
    total = 0.0
    for part, count in left.items():
        known = row.estimate[part]
        if count and known["tokens_per_second"] is None:
            return None
        if count:
            total += count * known["tokens_a_run"] / known["tokens_per_second"]
    return total
