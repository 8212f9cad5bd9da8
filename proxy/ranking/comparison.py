"""Two recipes side by side: their difference over the suite and on each validation set, with intervals.

Estimand: score of A minus score of B, in bits per byte, negative where A is better. Noise is estimated from all recipes
of the leaderboard (uncertainty.py), so that two recipes of two seeds are compared with everybody's degrees of freedom.
The interval is for one pair named before looking; a leaderboard's claims about all pairs at once are in ranks.py.
"""

from dataclasses import dataclass, replace

from proxy.errors import NotFoundError
from proxy.ranking.evidence import Evidence, RecipeEvidence
from proxy.ranking.uncertainty import (
    Documents,
    NoiseModel,
    half_widths,
    measure_noise,
    probabilities_of_being_better,
    spread_of_differences,
)


@dataclass(frozen=True, kw_only=True)
class PairDifference:
    """None where seed noise, or for new text document noise, is unknown."""

    difference: float
    low: float | None
    high: float | None
    standard_error: float | None
    degrees: float | None
    p_better: float | None


@dataclass(frozen=True, kw_only=True)
class PairComparison:
    """`fixed`: this suite is the objective; `random`: new text of its kind. `by_set` is for fixed documents.

    `run_variances`: seed variance of one run of A and of B; None where it is unknown.
    """

    fixed: PairDifference
    random: PairDifference
    by_set: dict[str, PairDifference]
    run_variances: tuple[float, float] | None


def compare_pair(evidence: Evidence, a: str, b: str, level: float = 0.95) -> PairComparison:
    """NotFoundError for a recipe without evidence."""
    names = [entry.recipe for entry in evidence.recipes]
    for name in (a, b):
        if name not in names:
            raise NotFoundError(f"recipe {name!r} has no evidence")
    pair = (names.index(a), names.index(b))
    noise = measure_noise(evidence)
    return PairComparison(
        fixed=_difference(noise, pair, "fixed", level),
        random=_difference(noise, pair, "random", level),
        by_set={
            part.name: _difference(measure_noise(_only(evidence, part.name)), pair, "fixed", level)
            for part in evidence.sets
        },
        run_variances=_run_variances(noise, pair),
    )


def _run_variances(noise: NoiseModel, pair: tuple[int, int]) -> tuple[float, float] | None:
    if noise.seeds is None:
        return None
    return float(noise.seeds.variance_R[pair[0]]), float(noise.seeds.variance_R[pair[1]])


def _difference(noise: NoiseModel, pair: tuple[int, int], documents: Documents, level: float) -> PairDifference:
    a, b = pair
    difference = float(noise.mean_R[a] - noise.mean_R[b])
    spread = spread_of_differences(noise, documents)
    if spread is None or a == b:
        return PairDifference(
            difference=difference, low=None, high=None, standard_error=None, degrees=None, p_better=None
        )
    half = float(half_widths(spread, level)[a, b])
    return PairDifference(
        difference=difference,
        low=difference - half,
        high=difference + half,
        standard_error=float(spread.standard_error[a, b]),
        degrees=float(spread.degrees[a, b]),
        p_better=float(probabilities_of_being_better(noise, spread)[a, b]),
    )


def _only(evidence: Evidence, name: str) -> Evidence:
    """The same recipes on one set alone. The anchors' variance is that of the whole suite, and left out."""
    part = next(part for part in evidence.sets if part.name == name)
    recipes = tuple(
        RecipeEvidence(recipe=entry.recipe, seeds=entry.seeds, nats={name: entry.nats[name]})
        for entry in evidence.recipes
    )
    return Evidence(sets=(replace(part, share=1.0),), recipes=recipes)
