"""The points of a study: its evaluations, as its row keeps them.

`is_own`: this study made it, so this study may cancel it. `is_taken_up`: its references are registered, and of a sweep
the further seeds are asked for.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from proxy.errors import InvalidInputError
from worker.evaluations import Request, conclude_evaluations, submit_evaluation
from worker.settings import Settings
from worker.store.models import Evaluation, Study
from worker.store.states import State
from worker.studies.plans import pointing_at, trained_of

PROXIES, SWEEPS, MORE_SEEDS = "proxies", "sweeps", "more_seeds"
KINDS = (PROXIES, SWEEPS, MORE_SEEDS)
BROKEN = (State.FAILED, State.CANCELLED)
GROUP = 4  # recipes whose sweeps and proxies come before the next ones': partial results early

Point = dict[str, Any]


def submit_points(session: Session, settings: Settings, row: Study) -> None:
    """All proxies and sweeps of a new study; what is there is found. InvalidInputError where one cannot be trained."""
    recipes = row.spec["recipes"]
    points: list[Point] = []
    for start in range(0, len(recipes), GROUP):
        group = list(enumerate(recipes))[start : start + GROUP]
        for index, recipe in group:
            if recipe["is_referenced"]:
                points += _sweeps(session, settings, row, index, recipe)
        for index, recipe in group:
            points += _proxies(session, settings, row, index, recipe)
    row.points = points
    conclude_evaluations(session, settings, [point["evaluation"] for point in points])


def _sweeps(session: Session, settings: Settings, row: Study, index: int, recipe: Point) -> Iterator[Point]:
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
        with pointing_at(index, recipe["name"], place):
            point = submit_point(session, settings, SWEEPS, request, checks_data=True)
        yield point


def _proxies(session: Session, settings: Settings, row: Study, index: int, recipe: Point) -> Iterator[Point]:
    """A recipe's tokens and leaks are the same at every rate."""
    asked = trained_of(row, "proxies")
    for step in row.protocols["ladder"]:
        for place, suite in enumerate(row.spec["suites"]):
            request = Request(
                recipe=recipe["id"],
                protocol=step["protocol"],
                suite=suite["id"],
                seeds=asked["seeds"],
                first_seed=asked["first_seed"],
            )
            is_first = step is row.protocols["ladder"][0]
            with pointing_at(index, recipe["name"], place):
                point = submit_point(session, settings, PROXIES, request, checks_data=is_first)
            yield point


def submit_point(session: Session, settings: Settings, kind: str, request: Request, *, checks_data: bool) -> Point:
    """Not concluded: who submits many concludes them together."""
    evaluation, is_new = submit_evaluation(session, settings, request, concludes=False, checks_data=checks_data)
    return {
        "kind": kind,
        "recipe": evaluation.recipe_id,
        "suite": evaluation.suite_id,
        "protocol": evaluation.protocol_id,
        "evaluation": evaluation.id,
        "is_own": is_new,
        "is_taken_up": False,
    }


def submit_again(session: Session, settings: Settings, row: Study) -> bool:
    """What was cancelled or broke is queued again; False where nothing of it would end otherwise. Sweeps that are
    trained again are taken up again."""
    broken = {one: state for one, state in states_of(session, row).items() if state in BROKEN}
    revived = {one for one, state in broken.items() if _again(session, settings, one).state != state}
    row.points = [point | {"is_taken_up": False} if point["evaluation"] in revived else point for point in row.points]
    return bool(revived)


def _again(session: Session, settings: Settings, evaluation_id: str) -> Evaluation:
    known = session.get_one(Evaluation, evaluation_id)
    request = Request(
        recipe=known.recipe_id,
        protocol=known.protocol_id,
        suite=known.suite_id,
        kind=known.kind,
        seeds=known.seeds,
        first_seed=known.first_seed,
        learning_rates=tuple(known.learning_rates) if known.kind == "reference" else (),
        replicate=known.replicate,
    )
    try:
        return submit_evaluation(session, settings, request)[0]
    except InvalidInputError as error:  # a corpus of it was retired since
        problems = [f"{one.message} (got {one.value!r})" for one in error.problems]
        message = f"{known.recipe.name} cannot be trained again: {'; '.join(problems)}"
        raise InvalidInputError.at("/recipes", known.recipe.name, message) from error


def states_of(session: Session, row: Study) -> dict[str, State]:
    """Of all its evaluations."""
    protocols = [row.protocols["reference"], *(step["protocol"] for step in row.protocols["ladder"])]
    found = session.execute(select(Evaluation.id, Evaluation.state).where(Evaluation.protocol_id.in_(protocols)))
    wanted = {point["evaluation"] for point in row.points}
    return {one.id: one.state for one in found if one.id in wanted}


def of_kind(points: Iterable[Point], kind: str) -> list[Point]:
    """In their order."""
    return [point for point in points if point["kind"] == kind]


def has_ended(points: Sequence[Point], states: dict[str, State]) -> bool:
    """True if all of them have, by themselves: what somebody cancelled has not."""
    found = [states[point["evaluation"]] for point in points]
    return all(state.is_final and state != State.CANCELLED for state in found)
