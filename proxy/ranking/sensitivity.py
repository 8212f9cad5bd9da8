"""How a ranking hangs on the weights of the validation sets: the suite is the objective, so its weights are a choice.

For each set: the ranking with that set left out and with its weight doubled, beside the suite's (reweighting.py). For
each recipe: what it can lose against the best one under other weights (weight_regret.py). The set that decides is the
one whose reweighting changes the leader or, where none does, reverses the most pairs, beyond seed noise where that is
known. Assumed: documents fixed. Broken by sets that move together: leaving out one of two alike sets shows nothing,
though both together decide.

Axes: R recipes, K sets. Bits per byte, lower is better.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from proxy.errors import InvalidInputError
from proxy.ranking.evidence import Float64Array
from proxy.ranking.reweighting import Reweighted, Reweightings, SetInfluence
from proxy.ranking.set_noise import SetNoise
from proxy.ranking.weight_regret import WorstWeights, regret_at_weights, worst_anywhere, worst_nearby

LISTED = 3  # names in a sentence
HOW = {0.0: "Leaving out", 2.0: "Doubling the weight of"}


@dataclass(frozen=True, kw_only=True)
class WorstCase:
    """The largest loss over some weights: against whom (None: nobody is ever better), and under which weights."""

    regret: float
    rival: str | None
    weights: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class RecipeRegret:
    """One recipe's loss against the best: with the suite's weights, at worst nearby, at worst under any weights."""

    recipe: str
    at_suite: float
    nearby: WorstCase
    anywhere: WorstCase


@dataclass(frozen=True, kw_only=True)
class Sensitivity:
    """`decides` names the set that decides; None where the order is stable. `safest` have the least nearby regret.

    `note` is one sentence for people. `factor` bounds the nearby weights: each set's within that factor of its share.
    """

    leaders: tuple[str, ...]
    sets: tuple[SetInfluence, ...]
    recipes: tuple[RecipeRegret, ...]
    safest: tuple[str, ...]
    factor: float
    decides: str | None
    note: str


def measure_sensitivity(
    scores_RK: npt.ArrayLike,
    recipes: Sequence[str],
    shares: Mapping[str, float],
    *,
    noise: SetNoise | None = None,
    factor: float = 2.0,
) -> Sensitivity:
    """Of mean scores whose columns are the sets in the order of `shares`."""
    table = _check(scores_RK, recipes, shares, noise, factor)
    shares_K = np.array(list(shares.values()))
    rankings = Reweightings(table, tuple(recipes), shares_K, noise)
    sets = tuple(rankings.influence(name, index) for index, name in enumerate(shares))
    regrets = _regrets(table, recipes, shares, factor)
    decides, note = _decide(rankings, sets)
    least = min(part.nearby.regret for part in regrets)
    return Sensitivity(
        leaders=rankings.leaders(rankings.suite_R),
        sets=sets,
        recipes=regrets,
        safest=tuple(part.recipe for part in regrets if part.nearby.regret == least),
        factor=factor,
        decides=decides,
        note=note,
    )


def _regrets(
    scores_RK: Float64Array, recipes: Sequence[str], shares: Mapping[str, float], factor: float
) -> tuple[RecipeRegret, ...]:
    shares_K = np.array(list(shares.values()))

    def worst_case(index: int, worst: WorstWeights) -> WorstCase:
        rival = None if worst.rival == index else recipes[worst.rival]
        weights = dict(zip(shares, map(float, worst.weights_K), strict=True))
        return WorstCase(regret=worst.regret, rival=rival, weights=weights)

    at_suite_R = regret_at_weights(scores_RK, shares_K)
    return tuple(
        RecipeRegret(
            recipe=recipe,
            at_suite=float(at_suite_R[index]),
            nearby=worst_case(index, worst_nearby(scores_RK, shares_K, factor, index)),
            anywhere=worst_case(index, worst_anywhere(scores_RK, shares_K, index)),
        )
        for index, recipe in enumerate(recipes)
    )


def _decide(rankings: Reweightings, sets: Sequence[SetInfluence]) -> tuple[str | None, str]:
    """The set that decides and a sentence; the first in the suite's order where several do so alike."""
    if len(rankings.recipes) == 1:
        return None, "There is only one recipe: no weights can change its rank."
    if (rankings.scores_RK == rankings.scores_RK[0]).all():
        return None, "All recipes score alike on every set: there is no order that weights could change."
    if len(sets) == 1:
        return None, f"{sets[0].name!r} is the suite's only set: there are no weights to vary."
    choices = [(part, way) for part in sets for way in (part.left_out, part.doubled) if way is not None]
    part, way = max(choices, key=lambda choice: _influence(choice[1]))
    caveat = " Seed noise is not taken into account." if rankings.noise is None else ""
    if not _counted(way):
        return None, _stable_note(choices, rankings.noise) + caveat
    return part.name, _deciding_note(rankings, part, way) + caveat


def _influence(way: Reweighted) -> tuple[bool, int, bool]:
    """Of two ways with the same effect, leaving out is the easier one to grasp."""
    return way.changes_leader, _counted(way), way.factor == 0


def _counted(way: Reweighted) -> int:
    return way.reversed_pairs if way.resolved_reversals is None else way.resolved_reversals


def _stable_note(choices: Sequence[tuple[SetInfluence, Reweighted]], noise: SetNoise | None) -> str:
    claim = "No set decides: leaving out any one set or doubling its weight reverses no pair of recipes"
    if noise is None or not any(way.reversed_pairs for _, way in choices):
        return claim + "."
    return claim + " that seed noise leaves resolved; unresolved ones do change places."


def _deciding_note(rankings: Reweightings, part: SetInfluence, way: Reweighted) -> str:
    recipes = len(rankings.recipes)
    counted = _counted(way)
    beyond = "" if way.resolved_reversals is None else " beyond seed noise"
    reverses = f"reverses {counted} of {recipes * (recipes - 1) // 2} pairs{beyond}"
    subject = f"{HOW[way.factor]} {part.name!r} ({part.share:.0%} of the suite)"
    if way.changes_leader:
        was = _listed(rankings.leaders(rankings.suite_R))
        return f"{subject} makes {_listed(way.leaders)} the best instead of {was} and {reverses}."
    return f"{subject} {reverses}, the most of any set; no set changes the best recipe{beyond}."


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:LISTED])
    return shown if len(names) <= LISTED else f"{shown} and {len(names) - LISTED} more"


def _check(
    scores_RK: npt.ArrayLike,
    recipes: Sequence[str],
    shares: Mapping[str, float],
    noise: SetNoise | None,
    factor: float,
) -> Float64Array:
    table = np.asarray(scores_RK, dtype=np.float64)
    if not recipes or table.shape != (len(recipes), len(shares)):
        message = f"there must be one score for each of {len(recipes)} recipes on each of {len(shares)} sets"
        raise InvalidInputError.at("/scores", table.shape, message)
    if len(set(recipes)) < len(recipes):
        raise InvalidInputError.at("/recipes", list(recipes), "a recipe appears twice")
    for row, column in np.argwhere(~np.isfinite(table)):
        where = f"{recipes[row]!r} on set {list(shares)[column]!r}"
        raise InvalidInputError.at(f"/scores/{row}/{column}", float(table[row, column]), f"no finite score of {where}")
    weights = list(shares.values())
    if not all(share > 0 for share in weights) or not math.isclose(sum(weights), 1, abs_tol=1e-6):
        raise InvalidInputError.at("/shares", weights, "shares must be positive and sum to 1")
    if not (math.isfinite(factor) and factor >= 1):
        raise InvalidInputError.at("/factor", factor, "must be a finite number of at least 1")
    if noise is not None and noise.covariance_KK.shape != (len(shares),) * 2:
        raise InvalidInputError.at("/noise", noise.covariance_KK.shape, "must be a covariance over the same sets")
    if noise is not None and len(noise.count_R) != len(recipes):
        raise InvalidInputError.at("/noise", len(noise.count_R), f"there are {len(recipes)} recipes")
    return table
