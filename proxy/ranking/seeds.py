"""Seed noise: how far a recipe's score moves when nothing but its seeds change.

Model: Y_rt = μ + α_r + β_t + ε_rt. β_t is what a seed does to every recipe alike (initial weights are shared, and
so are shared documents' places in the stream); it cancels in differences. ε_rt has variance σ_r². Assumed: ε normal,
seeds a random sample. Broken by recipes of very different noise (tested by `noise_differs`) and by seeds that were
chosen after seeing scores.

Residuals are those of the two-way fit; each σ_r² is moderated towards the pool as in limma (G. K. Smyth, Statistical
Applications in Genetics and Molecular Biology 3(1), 2004) and never taken below it. Seeds are never resampled: a
bootstrap over S seeds cannot leave [min, max] and covers at most 1 − 2^(1−S).

Axes: R recipes, T seeds, N trained (recipe, seed) cells. Unit: bits per byte squared.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from proxy.ranking.evidence import AnchorNoise, BoolArray, Float64Array, Int64Array

HETEROGENEITY_DRAWS = 999
ERROR_RATE = 0.05
BLOCK_CELLS = 1_000_000
NO_NOISE = 1e-12  # relative to the scores: far below fp32 rounding of a loss, far above float64 rounding of their sums


@dataclass(frozen=True, kw_only=True)
class TwoWayFit:
    """Residuals of a score table. `residual_N` and `leverage_N` follow the order of the trained cells.

    `common_square` estimates Var(β) + `common_bias` · σ²; it has `common_degrees` degrees of freedom.
    """

    recipe_N: Int64Array
    residual_N: Float64Array
    leverage_N: Float64Array
    basis_NQ: Float64Array  # orthonormal basis of the seed effects within recipes
    degrees: float
    common_square: float = 0.0
    common_bias: float = 0.0
    common_degrees: float = 0.0


@dataclass(frozen=True, kw_only=True)
class SeedNoise:
    """Variance of one run of each recipe, and of the part that all recipes share in a seed (zero if unpaired)."""

    variance_R: Float64Array
    degrees_R: Float64Array
    pooled: float
    pooled_degrees: float
    common_square: float
    common_bias: float
    common_degrees: float
    is_paired: bool

    @property
    def common_variance(self) -> float:
        """Var(β), cut at zero."""
        return max(self.common_square - self.common_bias * self.pooled, 0.0)


def fit_seeds(scores_RT: Float64Array) -> TwoWayFit:
    """The two-way fit where seeds are shared; one-way (recipes only) where sharing leaves under half the information.

    One-way residuals contain the seed effects too, so intervals from them are valid and wider.
    """
    trained_RT = ~np.isnan(scores_RT)
    rank = trained_RT.shape[1] - _groups_of_seeds(trained_RT)
    one_way_degrees = int(trained_RT.sum()) - len(trained_RT)
    is_two_way = one_way_degrees - rank >= max(one_way_degrees / 2, 1)
    return _fit(scores_RT, rank if is_two_way else 0)


def estimate_seed_noise(
    scores_RT: Float64Array, fit: TwoWayFit, anchors: AnchorNoise | None, *, most_prior: float = np.inf
) -> SeedNoise | None:
    """None where nothing shows the noise: one seed everywhere and no anchors, or seeds without any effect.

    `most_prior` bounds the degrees of freedom that a recipe borrows from the pool: its noise is then never taken to be
    as well known as the pool's, whether or not the recipes at hand look alike.

    Recipes that share no seed differ by what their seeds do to all recipes, too, which anchors say nothing of: where
    the recipes do not say it either, anchors are left out.
    """
    trained_RT = ~np.isnan(scores_RT)
    if not fit.basis_NQ.shape[1] and _groups_of_seeds(trained_RT[:, trained_RT.any(axis=0)]) > 1:
        anchors = None
    squares = float(fit.residual_N @ fit.residual_N)
    degrees = fit.degrees
    if degrees > 0 and np.sqrt(squares / degrees) <= NO_NOISE * np.nanmax(np.abs(scores_RT)):
        squares = 0.0
    if anchors is not None:
        squares, degrees = squares + anchors.variance * anchors.degrees_of_freedom, degrees + anchors.degrees_of_freedom
    if squares == 0.0:
        return None
    pooled = squares / degrees
    variance_R, degrees_R = _moderate(fit, len(scores_RT), pooled, degrees, most_prior)
    return SeedNoise(
        variance_R=variance_R,
        degrees_R=degrees_R,
        pooled=pooled,
        pooled_degrees=degrees,
        common_square=fit.common_square,
        common_bias=fit.common_bias,
        common_degrees=fit.common_degrees,
        is_paired=fit.basis_NQ.shape[1] > 0,
    )


def noise_by_recipe(scores_RT: Float64Array) -> list[tuple[float, float] | None]:
    """Each recipe's own seed variance and its degrees of freedom, to be kept with a protocol; None where a recipe
    shows none (one seed, or seeds that change nothing)."""
    fit = fit_seeds(scores_RT)
    own_R = _own_degrees(fit, len(scores_RT))
    squares_R = np.bincount(fit.recipe_N, weights=fit.residual_N**2, minlength=len(scores_RT))
    return [
        (float(square / own), float(own)) if own > 1e-9 and square > 0 else None
        for square, own in zip(squares_R, own_R, strict=True)
    ]


def noise_differs(fit: TwoWayFit, recipes: int, rng: np.random.Generator) -> bool:
    """Whether some recipes are noisier than others, at 5 %.

    Score statistic of a random variance against equal ones, Σ d_r (u_r / v − 1)², with its distribution drawn under
    equal normal noise of the same design: exact for any number of seeds.
    """
    own_R = _own_degrees(fit, recipes)
    if (own_R > 1e-9).sum() < 3 or not fit.residual_N.any():
        return False
    observed = _spread(fit.residual_N[None, :], fit, own_R)[0]
    as_extreme = 0
    for drawn_B in _drawn_spreads(fit, own_R, rng):
        # Three recipes of two seeds always give the same value: rounding must not make it look extreme.
        as_extreme += int((drawn_B >= observed * (1 - 1e-9)).sum())
        if 1 + as_extreme >= ERROR_RATE * (1 + HETEROGENEITY_DRAWS):
            return False  # whatever the draws to come
    return True


def _drawn_spreads(fit: TwoWayFit, own_R: Float64Array, rng: np.random.Generator) -> Iterator[Float64Array]:
    """In blocks: all draws of a thousand recipes with a hundred seeds would take gigabytes."""
    block = max(BLOCK_CELLS // len(fit.recipe_N), 1)
    for first in range(0, HETEROGENEITY_DRAWS, block):
        draws = min(block, HETEROGENEITY_DRAWS - first)
        noise_BN = rng.standard_normal((draws, len(fit.recipe_N)))
        yield _spread(_residuals(noise_BN, fit), fit, own_R)


def _fit(scores_RT: Float64Array, rank: int) -> TwoWayFit:
    """`rank`: dimension of the seed effects within recipes; 0 leaves them out."""
    trained_RT = ~np.isnan(scores_RT)
    recipe_N, seed_N = np.nonzero(trained_RT)
    within_N = scores_RT[trained_RT] - np.nanmean(scores_RT, axis=1)[recipe_N]
    basis_NQ = _seed_basis(trained_RT, recipe_N, seed_N, rank)
    along_Q = basis_NQ.T @ within_N
    size = float(len(recipe_N) - len(scores_RT))  # of the design: 1 − 1/S a cell
    return TwoWayFit(
        recipe_N=recipe_N,
        residual_N=within_N - basis_NQ @ along_Q,
        leverage_N=(1 / trained_RT.sum(axis=1))[recipe_N] + (basis_NQ**2).sum(axis=1),
        basis_NQ=basis_NQ,
        degrees=size - rank,
        common_square=float(along_Q @ along_Q) / size if rank else 0.0,
        common_bias=rank / size if rank else 0.0,
        common_degrees=float(rank),
    )


def _groups_of_seeds(trained_RT: BoolArray) -> int:
    """Seeds that some recipe joins are one group: between groups nothing tells seeds' effects from recipes'."""
    label_T = np.arange(trained_RT.shape[1])
    for row_T in np.unique(trained_RT, axis=0):
        joined = np.unique(label_T[row_T])
        label_T[np.isin(label_T, joined)] = joined[0]
    return len(np.unique(label_T))


def _seed_basis(trained_RT: BoolArray, recipe_N: Int64Array, seed_N: Int64Array, rank: int) -> Float64Array:
    """Orthonormal basis of the seed indicators with their recipe's mean taken off."""
    if not rank:
        return np.zeros((len(recipe_N), 0))
    share_RT = trained_RT / trained_RT.sum(axis=1, keepdims=True)
    design_NT = np.eye(trained_RT.shape[1])[seed_N] - share_RT[recipe_N]
    left, _, _ = np.linalg.svd(design_NT, full_matrices=False)
    basis_NQ: Float64Array = left[:, :rank]
    return basis_NQ


def _residuals(values_BN: Float64Array, fit: TwoWayFit) -> Float64Array:
    starts_R = _first_cells(fit.recipe_N)
    count_R = np.diff(starts_R, append=len(fit.recipe_N))
    means_BR = np.add.reduceat(values_BN, starts_R, axis=1) / count_R
    within_BN = values_BN - np.repeat(means_BR, count_R, axis=1)
    within_BN -= (within_BN @ fit.basis_NQ) @ fit.basis_NQ.T
    return within_BN


def _first_cells(recipe_N: Int64Array) -> Int64Array:
    """Cells come recipe by recipe, and every recipe has one."""
    return np.flatnonzero(np.diff(recipe_N, prepend=-1))


def _own_degrees(fit: TwoWayFit, recipes: int) -> Float64Array:
    """E Σ_t e_rt² / σ² of each recipe: (S − 1)(R − 1)/R where every recipe has the same S seeds."""
    return np.bincount(fit.recipe_N, weights=1 - fit.leverage_N, minlength=recipes).astype(np.float64)


def _spread(residual_BN: Float64Array, fit: TwoWayFit, own_R: Float64Array) -> Float64Array:
    squares_BR = np.add.reduceat(residual_BN**2, _first_cells(fit.recipe_N), axis=1)
    pooled_B1 = squares_BR.sum(axis=1, keepdims=True) / own_R.sum()
    has_own = own_R > 1e-9
    ratio_BR = squares_BR[:, has_own] / own_R[has_own] / pooled_B1
    spread: Float64Array = ((ratio_BR - 1) ** 2 * own_R[has_own]).sum(axis=1)
    return spread


def _moderate(
    fit: TwoWayFit, recipes: int, pooled: float, degrees: float, most_prior: float
) -> tuple[Float64Array, Float64Array]:
    """max(pooled, moderated) variance of each recipe, with its degrees of freedom."""
    own_R = _own_degrees(fit, recipes)
    squares_R = np.bincount(fit.recipe_N, weights=fit.residual_N**2, minlength=recipes)
    has_own = own_R > 1e-9
    prior = min(_prior_degrees(squares_R[has_own] / own_R[has_own], own_R[has_own], pooled), most_prior)
    variance_R, degrees_R = np.full(recipes, pooled), np.full(recipes, degrees)
    if np.isfinite(most_prior):
        degrees_R = np.minimum(prior + own_R, degrees)
    if np.isfinite(prior):
        moderated_R = (prior * pooled + squares_R) / (prior + own_R)
        is_noisier = has_own & (moderated_R > pooled)
        variance_R[is_noisier] = moderated_R[is_noisier]
        degrees_R[is_noisier] = np.clip(prior + own_R[is_noisier], 1, max(degrees, 1))
    return variance_R, degrees_R


def _prior_degrees(variance_R: Float64Array, degrees_R: Float64Array, pooled: float) -> float:
    """Smyth's d₀ from the spread of log variances; infinite where it is no more than chance, or under 3 recipes."""
    from scipy.special import digamma, polygamma

    if len(variance_R) < 3:
        return np.inf
    floored_R = np.maximum(variance_R, 1e-5 * max(float(np.median(variance_R)), 1e-5 * pooled))
    centred_R = np.log(floored_R) - digamma(degrees_R / 2) + np.log(degrees_R / 2)
    excess = float(centred_R.var(ddof=1) - polygamma(1, degrees_R / 2).mean())
    return 2 * _trigamma_inverse(excess) if excess > 0 else np.inf


def _trigamma_inverse(value: float) -> float:
    """Newton's iteration on 1 / trigamma, convex and monotone (Smyth 2004, appendix)."""
    from scipy.special import polygamma

    x = 0.5 + 1 / value
    for _ in range(20):  # quadratic: six are enough for any value met
        trigamma = float(polygamma(1, x))
        x += trigamma * (1 - trigamma / value) / float(polygamma(2, x))
    return x
