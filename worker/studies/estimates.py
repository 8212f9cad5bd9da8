"""What a study costs before it starts: runs that are not there yet, tokens, and time at measured speeds.

It is about this: sweeps are counted as if no rate were given up, which some are, and a recipe whose best rate moves
with its second seed gets seeds at one rate more than is counted.
"""

from collections.abc import Container, Iterable
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from proxy.protocols import Protocol as ProtocolSpec
from proxy.protocols import fingerprint_run
from proxy.seeds import seeds_from
from worker.rate_searches.estimates import speed_of
from worker.store.models import Run
from worker.store.states import State
from worker.studies.given import given_recipes
from worker.studies.plans import Plan, PlannedRecipe
from worker.studies.seeds import rates_that_lack_seeds

ENDED = (State.FINISHED, State.STOPPED)


def estimate(session: Session, plan: Plan) -> dict[str, Any]:
    """Of proxies, of references, and their sums; times are of one device, None where nothing alike was trained here."""
    given = given_recipes(session, plan.grid)
    proxies, references = _proxies(session, plan), _references(session, plan, given)
    seconds = (proxies["device_seconds"], references["device_seconds"])
    return {
        "proxies": proxies,
        "references": references,
        "recipes_given": sum(recipe.row.id in given for recipe in plan.referenced),
        "runs": proxies["runs"] + references["runs"],
        "runs_to_train": proxies["runs_to_train"] + references["runs_to_train"],
        "tokens": proxies["tokens"] + references["tokens"],
        "device_seconds": None if None in seconds else sum(seconds),
    }


def rates_with_more_seeds(suites: int, rates: int) -> int:
    """So many of one recipe: at most the best on each suite, or the best and one beside it. Where they move the best
    rate there are more, which nobody knows before."""
    return min(rates, max(2, suites))


def _proxies(session: Session, plan: Plan) -> dict[str, Any]:
    asked, spec = plan.request.proxies, next(iter(plan.ladder.values()))
    seeds = seeds_from(asked.first_seed, asked.seeds)
    wanted = {name for recipe in plan.recipes for name in _runs(recipe, spec, plan.ladder, seeds, is_sweep=False)}
    return _part(session, spec, len(wanted), len(wanted - _ended(session, spec)))


def _references(session: Session, plan: Plan, given: Container[str]) -> dict[str, Any]:
    """Which rates get more seeds is not known before; where a sweep has ended, what its best rate lacks is. What is
    given is no run."""
    asked, spec = plan.request.references, plan.reference
    ended = _ended(session, spec)
    again = rates_with_more_seeds(len(plan.suites), len(asked.rates)) * (asked.seeds - 1)
    seeds = seeds_from(asked.first_seed, asked.seeds)
    sets = [suite.reference_set for suite in plan.suites]
    lacking = rates_that_lack_seeds(session, sets, spec, asked.rates, seeds)
    runs = to_train = 0
    for recipe in plan.referenced:
        if recipe.row.id in given:
            continue
        swept = _runs(recipe, spec, asked.rates, seeds[:1], is_sweep=True)
        more = _runs(recipe, spec, asked.rates, seeds[1:], is_sweep=True)
        known = _runs(recipe, spec, lacking.get(recipe.row.id, ()), seeds[1:], is_sweep=True)
        left = max(again - len(more & ended), 0)
        beyond = max(len(known - ended) - left, 0)
        runs += len(swept) + again + beyond
        to_train += len(swept - ended) + left + beyond
    return _part(session, spec, runs, to_train)


def _runs(
    recipe: PlannedRecipe, spec: ProtocolSpec, rates: Iterable[float], seeds: range, *, is_sweep: bool
) -> set[str]:
    """Fingerprints of a recipe's runs."""
    return {
        fingerprint_run(
            recipe_fingerprint=recipe.row.fingerprint,
            protocol=spec,
            learning_rate=rate,
            seed=seed,
            early_stopping=is_sweep,
        )
        for rate in rates
        for seed in seeds
    }


def _ended(session: Session, spec: ProtocolSpec) -> set[str]:
    """Fingerprints of runs of this treatment, at whatever rate, that are not trained again."""
    there = select(Run.fingerprint).where(Run.cohort_key == spec.cohort_key(), Run.state.in_(ENDED))
    return set(session.scalars(there))


def _part(session: Session, spec: ProtocolSpec, runs: int, to_train: int) -> dict[str, Any]:
    speed = speed_of(session, spec)
    tokens = to_train * spec.token_budget
    return {
        "parameters": spec.architecture.parameters,
        "runs": runs,
        "runs_to_train": to_train,
        "tokens_a_run": spec.token_budget,
        "tokens": tokens,
        "tokens_per_second": speed,
        "device_seconds": _seconds(tokens, speed),
    }


def _seconds(tokens: int, speed: float | None) -> float | None:
    """None where there is something to train and nobody knows how fast."""
    if not tokens:
        return 0.0
    return None if speed is None else tokens / speed
