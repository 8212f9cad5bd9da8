"""The tables of a study: agreement with the references at each rate, and whether rates really differ in it.

Every row is of all recipes that have both a proxy score at that rate and a reference; repetition is a part of its own.
The standard rate is the ladder's with the best mean score over the recipes that are there at every rate: what a team
that tunes its proxies would take. A rate at which one of them broke is not taken, as in a rate search.
Differences are paired: both rates on the same resampled recipes.

Estimands, assumptions and what breaks them: agreement.py, breakdown.py and repeatability.py of proxy.ranking.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np

from proxy.ranking.agreement import AgreementFigures, measure_agreement, resamples_for
from proxy.ranking.breakdown import EASY, Breakdown, ComparedRecipe, break_down
from proxy.ranking.repeatability import NoisyScores, SpearmanInterval, compare_protocols, perfect_proxy
from proxy.ranking.tuning import Label
from proxy.studies.definition import REPETITION

RNG_SEED = 0
LEAST = 2  # recipes that make a pair


@dataclass(frozen=True, kw_only=True)
class Point:
    """One recipe at one rate, bits per byte, with standard errors over seeds where known."""

    recipe: str
    proxy: float
    reference: float
    label: str
    proxy_error: float | None = None
    reference_error: float | None = None
    axis: str | None = None
    kind: str | None = None


@dataclass(frozen=True, kw_only=True)
class RateRow:
    """`tuned`: the same over recipes whose references are tuned; None where all are, or fewer than two."""

    rate: float
    is_standard: bool
    figures: AgreementFigures
    parts: Breakdown
    tuned: AgreementFigures | None
    repetition: AgreementFigures | None


@dataclass(frozen=True, kw_only=True)
class RateDifference:
    """Spearman at `rate` minus that at `against`, over the recipes that both have."""

    rate: float
    against: float
    n: int
    spearman: SpearmanInterval


@dataclass(frozen=True, kw_only=True)
class SuiteTable:
    """`standard` is None while no recipe has been trained at every rate, and where each rate broke a recipe.
    Rows and differences are by ascending rate. `perfect` is what a proxy that knew the recipes' true order would have
    with these references, `perfect_without_easy` the same without the easy ones; None where their noise is unknown."""

    standard: float | None
    perfect: SpearmanInterval | None
    perfect_without_easy: SpearmanInterval | None
    rows: tuple[RateRow, ...]
    differences: tuple[RateDifference, ...]

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


Scores = Mapping[float, Mapping[str, float | None]]  # by rate and recipe, bits per byte; None: trained, and broken


def tabulate(points_by_rate: Mapping[float, Sequence[Point]], scores: Scores) -> SuiteTable:
    """`scores`: of each rate the proxy score of every recipe that the standard rate is taken from, also of those that
    have no reference yet."""
    standard = standard_rate(scores)
    main = {
        rate: [point for point in points if point.axis != REPETITION] for rate, points in sorted(points_by_rate.items())
    }
    pairs = combinations(main, 2)
    referenced = {point.recipe: point for points in main.values() for point in points}
    hard = {name: point for name, point in referenced.items() if point.kind != EASY}
    return SuiteTable(
        standard=standard,
        perfect=_perfect(list(referenced.values())),
        perfect_without_easy=_perfect(list(hard.values())) if len(hard) < len(referenced) else None,
        rows=tuple(_row(rate, main[rate], points_by_rate[rate], rate == standard) for rate in main),
        differences=tuple(_difference(low, high, main[low], main[high]) for low, high in pairs),
    )


def standard_rate(scores: Scores) -> float | None:
    """The rate with the best mean over the recipes that were trained at every rate, of the rates at which none of them
    broke; a recipe that broke at every rate says nothing about rates."""
    known = {recipe for row in scores.values() for recipe, score in row.items() if score is not None}
    common = sorted(set.intersection(known, *(set(row) for row in scores.values())))
    means = {}
    for rate, row in scores.items():
        own = [row[recipe] for recipe in common]
        if own and None not in own:
            means[rate] = float(np.mean([score for score in own if score is not None]))
    return min(means, key=lambda rate: (means[rate], rate), default=None)


def _row(rate: float, main: Sequence[Point], all_points: Sequence[Point], is_standard: bool) -> RateRow:
    tuned = [point for point in main if point.label == Label.TUNED]
    repeated = [point for point in all_points if point.axis == REPETITION]
    return RateRow(
        rate=rate,
        is_standard=is_standard,
        figures=_measure(main),
        parts=break_down([_compared(point) for point in main], "lower", np.random.default_rng(RNG_SEED)),
        tuned=_measure(tuned) if LEAST <= len(tuned) < len(main) else None,
        repetition=_measure(repeated) if len(repeated) >= LEAST else None,
    )


def _perfect(points: Sequence[Point]) -> SpearmanInterval | None:
    errors = [point.reference_error for point in points if point.reference_error is not None]
    if not points or len(errors) < len(points):
        return None
    means = np.array([-point.reference for point in points])
    reference = NoisyScores(means=means, standard_errors=np.array(errors))
    return perfect_proxy(reference, np.random.default_rng(RNG_SEED))


def _measure(points: Sequence[Point]) -> AgreementFigures:
    proxy, reference = [point.proxy for point in points], [point.reference for point in points]
    rng = np.random.default_rng(RNG_SEED)
    return measure_agreement(proxy, reference, "lower", rng, resamples_for(len(points)))


def _compared(point: Point) -> ComparedRecipe:
    names = ("proxy", "reference", "proxy_error", "reference_error", "axis", "kind")
    return ComparedRecipe(**{name: getattr(point, name) for name in names})


def _difference(low: float, high: float, at_low: Sequence[Point], at_high: Sequence[Point]) -> RateDifference:
    """Of the lower rate against the higher one."""
    above = {point.recipe: point for point in at_high}
    pairs = [(point, above[point.recipe]) for point in at_low if point.recipe in above]
    spearman = SpearmanInterval(estimate=None, low=None, high=None)
    if len(pairs) >= LEAST:
        proxies = ([first.proxy for first, _ in pairs], [second.proxy for _, second in pairs])
        reference = [first.reference for first, _ in pairs]
        rng = np.random.default_rng(RNG_SEED)
        spearman = compare_protocols(proxies, reference, "lower", rng, resamples_for(len(pairs)))
    return RateDifference(rate=low, against=high, n=len(pairs), spearman=spearman)
