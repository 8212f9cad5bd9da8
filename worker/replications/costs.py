"""What a replication costs: runs that are not there yet, the time of one here, and how many runs a budget pays for."""

import math
from collections.abc import Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from proxy.errors import InvalidInputError
from proxy.protocols import Protocol as ProtocolSpec
from proxy.protocols import fingerprint_run
from worker.rate_searches.estimates import speed_of
from worker.replications.requests import MOST_RUNS, Budget, Plan
from worker.store.models import Protocol, Recipe, Run
from worker.store.states import State


def seconds_of_run(session: Session, protocol: Protocol) -> float | None:
    """Training time of one run on one device, at the speed of runs alike lately; scoring it, and what is compiled once,
    come on top. None if nothing like it was trained here."""
    spec = ProtocolSpec.model_validate(protocol.spec)
    speed = speed_of(session, spec)
    return None if speed is None else spec.token_budget / speed


def runs_paid_for(budget: Budget, seconds_per_run: float | None) -> int | None:
    """Whole runs, at most MOST_RUNS (more than any race has); None while it is not known what a run takes."""
    if budget.seconds is None:
        return budget.runs
    if seconds_per_run is None:
        return None
    paid = math.floor(min(budget.seconds / seconds_per_run, MOST_RUNS))
    return paid if budget.runs is None else min(paid, budget.runs)


def runs_to_train(session: Session, protocol: Protocol, seeds: Mapping[str, int], known: Mapping[str, int]) -> int:
    """Runs that have not finished, of each recipe (by id) up to so many seeds, beyond those that it had."""
    spec = ProtocolSpec.model_validate(protocol.spec)
    recipes = session.execute(select(Recipe.id, Recipe.fingerprint).where(Recipe.id.in_(seeds)))
    wanted = {
        fingerprint_run(
            recipe_fingerprint=recipe.fingerprint, protocol=spec, learning_rate=protocol.learning_rate, seed=seed
        )
        for recipe in recipes
        for seed in range(known.get(recipe.id, 0), seeds[recipe.id])
    }
    there = select(Run.fingerprint).where(Run.fingerprint.in_(wanted), Run.state == State.FINISHED)
    return len(wanted) - len(session.scalars(there).all())


def estimate(session: Session, plan: Plan) -> dict[str, Any]:
    """Before anything starts: the runs until the first look, what one takes, and what the budget comes to."""
    seconds = seconds_of_run(session, plan.protocol)
    first = plan.race.looks[0]
    to_train = runs_to_train(session, plan.protocol, {recipe.id: first for recipe in plan.recipes}, {})
    paid = runs_paid_for(plan.budget, seconds)
    most = len(plan.recipes) * plan.race.most_seeds
    return {
        "recipes": len(plan.recipes),
        "looks": list(plan.race.looks),
        "runs_until_first_look": len(plan.recipes) * first,
        "runs_to_train_until_first_look": to_train,
        "most_runs": most,
        "seconds_per_run": seconds,
        "budget_runs": paid,
        "most_device_seconds": None if seconds is None else min(most if paid is None else paid, most) * seconds,
    }


def require_a_look(plan: Plan, costs: Mapping[str, Any]) -> None:
    """InvalidInputError if the budget is known not to reach the first look: it would be spent for nothing."""
    needed, look, recipes = costs["runs_to_train_until_first_look"], plan.race.looks[0], len(plan.recipes)
    message = f"the first look, at {look} seeds of each of {recipes} recipes, needs {needed}"
    most, paid = plan.budget.runs, costs["budget_runs"]
    if most is not None and most < needed:  # whatever a run may take
        raise InvalidInputError.at("/max_runs", most, f"pays for {_runs(most)}; {message}")
    if paid is not None and paid < needed:
        each = f"of {costs['seconds_per_run']:.3g} s each"
        raise InvalidInputError.at("/budget", plan.budget.text, f"pays for {_runs(paid)} {each}; {message}")


def _runs(count: int) -> str:
    return f"{count} run{'' if count == 1 else 's'}"
