"""Two recipes side by side: their difference over the suite and on each validation set, with intervals.

Estimand: score of A minus score of B, in bits per byte, negative where A is better. Noise is estimated from all recipes
of the leaderboard (uncertainty.py), so that two recipes of two seeds are compared with everybody's degrees of freedom.
The interval is for one pair named before looking; a leaderboard's claims about all pairs at once are in ranks.py.
"""

from dataclasses import dataclass, replace

from proxy.errors import NotFoundError
from proxy.ranking.documents import estimate_pair_noise
from proxy.ranking.evidence import Digest, Evidence
from proxy.ranking.uncertainty import (
    Documents,
    NoiseModel,
    half_widths,
    noise_of_digest,
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


def compare_pair(digest: Digest, pair: Evidence, level: float = 0.95) -> PairComparison:
    """`digest` has every recipe of the ranking, `pair` the losses of A and B, in this order.

    NotFoundError for a recipe without evidence.
    """
    names = [entry.recipe for entry in digest.recipes]
    for entry in pair.recipes:
        if entry.recipe not in names:
            raise NotFoundError(f"recipe {entry.recipe!r} has no evidence")
    a, b = (names.index(entry.recipe) for entry in pair.recipes)
    noise = noise_of_digest(digest)
    return PairComparison(
        fixed=_difference(noise, (a, b), "fixed", level),
        random=_difference(_of_pair(noise, (a, b), digest, pair), (0, 1), "random", level),
        by_set={
            part.name: _difference(noise_of_digest(_only(digest, part.name)), (a, b), "fixed", level)
            for part in digest.sets
        },
        run_variances=_run_variances(noise, (a, b)),
    )


def _of_pair(noise: NoiseModel, pair: tuple[int, int], digest: Digest, evidence: Evidence) -> NoiseModel:
    """The two recipes with the seed noise that all of them show, and their own document noise."""
    chosen = list(pair)
    two = noise_of_digest(
        replace(digest, recipes=tuple(digest.recipes[index] for index in pair)), estimate_pair_noise(evidence)
    )
    if noise.seeds is None:
        return replace(two, seeds=None)
    seeds = replace(noise.seeds, variance_R=noise.seeds.variance_R[chosen], degrees_R=noise.seeds.degrees_R[chosen])
    return replace(two, seeds=seeds)


def _run_variances(noise: NoiseModel, pair: tuple[int, int]) -> tuple[float, float] | None:
    if noise.seeds is None:
        return None
    return float(noise.seeds.variance_R[pair[0]]), float(noise.seeds.variance_R[pair[1]])


def _difference(noise: NoiseModel, pair: tuple[int, int], documents: Documents, level: float) -> PairDifference:
    a, b = pair
    difference = float(noise.mean_R[a] - noise.mean_R[b])
    spread = spread_of_differences(noise, documents)
    if spread is None:
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


def _only(digest: Digest, name: str) -> Digest:
    """The same recipes on one set alone. The anchors' variance is that of the whole suite, and left out."""
    part = next(part for part in digest.sets if part.name == name)
    return Digest(sets=(replace(part, share=1.0),), recipes=digest.recipes)
