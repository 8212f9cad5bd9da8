"""The five-parameter loss law L(N, D) = E + A / N^α + B / D^β, and the loss it predicts at a target scale.

Estimand: the expected loss of a recipe at N parameters and D tokens, over seeds, if the law holds there. Source:
J. Hoffmann et al., arXiv 2203.15556, approach 3. Fitted by variable projection (projection.py), with exponents of one
recipe's own (`fit_law`) or one α and β for all recipes and E, A, B of each (`fit_shared_law`).

Scale of the loss: weighted least squares on L itself, not on log L. Seed noise is additive and about equal over the
scales of one fit; the law is linear in E, A, B on that scale only; and losses of one fit differ by a factor under two,
so a log would change little but weights. Runs that diverged must have been left out: squares forgive no outlier.

Intervals: parametric bootstrap around the fitted law. Noise is what all points' standard errors say, widened by
√(χ² / degrees) where residuals exceed it; where any standard error is missing, the residual variance, drawn anew for
each sample as RSS / χ² of its degrees of freedom, so that one degree of freedom gives Student's wide tails. Points are
never resampled: six points drawn with replacement would mostly leave a law that nothing identifies.
Simulated coverage at ten times the largest size: .947 (3 × 3 points, standard errors), .943 (residuals), .973 (six
points), .967 (six recipes with shared exponents); 300 data sets each, standard error .013.

Assumed: the law holds to the target, same tokenizer, schedule and tuning at all scales. Broken by phase transitions
(arXiv 2505.18091), repetition, and rates tuned at one scale only; the interval knows nothing of these. Exponents that
the points cannot measure are assumed, and drawn from half to twice that value in the interval.

Axes: B resamples, R recipes, M points of all recipes. 2: (α, β), searched on a log scale.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from proxy.ranking.evidence import Float64Array
from proxy.ranking.law_points import (
    LawPoint,
    Scale,
    check_points,
    check_scale,
    measurable_exponents,
    refusal_of_own_law,
    refusal_of_shared_law,
)
from proxy.ranking.law_samples import ASSUMED, LIMITS, LawSample, best_exponents, bootstrap_losses, gather
from proxy.ranking.projection import project

LEVEL = 0.95
RESAMPLES = 500
NAMES = ("alpha", "beta")


@dataclass(frozen=True, kw_only=True)
class LossLaw:
    """The parameters under their published names; E, A and B are never negative."""

    E: float
    A: float
    B: float
    alpha: float
    beta: float

    def loss_at(self, scale: Scale) -> float:
        """In the unit of the losses it was fitted to."""
        of_size = self.A * math.exp(-self.alpha * math.log(scale.parameters))
        return self.E + of_size + self.B * math.exp(-self.beta * math.log(scale.tokens))


@dataclass(frozen=True, kw_only=True)
class LawPrediction:
    """`loss` at the target with its interval at 95 %; all None where `refusal` says why there is no law.

    `squares` are the weighted squares of all points fitted together, on `degrees` degrees of freedom. The factors say
    how far the target lies beyond the largest size and the largest budget seen (None without points). `assumed` names
    exponents that were not measured. `note` says what limits the claim.
    """

    law: LossLaw | None
    loss: float | None
    low: float | None
    high: float | None
    squares: float | None
    degrees: int
    parameters_factor: float | None
    tokens_factor: float | None
    assumed: tuple[str, ...]
    note: str
    refusal: str | None


def fit_law(
    points: Sequence[LawPoint], target: Scale, rng: np.random.Generator, resamples: int = RESAMPLES
) -> LawPrediction:
    """One recipe's own five parameters: at least 3 sizes, 3 budgets and 6 points, or a refusal that says what lacks."""
    check_scale(target, "/target")
    check_points(points, "/points")
    refusal = refusal_of_own_law(points)
    if refusal is not None:
        return _refused(points, target, refusal)
    return _fit([points], target, (True, True), rng, resamples)[0]


def fit_shared_law(
    points: Mapping[str, Sequence[LawPoint]], target: Scale, rng: np.random.Generator, resamples: int = RESAMPLES
) -> dict[str, LawPrediction]:
    """One α and β for all recipes, E, A and B of each: 2 sizes and 2 budgets a recipe are enough.

    An exponent that no recipe can measure (a third size for α, a third budget for β) is assumed, and named.
    """
    check_scale(target, "/target")
    for recipe, own in points.items():
        check_points(own, f"/points/{recipe}")
    refusals = {recipe: refusal_of_shared_law(own) for recipe, own in points.items()}
    usable = [recipe for recipe, refusal in refusals.items() if refusal is None]
    fitted = [points[recipe] for recipe in usable]
    predictions = _fit(fitted, target, measurable_exponents(fitted), rng, resamples) if fitted else []
    found = dict(zip(usable, predictions, strict=True))
    for recipe, refusal in refusals.items():
        if refusal is not None:
            found[recipe] = _refused(points[recipe], target, refusal)
    return {recipe: found[recipe] for recipe in points}


def _fit(
    recipes: Sequence[Sequence[LawPoint]],
    target: Scale,
    is_measured_2: tuple[bool, bool],
    rng: np.random.Generator,
    resamples: int,
) -> list[LawPrediction]:
    sample = gather(recipes, is_measured_2)
    best_12 = best_exponents(sample)
    residual_M = sample.residuals(sample.loss_M[None, :], best_12)[0]
    squares = float(residual_M @ residual_M)
    drawn_BR = bootstrap_losses(sample, best_12, residual_M, target, rng, resamples)
    predictions = []
    for index, points in enumerate(recipes):
        law = _law(sample, index, best_12)
        loss = law.loss_at(target)
        low, high = _percentiles(drawn_BR[:, index], loss) if drawn_BR is not None else (None, None)
        predictions.append(
            LawPrediction(
                law=law,
                loss=loss,
                low=low,
                high=high,
                squares=squares,
                degrees=sample.degrees,
                **_factors(points, target),
                assumed=tuple(name for name, known in zip(NAMES, is_measured_2, strict=True) if not known),
                note=_note(sample, best_12, drawn_BR is not None),
                refusal=None,
            )
        )
    return predictions


def _law(sample: LawSample, index: int, best_12: Float64Array) -> LossLaw:
    """Of one recipe, back in parameters and tokens."""
    exponents_12 = np.exp(best_12)
    (coefficient_3,) = project(sample.recipes[index], sample.loss_M[None, sample.places[index]], exponents_12)
    alpha, beta = exponents_12[0].tolist()
    size, budget = np.exp(exponents_12[0] * sample.centre_2).tolist()
    floor, of_size, of_budget = coefficient_3.tolist()
    return LossLaw(E=floor, A=of_size * size, B=of_budget * budget, alpha=alpha, beta=beta)


def _percentiles(drawn_B: Float64Array, loss: float) -> tuple[float, float]:
    """Never without the estimate, which constraints can push to an edge of its own resamples."""
    low, high = np.quantile(drawn_B, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]).tolist()
    return min(low, loss), max(high, loss)


def _refused(points: Sequence[LawPoint], target: Scale, refusal: str) -> LawPrediction:
    return LawPrediction(
        law=None,
        loss=None,
        low=None,
        high=None,
        squares=None,
        degrees=0,
        **_factors(points, target),
        assumed=(),
        note="",
        refusal=refusal,
    )


def _factors(points: Sequence[LawPoint], target: Scale) -> dict[str, float | None]:
    if not points:
        return {"parameters_factor": None, "tokens_factor": None}
    return {
        "parameters_factor": target.parameters / max(point.parameters for point in points),
        "tokens_factor": target.tokens / max(point.tokens for point in points),
    }


def _note(sample: LawSample, best_12: Float64Array, has_interval: bool) -> str:
    sentences = []
    for axis, (name, noun) in enumerate((("α", "size"), ("β", "budget"))):
        exponent = math.exp(best_12[0, axis])
        if not sample.is_measured_2[axis]:
            sentences.append(
                f"No recipe has the third {noun} that {name} needs: {ASSUMED} is assumed, and {ASSUMED / 2:.2f} to"
                f" {ASSUMED * 2:.2f} in the interval."
            )
        elif not LIMITS[0] * 1.001 < exponent < LIMITS[1] / 1.001:
            sentences.append(f"{name} ran to its limit {exponent:.2f}: the points do not identify it.")
    if not has_interval:
        sentences.append("There are as many parameters as points and no standard errors: there is no interval.")
    return " ".join(sentences)
