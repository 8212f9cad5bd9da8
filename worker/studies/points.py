"""The points of a study: its evaluations, as its row keeps them.

`is_own`: queued for this study, so this study may cancel it (worker.shared_evaluations). `is_taken_up`: its references
are registered, and the further seeds that its best rate lacks are asked for.
"""

from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from proxy.errors import InvalidInputError
from proxy.protocols import Protocol as ProtocolSpec
from worker.evaluations import Request, conclude_evaluations, submit_evaluation
from worker.recipes import find_recipe
from worker.settings import Settings
from worker.shared_evaluations import own_after
from worker.store.models import Evaluation, EvaluationRun, Protocol, Run, Study
from worker.store.states import State
from worker.studies.given import Grid, given_recipes
from worker.studies.plans import pointing_at, trained_of

PROXIES, SWEEPS, MORE_SEEDS = "proxies", "sweeps", "more_seeds"
KINDS = (PROXIES, SWEEPS, MORE_SEEDS)
BROKEN = (State.FAILED, State.CANCELLED)
GROUP = 4  # recipes whose sweeps and proxies come before the next ones': partial results early

Point = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """One evaluation that a study asks for; `recipe` and `suite` are places in the study."""

    kind: str
    request: Request
    recipe: int
    name: str
    suite: int
    checks_data: bool


def submit_points(session: Session, settings: Settings, row: Study) -> None:
    """All proxies and sweeps of a new study; what is there is found, and no sweep is asked for where references are
    given. InvalidInputError where one cannot be trained."""
    asked = list(_asked(row, given_recipes(session, grid_of(session, row))))
    own = own_after(session, row.points, [one.request for one in asked])
    points: list[Point] = []
    for one in asked:
        with pointing_at(one.recipe, one.name, one.suite):
            points.append(submit_point(session, settings, one.kind, one.request, own, checks_data=one.checks_data))
    row.points = points
    conclude_evaluations(session, settings, [point["evaluation"] for point in points])


def grid_of(session: Session, row: Study) -> Grid:
    """What it asks of its references."""
    asked = trained_of(row, "references")
    spec = ProtocolSpec.model_validate(session.get_one(Protocol, row.protocols["reference"]).spec)
    sets = tuple(suite["reference_set"] for suite in row.spec["suites"])
    return Grid(sets=sets, spec=spec, rates=tuple(asked["rates"]), first_seed=asked["first_seed"])


def _asked(row: Study, given: Container[str]) -> Iterator[_Asked]:
    """In the order in which they are trained."""
    recipes = list(enumerate(row.spec["recipes"]))
    for start in range(0, len(recipes), GROUP):
        group = recipes[start : start + GROUP]
        for index, recipe in group:
            if recipe["is_referenced"] and recipe["id"] not in given:
                yield from _sweeps(row, index, recipe)
        for index, recipe in group:
            yield from _proxies(row, index, recipe)


def _sweeps(row: Study, index: int, recipe: Point) -> Iterator[_Asked]:
    asked = trained_of(row, "references")
    for place, suite in enumerate(row.spec["suites"]):
        request = Request(
            recipe=recipe["id"],
            protocol=row.protocols["reference"],
            suite=suite["id"],
            kind="reference",
            first_seed=asked["first_seed"],
            learning_rates=tuple(asked["rates"]),
        )
        yield _Asked(kind=SWEEPS, request=request, recipe=index, name=recipe["name"], suite=place, checks_data=True)


def _proxies(row: Study, index: int, recipe: Point) -> Iterator[_Asked]:
    """A recipe's tokens and leaks are the same at every rate."""
    asked = trained_of(row, "proxies")
    for step in row.protocols["ladder"]:
        is_first = step is row.protocols["ladder"][0]
        for place, suite in enumerate(row.spec["suites"]):
            request = Request(
                recipe=recipe["id"],
                protocol=step["protocol"],
                suite=suite["id"],
                seeds=asked["seeds"],
                first_seed=asked["first_seed"],
            )
            yield _Asked(
                kind=PROXIES, request=request, recipe=index, name=recipe["name"], suite=place, checks_data=is_first
            )


def submit_point(
    session: Session, settings: Settings, kind: str, request: Request, own: Container[str], *, checks_data: bool
) -> Point:
    """Not concluded: who submits many concludes them together, and says which are its own (`own_after`). What has ended
    was queued for nobody."""
    evaluation, is_new = submit_evaluation(session, settings, request, concludes=False, checks_data=checks_data)
    return {
        "kind": kind,
        "recipe": evaluation.recipe_id,
        "suite": evaluation.suite_id,
        "protocol": evaluation.protocol_id,
        "evaluation": evaluation.id,
        "is_own": is_new or (evaluation.id in own and not evaluation.state.is_final),
        "is_taken_up": False,
    }


def submit_again(session: Session, settings: Settings, row: Study) -> bool:
    """What was cancelled or broke is queued again, for this study now, also a single run of an evaluation whose others
    finished; False where nothing of it would end otherwise. References that are trained again are taken up again."""
    partly = _with_broken_runs(session, row)
    broken = {one: state for one, state in states_of(session, row).items() if state in BROKEN or one in partly}
    requests = {one: _request(session.get_one(Evaluation, one)) for one in broken}
    own = own_after(session, row.points, list(requests.values()))
    revived = {one for one, request in requests.items() if _again(session, settings, request).state != broken[one]}
    row.points = [
        point | {"is_taken_up": False, "is_own": point["evaluation"] in own}
        if point["evaluation"] in revived
        else point
        for point in row.points
    ]
    return bool(revived)


def _with_broken_runs(session: Session, row: Study) -> set[str]:
    query = select(EvaluationRun.evaluation_id).join(Evaluation).join(Run, Run.id == EvaluationRun.run_id)
    return set(session.scalars(query.where(Evaluation.protocol_id.in_(_protocols(row)), Run.state.in_(BROKEN))))


def _request(known: Evaluation) -> Request:
    """What it was asked for with."""
    return Request(
        recipe=known.recipe_id,
        protocol=known.protocol_id,
        suite=known.suite_id,
        kind=known.kind,
        seeds=known.seeds,
        first_seed=known.first_seed,
        learning_rates=tuple(known.learning_rates) if known.kind == "reference" else (),
        replicate=known.replicate,
    )


def _again(session: Session, settings: Settings, request: Request) -> Evaluation:
    try:
        return submit_evaluation(session, settings, request)[0]
    except InvalidInputError as error:  # a corpus of it was retired since
        name = find_recipe(session, str(request.recipe)).name
        problems = [f"{one.message} (got {one.value!r})" for one in error.problems]
        message = f"{name} cannot be trained again: {'; '.join(problems)}"
        raise InvalidInputError.at("/recipes", name, message) from error


def states_of(session: Session, row: Study) -> dict[str, State]:
    """Of all its evaluations."""
    found = session.execute(select(Evaluation.id, Evaluation.state).where(Evaluation.protocol_id.in_(_protocols(row))))
    wanted = {point["evaluation"] for point in row.points}
    return {one.id: one.state for one in found if one.id in wanted}


def _protocols(row: Study) -> list[str]:
    return [row.protocols["reference"], *(step["protocol"] for step in row.protocols["ladder"])]


def of_kind(points: Iterable[Point], kind: str) -> list[Point]:
    """In their order."""
    return [point for point in points if point["kind"] == kind]


def has_ended(points: Sequence[Point], states: dict[str, State]) -> bool:
    """True if all of them have, by themselves: what somebody cancelled has not."""
    found = [states[point["evaluation"]] for point in points]
    return all(state.is_final and state != State.CANCELLED for state in found)
