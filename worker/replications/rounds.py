"""Rounds: the evaluations that bring recipes to their next look, and what came of them."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from proxy.errors import ConflictError, InvalidInputError
from worker.evaluation_runs import has_diverged
from worker.evaluations import Request, conclude_evaluations, submit_evaluation
from worker.recipe_results import fatal_gates
from worker.settings import Settings
from worker.shared_evaluations import own_after
from worker.store.models import Evaluation, Recipe, Replication, Run, RunScore
from worker.store.states import State


@dataclass(frozen=True, kw_only=True)
class Gathered:
    """Suite scores (bits per byte) by recipe and seed, of recipes whose runs are all sound; the others fail."""

    scores: dict[str, dict[int, float]]
    failed: dict[str, dict[str, Any]]


def newest_points(row: Replication) -> dict[str, dict[str, Any]]:
    """By recipe, its evaluation with most seeds."""
    return {point["recipe"]: point for point in row.points}


def round_has_ended(session: Session, row: Replication) -> bool:
    """True if nothing that the race waits for is still to come."""
    ids = [point["evaluation"] for point in newest_points(row).values()]
    states = session.scalars(select(Evaluation.state).where(Evaluation.id.in_(ids))).all()
    return bool(ids) and len(states) == len(ids) and all(state.is_final for state in states)


def submit_round(session: Session, settings: Settings, row: Replication, seeds: Mapping[str, int]) -> None:
    """Evaluations of these recipes with so many seeds each; what has been trained is not trained again.

    `is_own`: worker.shared_evaluations. A recipe's tokens and leaks are looked at once.
    """
    requests = {
        recipe: Request(recipe=recipe, protocol=row.protocol_id, suite=row.suite_id, seeds=seeds[recipe])
        for recipe in row.recipes
        if recipe in seeds
    }
    own = own_after(session, row.points, list(requests.values()))
    asked_before = newest_points(row)
    points, submitted = list(row.points), []
    for recipe_id, request in requests.items():
        with _pointing_at_recipe(session, recipe_id):
            evaluation, is_new = submit_evaluation(
                session, settings, request, concludes=False, checks_data=recipe_id not in asked_before
            )
        point = {"recipe": recipe_id, "seeds": request.seeds, "evaluation": evaluation.id}
        submitted.append(evaluation.id)
        points = [known for known in points if known["evaluation"] != evaluation.id]
        points.append(point | {"is_own": is_new or evaluation.id in own})
    row.points = points
    conclude_evaluations(session, settings, submitted)


def gather(session: Session, row: Replication) -> Gathered:
    """Of recipes that have not failed, from a round that has ended. ConflictError where somebody cancelled a part."""
    scores: dict[str, dict[int, float]] = {}
    failed: dict[str, dict[str, Any]] = {}
    for recipe_id, point in newest_points(row).items():
        if recipe_id in row.failed:
            continue
        evaluation = session.get_one(Evaluation, point["evaluation"])
        _require_not_cancelled(evaluation)
        found = _scores(session, evaluation)
        problem = next((problem for run in evaluation.runs if (problem := _problem(run, found.get(run.id)))), None)
        if problem is None:
            scores[recipe_id] = {run.seed: found[run.id].score for run in evaluation.runs}
        else:
            failed[recipe_id] = problem
    return Gathered(scores=scores, failed=failed)


def _scores(session: Session, evaluation: Evaluation) -> dict[str, RunScore]:
    query = select(RunScore).where(
        RunScore.suite_id == evaluation.suite_id, RunScore.run_id.in_([run.id for run in evaluation.runs])
    )
    return {score.run_id: score for score in session.scalars(query)}


def _require_not_cancelled(evaluation: Evaluation) -> None:
    if evaluation.state == State.CANCELLED or any(run.state == State.CANCELLED for run in evaluation.runs):
        name = evaluation.recipe.name
        raise ConflictError(f"evaluation {evaluation.id} of {name} was cancelled; send the replication again to go on")


def _problem(run: Run, score: RunScore | None) -> dict[str, Any] | None:
    """Why this run says nothing of its recipe; `is_lasting`: it would end the same way again."""
    if run.state != State.FINISHED:
        reason = f"seed {run.seed} {run.state}: {run.error or 'no reason given'}"
        return {"reason": reason, "is_lasting": has_diverged(run)}
    if score is None:
        return {"reason": f"seed {run.seed} could not be scored", "is_lasting": False}
    gates = [f"{gate['name']}: {gate['message']}" for gate in fatal_gates(score.gates)]
    return {"reason": f"seed {run.seed}: {'; '.join(gates)}", "is_lasting": True} if gates else None


@contextmanager
def _pointing_at_recipe(session: Session, recipe_id: str) -> Iterator[None]:
    """What is wrong with one recipe is wrong with the list; other pointers stay."""
    try:
        yield
    except InvalidInputError as error:
        name = session.get_one(Recipe, recipe_id).name
        raise InvalidInputError(
            replace(
                one, pointer="/recipes", message=f"{name}: {one.message} (at {one.pointer.removeprefix('/recipe')})"
            )
            if one.pointer.startswith("/recipe")
            else one
            for one in error.problems
        ) from error
