"""Which recipe is the best, and what choosing another one would cost: joint draws shrunk to the grand mean.

Model: true scores θ ~ N(μ, τ²), observed means Y ~ N(θ, κ Σ); κ ~ ν / χ²_ν for a noise known by ν degrees of freedom,
τ half-Cauchy with the noise's own scale (A. Gelman, Bayesian Analysis 1(3), 2006), μ flat. The winner of a noisy race
is mostly lucky, and unshrunk draws are far too sure of it. Broken by recipes that are no sample of one kind: one broken
outlier widens τ and so weakens the shrinkage.

Simulated, 20 recipes of 2 seeds with τ half of a run's noise: the leader is the best in .22 of leaderboards, these
draws say .23, flat ones about .41; its regret is .42 sd of a run, these draws say .31, and .24–.28 with τ fixed at its
moment estimate, which is why τ and κ are drawn too. Few and far apart recipes: underconfident (.86 for .95).

Noise that is independent between recipes but for a part that all share (the usual case: all have the same seeds, and
documents are fixed) needs no eigenvectors: O(R) a draw instead of O(R²), after O(R³).

Axes: R recipes, J = R − 1 contrasts, B draws, G grid points of (κ, τ). Bits per byte, lower is better.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from proxy.ranking.evidence import Float64Array

DRAWS = 4000
BLOCKS = 16  # of draws: a thousand recipes' temporaries stay in the cache
SCALES, SPREADS = 60, 60  # grid of κ and τ: quantiles of their priors


@dataclass(frozen=True, kw_only=True)
class BestChances:
    """`p_best_R` sums to 1; `expected_regret_R`: bits per byte lost by choosing this recipe instead of the best."""

    p_best_R: Float64Array
    expected_regret_R: Float64Array


def chances_of_being_best(
    mean_R: Float64Array,
    covariance_RR: Float64Array,
    degrees: float,
    rng: np.random.Generator,
) -> BestChances:
    """Of the given mean scores, whose noise has this covariance, known by `degrees` degrees of freedom."""
    recipes = len(mean_R)
    if recipes == 1:
        return BestChances(p_best_R=np.ones(1), expected_regret_R=np.zeros(1))
    draws_BR = _posterior_draws(mean_R, covariance_RR, degrees, rng)
    best_B1 = draws_BR.min(axis=1, keepdims=True)
    wins_R = np.bincount(draws_BR.argmin(axis=1), minlength=recipes)
    return BestChances(p_best_R=wins_R / DRAWS, expected_regret_R=(draws_BR - best_B1).mean(axis=0))


def _posterior_draws(
    mean_R: Float64Array,
    covariance_RR: Float64Array,
    degrees: float,
    rng: np.random.Generator,
) -> Float64Array:
    """Draws of θ around its mean (B, R), or around anything else that is the same for all recipes."""
    own_R = _independent_part(covariance_RR)
    if own_R is None:
        return _joint_draws(mean_R, covariance_RR, degrees, rng)
    return _independent_draws(mean_R, own_R, degrees, rng)


def _independent_part(covariance_RR: Float64Array) -> Float64Array | None:
    """Variances (R) beside what all recipes share; None where some share more than others."""
    shared_P = covariance_RR[~np.eye(len(covariance_RR), dtype=np.bool_)]
    own_R: Float64Array = np.diag(covariance_RR) - shared_P[0]
    return own_R if np.ptp(shared_P) <= 1e-12 * own_R.min() else None


def _independent_draws(
    mean_R: Float64Array,
    own_R: Float64Array,
    degrees: float,
    rng: np.random.Generator,
) -> Float64Array:
    """First the grand mean, then each recipe given it."""
    observed_R = mean_R - mean_R.mean()

    def log_likelihood(prior_G1: Float64Array, scale_G1: Float64Array) -> Float64Array:
        """Of the contrasts: the grand mean is integrated out."""
        weight_GR = 1 / (prior_G1 + scale_G1 * own_R)
        total_G = weight_GR.sum(axis=1)
        squares_G = weight_GR @ observed_R**2 - (weight_GR @ observed_R) ** 2 / total_G
        likelihood_G: Float64Array = 0.5 * (np.log(weight_GR).sum(axis=1) - np.log(total_G) - squares_G)
        return likelihood_G

    scale_B1, prior_B1 = _draw_variances(float(own_R.mean()), degrees, log_likelihood, rng)
    blocks = zip(np.array_split(scale_B1, BLOCKS), np.array_split(prior_B1, BLOCKS), strict=True)
    return np.concatenate([_draw_given(observed_R, own_R, scale_B1, prior_B1, rng) for scale_B1, prior_B1 in blocks])


def _draw_given(
    observed_R: Float64Array,
    own_R: Float64Array,
    scale_B1: Float64Array,
    prior_B1: Float64Array,
    rng: np.random.Generator,
) -> Float64Array:
    noise_BR = scale_B1 * own_R
    weight_BR = 1 / (prior_B1 + noise_BR)
    total_B1 = weight_BR.sum(axis=1, keepdims=True)
    centre_B1 = (weight_BR @ observed_R)[:, None] / total_B1
    centre_B1 += rng.standard_normal(centre_B1.shape) / np.sqrt(total_B1)
    kept_BR = prior_B1 * weight_BR
    draws_BR = rng.standard_normal(noise_BR.shape)
    draws_BR *= np.sqrt(kept_BR * noise_BR)
    draws_BR += centre_B1 + kept_BR * (observed_R - centre_B1)
    return draws_BR


def _joint_draws(
    mean_R: Float64Array,
    covariance_RR: Float64Array,
    degrees: float,
    rng: np.random.Generator,
) -> Float64Array:
    """In the eigenbasis of the noise between recipes."""
    recipes = len(mean_R)
    centring_RR = np.eye(recipes) - 1 / recipes
    noise_J, basis_RJ = _contrasts(centring_RR @ covariance_RR @ centring_RR)
    observed_J = basis_RJ.T @ (mean_R - mean_R.mean())

    def log_likelihood(prior_G1: Float64Array, scale_G1: Float64Array) -> Float64Array:
        total_GJ = prior_G1 + scale_G1 * noise_J
        likelihood_G: Float64Array = -0.5 * (np.log(total_GJ) + observed_J**2 / total_GJ).sum(axis=1)
        return likelihood_G

    scale_B1, prior_B1 = _draw_variances(float(noise_J.mean()), degrees, log_likelihood, rng)
    noise_BJ = scale_B1 * noise_J
    kept_BJ = prior_B1 / (prior_B1 + noise_BJ)
    normal_BJ = rng.standard_normal((DRAWS, recipes - 1))
    draws_BR: Float64Array = (kept_BJ * observed_J + np.sqrt(kept_BJ * noise_BJ) * normal_BJ) @ basis_RJ.T
    return draws_BR


def _draw_variances(
    typical: float,
    degrees: float,
    log_likelihood: Callable[[Float64Array, Float64Array], Float64Array],
    rng: np.random.Generator,
) -> tuple[Float64Array, Float64Array]:
    """Joint posterior draws of κ and τ² (B, 1), by weighing a grid of equally likely prior values.

    `typical`: the mean variance of the noise of a contrast.
    """
    from scipy.special import chdtri

    scale_G = np.repeat(degrees / chdtri(degrees, _midpoints(SCALES)), SPREADS)
    prior_G = scale_G * typical * np.tile(np.tan(np.pi / 2 * _midpoints(SPREADS)) ** 2, SCALES)
    log_likelihood_G = log_likelihood(prior_G[:, None], scale_G[:, None])
    weight_G = np.exp(log_likelihood_G - log_likelihood_G.max())
    drawn_B = rng.choice(len(weight_G), size=DRAWS, p=weight_G / weight_G.sum())
    return scale_G[drawn_B, None], prior_G[drawn_B, None]


def _midpoints(count: int) -> Float64Array:
    return (np.arange(count) + 0.5) / count


def _contrasts(centred_RR: Float64Array) -> tuple[Float64Array, Float64Array]:
    """Eigenvalues and vectors apart from the grand mean, which is pushed to the front and dropped."""
    recipes = len(centred_RR)
    push = np.trace(centred_RR) + 1.0
    values_R, vectors_RR = np.linalg.eigh(centred_RR - push / recipes)
    return np.maximum(values_R[1:], 0.0), vectors_RR[:, 1:]
