"""Seed variances of a chosen size, and brute force for their moderation (G. K. Smyth 2004) that shares no formula with
proxy/ranking/seeds.py: a series for trigamma, bisection for d₀, numerical integration for the posterior.
"""

import math
from collections.abc import Callable

import numpy as np
from scipy import integrate, optimize, stats

from proxy.ranking.evidence import Float64Array
from proxy.ranking.seeds import SeedNoise, estimate_seed_noise, fit_seeds

# squeezeVar(c(0.5, 1.3, 7.8), df = 3) of limma, as recorded in tests/limma/test_squeezeVar.py of InMoose: df.prior,
# var.prior and the third var.post.
LIMMA_VARIANCES, LIMMA_DEGREES = (0.5, 1.3, 7.8), 3
LIMMA_PRIOR_DEGREES, LIMMA_PRIOR_VARIANCE, LIMMA_POSTERIOR = 2.830777, 1.676927, 4.827317


def unshared_seeds(variance_R: Float64Array, degrees: int) -> Float64Array:
    """Scores of recipes that share no seed, each of exactly this sample variance on this many degrees of freedom."""
    seeds = degrees + 1
    table = np.full((len(variance_R), len(variance_R) * seeds), math.nan)
    shape = np.arange(seeds) - degrees / 2
    for index, variance in enumerate(variance_R):
        table[index, index * seeds : (index + 1) * seeds] = 1.5 + shape * math.sqrt(variance / shape.var(ddof=1))
    return table


def moderate(variance_R: Float64Array, degrees: int) -> SeedNoise:
    """What the product makes of recipes with these sample variances."""
    table = unshared_seeds(variance_R, degrees)
    noise = estimate_seed_noise(table, fit_seeds(table), None)
    assert noise is not None
    return noise


def prior_degrees(noise: SeedNoise, degrees: int) -> float:
    """d₀, read off the recipe whose variance was raised most above the pool."""
    return float(noise.degrees_R[noise.variance_R.argmax()]) - degrees


def draw_variances(recipes: int, degrees: int, prior: float, rng: np.random.Generator) -> Float64Array:
    """s² ~ s₀² F(d, d₀) with s₀² = 1e-4."""
    variance_R: Float64Array = 1e-4 * stats.f.rvs(degrees, prior, size=recipes, random_state=rng)
    return variance_R


def prior_by_bisection(variance_R: Float64Array, degrees: int) -> float:
    """Solves Var(log s²) = ψ′(d/2) + ψ′(d₀/2) for d₀ (Smyth 2004, section 6.2, equal degrees of freedom).

    Infinite where the variances spread no more than chance. Variances under 1e-5 of the median are raised to it, as in
    limma: their logarithms would otherwise decide alone.
    """
    raised_R = np.maximum(variance_R, 1e-5 * np.median(variance_R))
    excess = float(np.log(raised_R).var(ddof=1)) - _trigamma(degrees / 2)
    if excess <= _trigamma(5e4):
        return math.inf
    return float(optimize.bisect(lambda prior: _trigamma(prior / 2) - excess, 1e-3, 1e5, xtol=1e-12))


def draw_shared_seeds(recipes: int, seeds: int, prior: float, rng: np.random.Generator) -> Float64Array:
    """Scores under seeds that all recipes share, with recipe variances 1e-4 · d₀ / χ²(d₀)."""
    deviation_R1 = 0.01 * np.sqrt(prior / rng.chisquare(prior, (recipes, 1)))
    table: Float64Array = 1.5 + 0.05 * rng.standard_normal(seeds) + deviation_R1 * rng.standard_normal((recipes, seeds))
    return table


def prior_of_table(table: Float64Array) -> float:
    """d₀ as the product estimates it from a table of shared seeds."""
    recipes, seeds = table.shape
    noise = estimate_seed_noise(table, fit_seeds(table), None)
    assert noise is not None
    raised_degrees = float(noise.degrees_R[noise.variance_R.argmax()])
    return raised_degrees - float((seeds - 1) * (recipes - 1) / recipes)


def prior_by_likelihood(table: Float64Array) -> float:
    """d₀ that makes the recipes' residual variances, s² ~ s₀² F(d, d₀), most likely over both d₀ and s₀²."""
    recipes, seeds = table.shape
    degrees = (seeds - 1) * (recipes - 1) / recipes
    residual = table - table.mean(axis=1, keepdims=True) - table.mean(axis=0) + table.mean()
    variance_R = (residual**2).sum(axis=1) / degrees

    def surprise(logs_2: Float64Array) -> float:
        prior, scale = np.exp(logs_2)
        return -float((stats.f.logpdf(variance_R / scale, degrees, prior) - math.log(scale)).sum())

    start_2 = np.log([3.0, float(np.median(variance_R))])
    log_prior = float(optimize.minimize(surprise, start_2, method="Nelder-Mead").x[0])
    return math.exp(log_prior)


def posterior_variance(variance: float, degrees: float, prior: float, centre: float) -> float:
    """1 / E[1/σ² | s²] by numerical integration over 1/σ², whose prior is χ²(d₀) / (d₀ · centre)."""
    unit = (prior + degrees) / (prior * centre + degrees * variance)  # near the answer: keeps the integrand in range

    def density(x: float) -> float:
        of_prior = (prior / 2 - 1) * math.log(x) - prior * centre * unit * x / 2
        return math.exp(of_prior + degrees / 2 * math.log(x) - degrees * variance * unit * x / 2)

    total = _integrate(density)
    first = _integrate(lambda x: x * density(x))
    return total / (first * unit)


def _integrate(function: Callable[[float], float]) -> float:
    """Over 0..80: gamma densities with mean near 1 end long before."""
    integral, _ = integrate.quad(function, 0.0, 80.0, limit=400, epsabs=0.0, points=[0.5, 1.0, 2.0])
    return float(integral)


def _trigamma(x: float) -> float:
    """Its defining series; the far part by Euler and Maclaurin."""
    far = x + 2000
    head = float((1 / (x + np.arange(2000)) ** 2).sum())
    return head + 1 / far + 1 / (2 * far**2) + 1 / (6 * far**3)
