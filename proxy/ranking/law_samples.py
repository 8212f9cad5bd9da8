"""One least squares problem of the loss law: points of recipes that share exponents, its best fit, its bootstrap.

Assumed exponents are held at one value in the fit and drawn from half to twice that value in the bootstrap. What noise
is drawn is explained in laws.py.

Axes: B resamples or starts, R recipes, M points of all recipes. 2: (size, budget), or (α, β) on a log scale.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from proxy.ranking.evidence import Float64Array
from proxy.ranking.law_points import LawPoint, Scale
from proxy.ranking.projection import RecipePoints, project, residuals_of, search

LIMITS = (0.02, 2.0)  # published exponents lie in .05–.75
STARTS = 6  # an axis
# Hoffmann et al.'s α is .34; refits and other corpora say .35 (N. Muennighoff et al., arXiv 2305.16264) and α .35,
# β .37 (T. Besiroglu et al., arXiv 2404.10102).
ASSUMED = 0.34


@dataclass(frozen=True, kw_only=True)
class LawSample:
    """Points of all recipes of one fit, centred at the geometric mean of their scales."""

    recipes: tuple[RecipePoints, ...]
    places: tuple[slice, ...]
    loss_M: Float64Array
    weight_M: Float64Array
    centre_2: Float64Array
    has_errors: bool
    is_measured_2: tuple[bool, bool]

    @property
    def degrees(self) -> int:
        """Points beyond the parameters that were fitted; zero or less where the law passes through all points."""
        return len(self.loss_M) - 3 * len(self.recipes) - sum(self.is_measured_2)

    def residuals(self, loss_BM: Float64Array, log_exponents_B2: Float64Array) -> Float64Array:
        """Weighted residuals (B, M) of the best E, A, B of each recipe at these exponents."""
        parts = zip(self.recipes, self.places, strict=True)
        exponents_B2 = np.exp(log_exponents_B2)
        return np.hstack([residuals_of(points, loss_BM[:, place], exponents_B2) for points, place in parts])


def gather(recipes: Sequence[Sequence[LawPoint]], is_measured_2: tuple[bool, bool]) -> LawSample:
    """Weights are 1 / standard error where every point has one, else all 1. At least one recipe with a point."""
    everything = [point for points in recipes for point in points]
    logs_2M = np.log([[point.parameters for point in everything], [point.tokens for point in everything]])
    centre_2 = logs_2M.mean(axis=1)
    errors = [point.standard_error for point in everything]
    known = [error for error in errors if error is not None]
    has_errors = len(known) == len(errors)
    weight_M = 1 / np.array(known) if has_errors else np.ones(len(everything))
    ends = np.cumsum([len(points) for points in recipes]).tolist()
    places = tuple(slice(end - len(points), end) for end, points in zip(ends, recipes, strict=True))
    centred_2M = logs_2M - centre_2[:, None]
    return LawSample(
        recipes=tuple(RecipePoints(log_scale_2P=centred_2M[:, place], weight_P=weight_M[place]) for place in places),
        places=places,
        loss_M=np.array([point.loss for point in everything]),
        weight_M=weight_M,
        centre_2=centre_2,
        has_errors=has_errors,
        is_measured_2=is_measured_2,
    )


def best_exponents(sample: LawSample) -> Float64Array:
    """The lowest of many searches: float64[1, 2], log scale."""
    low_2 = np.log([LIMITS[0] if known else ASSUMED for known in sample.is_measured_2])
    high_2 = np.log([LIMITS[1] if known else ASSUMED for known in sample.is_measured_2])
    alpha_G, beta_G = np.meshgrid(*np.linspace(low_2, high_2, STARTS, axis=1))
    start_B2 = np.stack([alpha_G.ravel(), beta_G.ravel()], axis=1)
    loss_BM = np.broadcast_to(sample.loss_M, (len(start_B2), len(sample.loss_M)))
    found_B2 = search(
        lambda log_exponents_B2: sample.residuals(loss_BM, log_exponents_B2),
        start_B2,
        np.broadcast_to(low_2, start_B2.shape),
        np.broadcast_to(high_2, start_B2.shape),
    )
    squares_B = (sample.residuals(loss_BM, found_B2) ** 2).sum(axis=1)
    return found_B2[[squares_B.argmin()]]


def bootstrap_losses(
    sample: LawSample,
    best_12: Float64Array,
    residual_M: Float64Array,
    target: Scale,
    rng: np.random.Generator,
    resamples: int,
) -> Float64Array | None:
    """Predicted losses of refitted samples: float64[B, R]; None where nothing shows how large the noise is."""
    scale_B = _noise_scale(sample, float(residual_M @ residual_M), rng, resamples)
    if scale_B is None:
        return None
    fitted_M = sample.loss_M - residual_M / sample.weight_M
    noise_BM = rng.standard_normal((resamples, len(fitted_M))) * scale_B[:, None] / sample.weight_M
    loss_BM = fitted_M + noise_BM
    low_B2, high_B2 = _drawn_limits(sample, rng, resamples)
    found_B2 = search(
        lambda log_exponents_B2: sample.residuals(loss_BM, log_exponents_B2),
        np.broadcast_to(best_12, (resamples, 2)),
        low_B2,
        high_B2,
    )
    decay_B2 = np.exp(-np.exp(found_B2) * (np.log([target.parameters, target.tokens]) - sample.centre_2))
    basis_B3 = np.column_stack([np.ones(resamples), decay_B2])
    parts = zip(sample.recipes, sample.places, strict=True)
    losses = [project(points, loss_BM[:, place], np.exp(found_B2)) for points, place in parts]
    return np.column_stack([(coefficient_B3 * basis_B3).sum(axis=1) for coefficient_B3 in losses])


def _noise_scale(sample: LawSample, squares: float, rng: np.random.Generator, resamples: int) -> Float64Array | None:
    """What each sample's noise is multiplied by: standard errors where known, residual spread where not."""
    if sample.has_errors:
        excess = squares / sample.degrees if sample.degrees > 0 else 1.0
        return np.full(resamples, math.sqrt(max(excess, 1.0)))
    if sample.degrees < 1:
        return None
    scale_B: Float64Array = np.sqrt(squares / rng.chisquare(sample.degrees, resamples))
    return scale_B


def _drawn_limits(sample: LawSample, rng: np.random.Generator, resamples: int) -> tuple[Float64Array, Float64Array]:
    """Of each sample's log exponents; an assumed one is drawn log-uniformly between half and twice its value."""
    low_B2 = np.tile(np.log(LIMITS[0]), (resamples, 2))
    high_B2 = np.tile(np.log(LIMITS[1]), (resamples, 2))
    for axis, is_measured in enumerate(sample.is_measured_2):
        if not is_measured:
            low_B2[:, axis] = math.log(ASSUMED) + rng.uniform(-math.log(2), math.log(2), resamples)
            high_B2[:, axis] = low_B2[:, axis]
    return low_B2, high_B2
