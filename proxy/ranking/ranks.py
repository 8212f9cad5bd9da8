"""Ranks with simultaneous uncertainty: everything a leaderboard says about its recipes holds together at `level`.

Pairs are resolved by Tukey–Kramer: |d| / se > q(level; R, ν) / √2, with each pair's own standard error and degrees of
freedom (Games and Howell's form). A rank interval is [1 + number resolved better, R − number resolved worse]. Marginal
5 % tests would make a false claim in 82–90 % of leaderboards of 20 equal recipes. Assumed: as in uncertainty.py. Broken
by adding seeds after looking, until something is resolved.

Axes: R recipes. Scores in bits per byte, lower is better.
"""

import math
from dataclasses import dataclass

import numpy as np

from proxy.errors import InvalidInputError
from proxy.ranking.best import BestChances, chances_of_being_best
from proxy.ranking.digests import digest_evidence
from proxy.ranking.documents import estimate_pair_noise, sets_of_one_cluster
from proxy.ranking.evidence import BoolArray, Digest, Evidence, Float64Array, bits_per_byte
from proxy.ranking.letters import compact_letters
from proxy.ranking.seeds import noise_differs
from proxy.ranking.studentized_range import studentized_range
from proxy.ranking.uncertainty import (
    Documents,
    NoiseModel,
    half_widths,
    noise_covariance,
    noise_of_digest,
    spread_of_differences,
    spread_of_scores,
)

LADDER = 1.25  # a million pairs' degrees of freedom are interpolated between rungs of this ratio


@dataclass(frozen=True, kw_only=True)
class RankedRecipe:
    """One line of a leaderboard. None: there is nothing to compute it from, and a warning says why.

    Recipes that share a letter are not resolved from each other. `expected_regret` is in bits per byte; so is
    `seed_error`, the standard error of the score over seeds, without what a seed does to all recipes alike.
    """

    recipe: str
    rank: int
    rank_low: int | None
    rank_high: int | None
    score: float
    score_low: float | None
    score_high: float | None
    p_best: float | None
    expected_regret: float | None
    letters: str
    seeds: int
    seed_error: float | None
    sets: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """Best first. `warnings` are sentences for people."""

    entries: list[RankedRecipe]
    warnings: list[str]


@dataclass(frozen=True, kw_only=True)
class Claims:
    """`is_better_RR[a, b]`: a is resolved better than b. None where seed or document noise is unknown."""

    is_better_RR: BoolArray | None
    chances: BestChances | None


def rank_recipes(
    evidence: Evidence | Digest,
    *,
    rng: np.random.Generator,
    documents: Documents = "fixed",
    level: float = 0.95,
    score_documents: Documents = "random",
) -> Ranking:
    """Ranks all recipes of one protocol and suite. Equal scores get equal ranks.

    `documents` is the estimand of ranks and P(best), `score_documents` that of the score intervals. A digest is enough
    where `documents` is fixed, which also costs least: no pair of recipes is compared document by document.
    """
    if not evidence.recipes:
        return Ranking(entries=[], warnings=["There is no recipe to rank."])
    digest, noise = _measure(evidence, documents)
    claims = _claim(noise, documents, level, rng)
    low_R, high_R = _score_intervals(noise, score_documents, level)
    columns = _Columns(
        claims=claims,
        score_low_R=low_R,
        score_high_R=high_R,
        set_scores={name: np.nanmean(scores, axis=1) for name, scores in bits_per_byte(digest).items()},
    )
    order = _order(digest, noise.mean_R)
    letters = _letters(claims.is_better_RR, order)
    entries = [_entry(digest, noise, columns, index, text) for index, text in zip(order, letters, strict=True)]
    needs_documents = "random" in (documents, score_documents)
    return Ranking(entries=entries, warnings=_warnings(digest, noise, rng, needs_documents=needs_documents))


def resolve_pairs(
    difference_RR: Float64Array, noise: NoiseModel, documents: Documents, level: float
) -> BoolArray | None:
    """Pairs whose row recipe is better, by all pairs' simultaneous test. None where noise is unknown."""
    half_RR = simultaneous_half_widths(noise, documents, level, len(difference_RR))
    return None if half_RR is None else difference_RR < -half_RR


def simultaneous_half_widths(
    noise: NoiseModel, documents: Documents, level: float, recipes: int
) -> Float64Array | None:
    """Half of each pair's interval; those of all pairs of any `recipes` recipes hold together at `level`. With 2 it is
    Student's, for one pair named before looking. None where noise is unknown."""
    spread = spread_of_differences(noise, documents)
    if spread is None:
        return None
    if recipes == 1:
        return np.zeros(spread.standard_error.shape)
    critical_RR = critical_ranges(level, recipes, spread.degrees) / math.sqrt(2)
    half_RR: Float64Array = critical_RR * spread.standard_error
    return half_RR


def critical_ranges(level: float, recipes: int, degrees: Float64Array) -> Float64Array:
    """Quantiles of the studentized range; never too small.

    Its logarithm is convex in 1/ν, so the chord between two rungs lies above it (by under 1 %).
    """
    distinct = np.unique(degrees)
    if len(distinct) == 1:
        return np.full(degrees.shape, studentized_range(level, recipes, float(distinct[0])))
    first, last = (math.floor(math.log(value, LADDER)) for value in (distinct[0], distinct[-1]))
    rungs = np.array([max(LADDER**power, 1.0) for power in range(first, last + 2)])
    values = np.log([studentized_range(level, recipes, float(rung)) for rung in rungs])
    interpolated: Float64Array = np.exp(np.interp(1 / degrees, 1 / rungs[::-1], values[::-1]))
    return interpolated


@dataclass(frozen=True, kw_only=True)
class _Columns:
    claims: Claims
    score_low_R: Float64Array | None
    score_high_R: Float64Array | None
    set_scores: dict[str, Float64Array]


def _measure(evidence: Evidence | Digest, documents: Documents) -> tuple[Digest, NoiseModel]:
    """Pairs are compared document by document only where ranks are to hold on new documents."""
    if isinstance(evidence, Evidence):
        digest = digest_evidence(evidence)
        return digest, noise_of_digest(digest, estimate_pair_noise(evidence) if documents == "random" else None)
    if documents == "random":
        raise InvalidInputError.at("/documents", documents, "ranks on new documents need the losses of each document")
    return evidence, noise_of_digest(evidence)


def _claim(noise: NoiseModel, documents: Documents, level: float, rng: np.random.Generator) -> Claims:
    difference_RR = noise.mean_R[:, None] - noise.mean_R[None, :]
    is_better_RR = resolve_pairs(difference_RR, noise, documents, level)
    covariance_RR = noise_covariance(noise, documents)
    if noise.seeds is None or covariance_RR is None:
        return Claims(is_better_RR=None, chances=None)
    chances = chances_of_being_best(noise.mean_R, covariance_RR, noise.seeds.pooled_degrees, rng)
    return Claims(is_better_RR=is_better_RR, chances=chances)


def _score_intervals(
    noise: NoiseModel,
    documents: Documents,
    level: float,
) -> tuple[Float64Array | None, Float64Array | None]:
    spread = spread_of_scores(noise, documents)
    if spread is None:
        return None, None
    width_R = half_widths(spread, level)
    return noise.mean_R - width_R, noise.mean_R + width_R


def _order(digest: Digest, mean_R: Float64Array) -> list[int]:
    """Best first; equal scores by name, so that the same evidence always reads the same."""
    return sorted(range(len(mean_R)), key=lambda index: (mean_R[index], digest.recipes[index].recipe))


def _letters(is_better_RR: BoolArray | None, order: list[int]) -> list[str]:
    if is_better_RR is None:
        return [""] * len(order)
    return compact_letters((is_better_RR | is_better_RR.T)[np.ix_(order, order)])


def _entry(digest: Digest, noise: NoiseModel, columns: _Columns, index: int, letters: str) -> RankedRecipe:
    entry, claims = digest.recipes[index], columns.claims
    better = claims.is_better_RR
    chances = claims.chances
    return RankedRecipe(
        recipe=entry.recipe,
        rank=1 + int((noise.mean_R < noise.mean_R[index]).sum()),
        rank_low=None if better is None else 1 + int(better[:, index].sum()),
        rank_high=None if better is None else len(better) - int(better[index].sum()),
        score=float(noise.mean_R[index]),
        score_low=_value(columns.score_low_R, index),
        score_high=_value(columns.score_high_R, index),
        p_best=None if chances is None else float(chances.p_best_R[index]),
        expected_regret=None if chances is None else float(chances.expected_regret_R[index]),
        letters=letters,
        seeds=len(entry.seeds),
        seed_error=None if noise.seeds is None else math.sqrt(noise.seeds.variance_R[index] / noise.count_R[index]),
        sets={name: float(scores_R[index]) for name, scores_R in columns.set_scores.items()},
    )


def _value(values_R: Float64Array | None, index: int) -> float | None:
    return None if values_R is None else float(values_R[index])


def _warnings(
    digest: Digest,
    noise: NoiseModel,
    rng: np.random.Generator,
    *,
    needs_documents: bool,
) -> list[str]:
    """What a reader must know before believing the intervals."""
    warnings = _seed_warnings(noise, rng)
    single = sets_of_one_cluster(digest)
    if needs_documents and single:
        warnings.append(
            f"Sets {', '.join(single)} have a single cluster of documents: how far scores would move on new text is"
            " unknown, so intervals that include new text are left out."
        )
    if len(digest.recipes) == 1:
        warnings.append("There is only one recipe: its rank says nothing.")
    return warnings


def _seed_warnings(noise: NoiseModel, rng: np.random.Generator) -> list[str]:
    recipes = len(noise.scores_RT)
    if noise.seeds is None:
        if noise.fit.degrees > 0:
            return ["Different seeds gave identical scores: seed noise is unknown, so there are no intervals."]
        return ["No recipe has a second seed: seed noise is unknown, so there are no intervals."]
    warnings = []
    if noise.seeds.pooled_degrees < 3:
        warnings.append(
            f"Seed noise rests on {noise.seeds.pooled_degrees:.0f} degrees of freedom: intervals are valid and very"
            " wide; more seeds or recipes narrow them."
        )
    if noise.fit.degrees > 0 and not noise.seeds.is_paired and recipes > 1:
        warnings.append(
            "Recipes share too few seeds to be compared seed by seed: intervals are wider than they need be."
        )
    if noise_differs(noise.fit, recipes, rng):
        warnings.append(
            "Seed noise differs between recipes: intervals of the noisiest may be too narrow; give them more seeds."
        )
    return warnings
