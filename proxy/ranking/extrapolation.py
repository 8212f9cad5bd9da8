"""Ranking at a target scale by a loss law, beside the ranking at one scale, and which of the two to trust here.

Estimand of the comparison: Spearman of the law's ranking minus Spearman of the single-scale ranking, against the same
references, for **new recipes of this kind** (repeatability.py). References are never fitted to, and proxies at or
beyond the target's scale are left out, so both agreements are out of sample. Single scale: mean loss at the largest
scale that all recipes with a law share.

Over 25 recipes and 14 sizes, eight ways of fitting scaling laws did not rank better than a single scale of the same
cost (DataDecide, arXiv 2504.11393). So the law is used only where its lead is shown: the paired interval lies above
zero on at least 12 recipes; fewer are too few for percentiles (agreement.py). Two equally good rankings were told
apart in at most .03 of 300 simulated reference sets of 5 to 24 recipes. Broken by choosing between many laws on one
reference set.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

import numpy as np

from proxy.errors import InvalidInputError
from proxy.ranking.agreement import BOOTSTRAP_FROM, AgreementFigures, Direction, as_goodness, measure_agreement
from proxy.ranking.law_points import LawPoint, Scale, check_points, check_scale
from proxy.ranking.laws import LawPrediction, fit_law, fit_shared_law
from proxy.ranking.repeatability import SpearmanInterval, compare_protocols

Exponents = Literal["shared", "own"]


class Trust(StrEnum):
    """What the paired interval shows."""

    LAW = "law"
    SINGLE_SCALE = "single scale"
    NEITHER = "neither is shown to be better"


@dataclass(frozen=True, kw_only=True)
class RecipeProxies:
    """A recipe's proxies at all scales, and its reference at the target where one is registered."""

    recipe: str
    points: Sequence[LawPoint]
    reference: float | None = None


@dataclass(frozen=True, kw_only=True)
class RecipeExtrapolation:
    """Ranks count from 1, equal losses share one; None without a law, or without a proxy at the single scale."""

    recipe: str
    prediction: LawPrediction
    law_rank: int | None
    single_scale_loss: float | None
    single_scale_rank: int | None
    reference: float | None


@dataclass(frozen=True, kw_only=True)
class Extrapolation:
    """Both agreements are of the `compared` recipes that have a law, the single scale and a reference.

    `difference` is the law's Spearman minus the single scale's. `rank_by` is what to use, None where there is neither.
    `left_out` counts proxies at or beyond the target.
    """

    target: Scale
    exponents: Exponents
    single_scale: Scale | None
    recipes: tuple[RecipeExtrapolation, ...]
    compared: int
    left_out: int
    law_agreement: AgreementFigures
    single_scale_agreement: AgreementFigures
    difference: SpearmanInterval
    trust: Trust
    rank_by: Literal["law", "single scale"] | None
    sentence: str


def extrapolate(
    recipes: Sequence[RecipeProxies],
    target: Scale,
    direction: Direction,
    rng: np.random.Generator,
    exponents: Exponents = "shared",
) -> Extrapolation:
    """Both rankings of all recipes; `direction` says whether a lower or a higher reference is better."""
    _check(recipes, target)
    points = {entry.recipe: [point for point in entry.points if not _reaches(point, target)] for entry in recipes}
    predictions = _predict(points, target, exponents, rng)
    single_scale = _common_scale([points[name] for name, found in predictions.items() if found.law is not None])
    if single_scale is None:
        single_scale = _common_scale([own for own in points.values() if own])
    entries = _entries(recipes, predictions, {name: _loss_at(own, single_scale) for name, own in points.items()})
    law_N, single_N, reference_N = _compared(entries)
    difference = compare_protocols((law_N, single_N), reference_N, direction, rng)
    trust = _trust(difference, len(reference_N))
    rank_by = _rank_by(entries, trust)
    return Extrapolation(
        target=target,
        exponents=exponents,
        single_scale=single_scale,
        recipes=entries,
        compared=len(reference_N),
        left_out=sum(len(entry.points) - len(points[entry.recipe]) for entry in recipes),
        law_agreement=measure_agreement(law_N, reference_N, direction, rng),
        single_scale_agreement=measure_agreement(single_N, reference_N, direction, rng),
        difference=difference,
        trust=trust,
        rank_by=rank_by,
        sentence=_sentence(entries, difference, trust, len(reference_N)),
    )


def _check(recipes: Sequence[RecipeProxies], target: Scale) -> None:
    check_scale(target, "/target")
    names = [entry.recipe for entry in recipes]
    if len(set(names)) < len(names):
        repeated = sorted({name for name in names if names.count(name) > 1})
        raise InvalidInputError.at("/recipes", repeated, "a recipe appears twice")
    for entry in recipes:
        check_points(entry.points, f"/recipes/{entry.recipe}/points")
        if entry.reference is not None:
            as_goodness([entry.reference], "higher", f"recipes/{entry.recipe}/reference")


def _reaches(point: LawPoint, target: Scale) -> bool:
    return point.parameters >= target.parameters and point.tokens >= target.tokens


def _predict(
    points: dict[str, list[LawPoint]], target: Scale, exponents: Exponents, rng: np.random.Generator
) -> dict[str, LawPrediction]:
    if exponents == "shared":
        return fit_shared_law(points, target, rng)
    return {recipe: fit_law(own, target, rng) for recipe, own in points.items()}


def _common_scale(recipes: Sequence[Sequence[LawPoint]]) -> Scale | None:
    """The largest by compute that all of them have."""
    if not recipes:
        return None
    common = set.intersection(*({point.scale for point in points} for points in recipes))
    return max(common, key=lambda scale: (scale.compute, scale.parameters), default=None)


def _loss_at(points: Sequence[LawPoint], scale: Scale | None) -> float | None:
    """Mean over the points there."""
    losses = [point.loss for point in points if point.scale == scale]
    return float(np.mean(losses)) if losses else None


def _entries(
    recipes: Sequence[RecipeProxies], predictions: dict[str, LawPrediction], single: dict[str, float | None]
) -> tuple[RecipeExtrapolation, ...]:
    predicted = [predictions[entry.recipe].loss for entry in recipes]
    measured = [single[entry.recipe] for entry in recipes]
    return tuple(
        RecipeExtrapolation(
            recipe=entry.recipe,
            prediction=predictions[entry.recipe],
            law_rank=_rank(predicted[index], predicted),
            single_scale_loss=measured[index],
            single_scale_rank=_rank(measured[index], measured),
            reference=entry.reference,
        )
        for index, entry in enumerate(recipes)
    )


def _rank(loss: float | None, losses: Sequence[float | None]) -> int | None:
    if loss is None:
        return None
    return 1 + sum(other < loss for other in losses if other is not None)


def _compared(entries: Sequence[RecipeExtrapolation]) -> tuple[list[float], list[float], list[float]]:
    """Law, single scale and reference of the recipes that have all three."""
    found = [
        (entry.prediction.loss, entry.single_scale_loss, entry.reference)
        for entry in entries
        if entry.prediction.loss is not None and entry.single_scale_loss is not None and entry.reference is not None
    ]
    return [law for law, _, _ in found], [single for _, single, _ in found], [reference for _, _, reference in found]


def _trust(difference: SpearmanInterval, compared: int) -> Trust:
    if compared < BOOTSTRAP_FROM or difference.low is None or difference.high is None:
        return Trust.NEITHER
    if difference.low > 0:
        return Trust.LAW
    return Trust.SINGLE_SCALE if difference.high < 0 else Trust.NEITHER


def _rank_by(entries: Sequence[RecipeExtrapolation], trust: Trust) -> Literal["law", "single scale"] | None:
    if trust is Trust.LAW:
        return "law"
    return "single scale" if any(entry.single_scale_loss is not None for entry in entries) else None


def _sentence(entries: Sequence[RecipeExtrapolation], difference: SpearmanInterval, trust: Trust, compared: int) -> str:
    """One that can be repeated without being wrong."""
    if all(entry.prediction.loss is None for entry in entries):
        return "No recipe has proxies at enough sizes and budgets for a loss law."
    if all(entry.single_scale_loss is None for entry in entries):
        return "The recipes share no scale, so there is nothing to hold the law against; it is not shown to rank well."
    if compared < BOOTSTRAP_FROM:
        have = "recipe has" if compared == 1 else "recipes have"
        return (
            f"{compared} {have} a law, the common scale and a reference: too few to show that the law ranks better"
            f" ({BOOTSTRAP_FROM} are the least); rank by the single scale."
        )
    if difference.estimate is None or difference.low is None or difference.high is None:
        return "Equal scores leave no ranking to compare; rank by the single scale."
    interval = f"{difference.estimate:+.2f} in Spearman (95 % {difference.low:+.2f} to {difference.high:+.2f})"
    measured = f"Over {compared} recipes the law's ranking is {interval} from the single scale's"
    if trust is Trust.LAW:
        return f"{measured}: for recipes of this kind at this target it ranks better."
    if trust is Trust.SINGLE_SCALE:
        return f"{measured}: for recipes of this kind at this target it ranks worse; rank by the single scale."
    return f"{measured}: neither is shown to be better; rank by the single scale."
