"""More seeds of references are asked for: once a sweep has ended, and again where they have moved the best rate."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from proxy.seeds import seeds_from
from worker.evaluations import Request, conclude_evaluations
from worker.settings import Settings
from worker.shared_evaluations import own_after
from worker.store.models import Evaluation, RunScore, Study
from worker.store.states import State
from worker.studies.plans import trained_of
from worker.studies.points import MORE_SEEDS, SWEEPS, Point, grid_of, has_ended, of_kind, states_of, submit_point
from worker.studies.seeds import Tried, rates_of_more_seeds, rates_that_lack_seeds, with_one_beside


def ask_for_more_seeds(session: Session, settings: Settings, row: Study, swept: Sequence[Point]) -> list[Point]:
    """One evaluation a suite, for the recipes of these sweeps and for those whose best rate lacks seeds; [] where none
    does, or one seed is enough. It takes the place of what was asked for before."""
    if row.spec["references"]["seeds"] == 1:
        return []
    wanted = rates_to_ask_for_again(session, row)
    for recipe in dict.fromkeys(point["recipe"] for point in swept):
        wanted[recipe] = rates_of_more_seeds(_sweeps(session, row, recipe))
    sweeps = of_kind(row.points, SWEEPS)
    requests = [_request(row, point, rates) for point in sweeps if (rates := wanted.get(point["recipe"]))]
    own = own_after(session, row.points, requests)
    asked = [submit_point(session, settings, MORE_SEEDS, request, own, checks_data=False) for request in requests]
    conclude_evaluations(session, settings, [point["evaluation"] for point in asked])
    return asked


def rates_to_ask_for_again(session: Session, row: Study) -> dict[str, list[float]]:
    """By recipe, where more seeds have ended and the best rate, which they have moved, lacks some that were not asked
    for: rates asked for so far are asked for again, so that only the new ones are trained. Each time there is one more
    of the grid, so it comes to an end, also where runs break."""
    lacking = _rates_that_lack_seeds(session, row)
    states = states_of(session, row)
    unswept = {point["recipe"] for point in of_kind(row.points, SWEEPS) if not point["is_taken_up"]}
    found = {}
    for recipe in lacking.keys() - unswept:
        points = [point for point in of_kind(row.points, MORE_SEEDS) if point["recipe"] == recipe]
        grids = [session.get_one(Evaluation, point["evaluation"]).learning_rates for point in points]
        asked = {rate for grid in grids for rate in grid}
        if points and has_ended(points, states) and (new := lacking[recipe] - asked):
            # A single rate, as studies once asked for, was no sweep: in one, its seeds would be other runs.
            is_sweep = all(len(grid) > 1 for grid in grids)
            rates = new | asked if is_sweep else new
            found[recipe] = with_one_beside(rates, _sweeps(session, row, recipe), but=asked)
    return found


def _rates_that_lack_seeds(session: Session, row: Study) -> dict[str, set[float]]:
    grid = grid_of(session, row)
    seeds = seeds_from(grid.first_seed, trained_of(row, "references")["seeds"])
    return rates_that_lack_seeds(session, grid.sets, grid.spec, grid.rates, seeds)


def _request(row: Study, sweep: Point, rates: Sequence[float]) -> Request:
    wanted = trained_of(row, "references")
    return Request(
        recipe=sweep["recipe"],
        protocol=sweep["protocol"],
        suite=sweep["suite"],
        kind="reference",
        seeds=wanted["seeds"],
        first_seed=wanted["first_seed"],
        learning_rates=tuple(rates),
    )


def _sweeps(session: Session, row: Study, recipe: str) -> list[list[Tried]]:
    """Of one recipe on all suites."""
    points = [point for point in of_kind(row.points, SWEEPS) if point["recipe"] == recipe]
    return [_tried(session, point) for point in points]


def _tried(session: Session, sweep: Point) -> list[Tried]:
    evaluation = session.get_one(Evaluation, sweep["evaluation"])
    scores = scores_of(session, evaluation)
    return [
        Tried(rate=run.learning_rate, score=scores.get(run.id), was_given_up=run.state == State.STOPPED)
        for run in evaluation.runs
        if run.seed == evaluation.first_seed
    ]


def scores_of(session: Session, evaluation: Evaluation) -> dict[str, float]:
    """Of its runs that were scored on its suite, in bits per byte."""
    query = select(RunScore.run_id, RunScore.score).where(
        RunScore.suite_id == evaluation.suite_id, RunScore.run_id.in_([run.id for run in evaluation.runs])
    )
    return {one.run_id: one.score for one in session.execute(query)}
