"""Agreement taken apart: by axis, without the easy recipes, and what noise alone allows.

A high correlation may come from a few recipes that nobody would have trained (garbage, extreme repetition), or from one
axis of the recipes while another is a coin toss. Assumed and broken as in agreement.py; a part has fewer recipes, so
its intervals are wider, and under five there is none.

Axes: N recipes that have both a proxy score and a reference.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from proxy.ranking.agreement import AgreementFigures, Direction, as_goodness, measure_agreement, resamples_for
from proxy.ranking.repeatability import NoisyScores, noise_only_interval, reliability_ceiling

EASY = "easy"  # the tag `kind` of a recipe that any ranking puts last


@dataclass(frozen=True, kw_only=True)
class ComparedRecipe:
    """One recipe's proxy score (lower is better) and reference, with standard errors over seeds where known."""

    proxy: float
    reference: float
    proxy_error: float | None = None
    reference_error: float | None = None
    axis: str | None = None
    kind: str | None = None


@dataclass(frozen=True, kw_only=True)
class Breakdown:
    """`by_axis` has the axes with at least two recipes; `without_easy` is None where no recipe is marked easy.

    `noise_only_low` and `noise_only_high`: where Spearman would fall for the same recipes with new seeds; `ceiling`:
    what a perfect proxy would reach through this noise. None where the proxy's seed noise is unknown; references whose
    seed noise is unknown are taken as exact, and `ceiling_note` says so.
    """

    by_axis: dict[str, AgreementFigures]
    without_easy: AgreementFigures | None
    noise_only_low: float | None
    noise_only_high: float | None
    ceiling: float | None
    ceiling_note: str


def break_down(recipes: Sequence[ComparedRecipe], direction: Direction, rng: np.random.Generator) -> Breakdown:
    """`direction` says whether a lower or a higher reference is better."""
    axes = sorted({recipe.axis for recipe in recipes if recipe.axis is not None})
    parts = {axis: [recipe for recipe in recipes if recipe.axis == axis] for axis in axes}
    hard = [recipe for recipe in recipes if recipe.kind != EASY]
    low, high, ceiling, note = _through_noise(recipes, direction, rng)
    return Breakdown(
        by_axis={axis: _measure(part, direction, rng) for axis, part in parts.items() if len(part) > 1},
        without_easy=_measure(hard, direction, rng) if len(hard) < len(recipes) else None,
        noise_only_low=low,
        noise_only_high=high,
        ceiling=ceiling,
        ceiling_note=note,
    )


def _measure(recipes: Sequence[ComparedRecipe], direction: Direction, rng: np.random.Generator) -> AgreementFigures:
    proxy, reference = [recipe.proxy for recipe in recipes], [recipe.reference for recipe in recipes]
    return measure_agreement(proxy, reference, direction, rng, resamples_for(len(recipes)))


def _through_noise(
    recipes: Sequence[ComparedRecipe], direction: Direction, rng: np.random.Generator
) -> tuple[float | None, float | None, float | None, str]:
    errors = [recipe.proxy_error for recipe in recipes]
    if len(recipes) < 3 or any(error is None for error in errors):
        return None, None, None, "unknown: it needs seed noise of every proxy and at least 3 recipes"
    unknown = sum(recipe.reference_error is None for recipe in recipes)
    note = f"{unknown} of {len(recipes)} references have one seed and are taken as exact" if unknown else ""
    proxy = NoisyScores(
        means=as_goodness([recipe.proxy for recipe in recipes], "lower", "proxy"),
        standard_errors=np.array(errors, dtype=np.float64),
    )
    reference = NoisyScores(
        means=as_goodness([recipe.reference for recipe in recipes], direction, "reference"),
        standard_errors=np.array([recipe.reference_error or 0.0 for recipe in recipes]),
    )
    low, high = noise_only_interval(proxy, reference, rng, resamples_for(len(recipes)))
    return low, high, reliability_ceiling(proxy, reference), note
