"""What the runs of a search came to, as the rule reads it."""

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from proxy.errors import ConflictError
from proxy.protocols import Protocol as ProtocolSpec
from worker.cohorts.floor import update_ulps_of
from worker.cohorts.messages import SetResult
from worker.evaluation_runs import has_diverged
from worker.rate_searches.equal_travel import with_rates
from worker.rate_searches.points import Point, controls, ladder_points
from worker.recipe_results import fatal_gates
from worker.set_results import set_results
from worker.store.models import Evaluation, Protocol, RateSearch, Recipe, Run, RunScore
from worker.store.states import State

if TYPE_CHECKING:
    from proxy.ranking.rate_search import Ladder, LadderRun

LOSS, RATE = 1, 3  # columns of a curve
DIVERGED = "diverged"  # the one gate by whose failing a run says something about its rate


@dataclass(frozen=True, kw_only=True)
class Gathered:
    """A ladder whose anchors are named by their recipes' ids, the same runs as rows to be kept and shown, and all rates
    at the same Σ rates: training losses (nats a token, mean over anchors and seeds), scores, ranks."""

    ladder: "Ladder"
    rows: list[dict[str, Any]]
    equal_travel: list[dict[str, Any]]


def gather(session: Session, search: RateSearch) -> Gathered:
    """From evaluations that have all ended. ConflictError names a run that says nothing about its rate (`fault_of`)."""
    from proxy.ranking.rate_search import Ladder

    found: list[tuple[Run, LadderRun]] = []
    shuffled = {
        (point["rate"], point["recipe"], run.seed): run
        for point in controls(search.points)
        for run in _usable_runs(session, search.suite_id, point)
    }
    for point in ladder_points(search.points):
        for run in _usable_runs(session, search.suite_id, point):
            control = shuffled.get((point["rate"], point["recipe"], run.seed))
            found.append((run, _ladder_run(session, search, point, run, control)))
    protocol = ProtocolSpec.model_validate(session.get_one(Protocol, ladder_points(search.points)[0]["protocol"]).spec)
    speeds = [run.result["tokens_per_second"] for run, _ in found if run.result and run.result["tokens_per_second"]]
    ladder = Ladder(
        runs=tuple(one for _, one in found),
        steps=search.steps,
        travel_steps=_travel_steps([run for run, _ in found], search.steps),
        batch_tokens=protocol.batch_tokens,
        tokens_per_second=median(speeds) if speeds else None,
    )
    rows = [_row(run, one) for run, one in found]
    levels = with_rates(session, search, ladder, found, _equal_travel(ladder, found))
    return Gathered(ladder=ladder, rows=rows, equal_travel=levels)


def _equal_travel(ladder: "Ladder", found: "list[tuple[Run, LadderRun]]") -> list[dict[str, Any]]:
    """One row a level, the Σ rates of each rate's whole run: higher rates reached it earlier. Runs that diverged are
    left out, with their rate."""
    from proxy.ranking.rate_search import losses_at_travel

    levels = [ladder.travel(rate) for rate in ladder.rates]
    by_rate: dict[float, list[list[float | None]]] = {rate: [] for rate in ladder.rates}
    for run, one in found:
        curve = [row for row in (run.result or {}).get("curve", []) if None not in row[: RATE + 1]]
        if curve and one.score is not None:
            steps, losses, rates = ([row[column] for row in curve] for column in (0, LOSS, RATE))
            by_rate[one.rate].append(losses_at_travel(steps, rates, losses, levels))
    return [
        {"travel": level, "losses": {f"{rate:.6g}": _mean_of(runs, index) for rate, runs in by_rate.items()}}
        for index, level in enumerate(levels)
    ]


def _mean_of(runs: list[list[float | None]], index: int) -> float | None:
    values = [run[index] for run in runs]
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None


def _usable_runs(session: Session, suite_id: str, point: Point) -> list[Run]:
    runs = session.get_one(Evaluation, point["evaluation"]).runs
    if fault := fault_of(session, suite_id, point):
        scores = [session.get(RunScore, (run.id, suite_id)) for run in runs]
        is_lasting = any(score is not None and _broken_otherwise(score) is not None for score in scores)
        advice = "take another anchor" if is_lasting else "send the search again to go on"
        raise ConflictError(f"{fault}; {advice}")
    return runs


def fault_of(session: Session, suite_id: str, point: Point) -> str | None:
    """Why an evaluation that has ended says nothing about its rate; None where it does. A loss that diverged does; a
    run that was trained and not scored does not, nor does one whose score is broken otherwise (it leaks)."""
    evaluation = session.get_one(Evaluation, point["evaluation"])
    name = evaluation.recipe.name
    if evaluation.state == State.CANCELLED:
        return f"evaluation {evaluation.id} of {name} was cancelled"
    for run in evaluation.runs:
        where = f"run {run.id} of {name} (rate {run.learning_rate:g}, seed {run.seed})"
        score = session.get(RunScore, (run.id, suite_id))
        if run.state == State.FINISHED and score is None:
            return f"{where} was trained, but not scored on this suite"
        if score is not None and (gate := _broken_otherwise(score)) is not None:
            return f"{where} fails the gate {gate['name']}: {gate['message'].rstrip('.')}"
        if run.state != State.FINISHED and not has_diverged(run):
            return f"{where} {run.state}: {run.error or 'no reason given'}"
    return None


def _broken_otherwise(score: RunScore) -> Mapping[str, Any] | None:
    """A gate that breaks the score and is none of the rate's doing."""
    return next((gate for gate in fatal_gates(score.gates) if gate["name"] != DIVERGED), None)


def _ladder_run(session: Session, search: RateSearch, point: Point, run: Run, control: Run | None) -> "LadderRun":
    """A run whose gate says that its loss diverged has no score, like one that was broken off for it. `control` was
    trained on its documents with their tokens shuffled: one that diverged would tell of its rate, not of the order."""
    from proxy.ranking.rate_search import LadderRun

    score = session.get(RunScore, (run.id, search.suite_id))
    sets = _sound_sets(session, run, search.suite_id)
    return LadderRun(
        anchor=point["recipe"],
        rate=point["rate"],
        seed=run.seed,
        score=None if score is None or fatal_gates(score.gates) else score.score,
        progress={name: part.progress for name, part in sets.items()},
        shuffled_cost={} if control is None else shuffled_costs(sets, _sound_sets(session, control, search.suite_id)),
        update_ulps=update_ulps_of(run.result or {}),
        rescore_difference=None if score is None or score.bf16_difference is None else abs(score.bf16_difference),
    )


def _sound_sets(session: Session, run: Run, suite_id: str) -> dict[str, SetResult]:
    """What the run measured on each set; {} where it has no score, or one that is no evidence."""
    score = session.get(RunScore, (run.id, suite_id))
    return {} if score is None or fatal_gates(score.gates) else set_results(session, run, suite_id)


def shuffled_costs(ordered: Mapping[str, SetResult], shuffled: Mapping[str, SetResult]) -> dict[str, float | None]:
    """By set, how much lower the control's φ is, on the scale of the documents in order. None where φ is unknown."""
    found: dict[str, float | None] = {}
    for name in ordered.keys() & shuffled.keys():
        control = ordered[name].model_copy(update={"nats_per_token": shuffled[name].nats_per_token})
        there, here = control.progress, ordered[name].progress
        found[name] = None if there is None or here is None else here - there
    return found


def _travel_steps(runs: list[Run], steps: int) -> float:
    """Read off the first run that has a whole curve: all have the same schedule."""
    from proxy.ranking.rate_search import travel_in_steps

    for run in runs:
        curve = (run.result or {}).get("curve")
        if run.state == State.FINISHED and curve:
            return travel_in_steps([row[0] for row in curve], [row[RATE] for row in curve], steps, run.learning_rate)
    return float(steps)


def _row(run: Run, one: "LadderRun") -> dict[str, Any]:
    return {
        "run": run.id,
        "recipe": one.anchor,
        "rate": one.rate,
        "seed": one.seed,
        "score": one.score,
        "progress": dict(one.progress),
        "update_ulps": one.update_ulps,
        "rescore_difference": one.rescore_difference,
        "shuffled_cost": dict(one.shuffled_cost),
        "error": run.error,
    }


def names_of(session: Session, search: RateSearch) -> dict[str, str]:
    """Names of the anchors by id."""
    rows = session.execute(select(Recipe.id, Recipe.name).where(Recipe.id.in_(search.anchors)))
    return {row.id: row.name for row in rows}
