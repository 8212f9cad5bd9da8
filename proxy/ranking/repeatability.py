"""How much of an agreement is limited by noise in the scores themselves, and how two protocols compare.

Two lists cannot correlate by more than √(reliability · reliability), so a ceiling belongs beside every agreement where
seeds allow one. The noise-only interval asks what the *same* recipes would give with new seeds; the interval for new
recipes is in agreement.py. Assumed: normal noise of known size, true scores normal around their mean.

Axes: B draws, N recipes.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from proxy.errors import InvalidInputError
from proxy.ranking.agreement import Direction, as_goodness, percentile_interval
from proxy.ranking.correlations import correlate, draw_resamples
from proxy.ranking.evidence import Float64Array


@dataclass(frozen=True, kw_only=True)
class NoisyScores:
    """Mean scores and their standard errors (seed noise), one a recipe; zero where a score is taken as exact."""

    means: Float64Array
    standard_errors: Float64Array


@dataclass(frozen=True, kw_only=True)
class SpearmanInterval:
    """An estimate with its interval at 95 %; None where it is undefined."""

    estimate: float | None
    low: float | None
    high: float | None


def reliability(scores: NoisyScores) -> float | None:
    """Share of the variance between recipes that is not seed noise, in 0..1. None for under 3 or equal recipes."""
    if len(scores.means) < 3 or np.ptp(scores.means) == 0:
        return None
    noise = float((scores.standard_errors**2).mean())
    return max(1 - noise / float(scores.means.var(ddof=1)), 0.0)


def reliability_ceiling(proxy: NoisyScores, reference: NoisyScores) -> float | None:
    """√(rel_proxy · rel_reference): what a perfect proxy would reach through this noise."""
    of_proxy, of_reference = reliability(proxy), reliability(reference)
    if of_proxy is None or of_reference is None:
        return None
    return math.sqrt(of_proxy * of_reference)


def noise_only_interval(
    proxy: NoisyScores,
    reference: NoisyScores,
    rng: np.random.Generator,
    draws: int = 2000,
) -> tuple[float | None, float | None]:
    """Where Spearman would fall if the same recipes were run again with new seeds. Both lists in the same direction.

    True scores are drawn from their posterior, shrunk to the mean, before new noise is added: adding noise to scores
    that already hold some would count it twice.
    """
    if len(proxy.means) < 3:
        return None, None
    again = zip(_repeat(proxy, draws, rng), _repeat(reference, draws, rng), strict=True)
    once = np.ones((1, len(proxy.means)))
    return percentile_interval(np.array([correlate(x_N, y_N, once).spearman[0] for x_N, y_N in again]))


def compare_protocols(
    proxies: tuple[npt.ArrayLike, npt.ArrayLike],
    reference: npt.ArrayLike,
    direction: Direction,
    rng: np.random.Generator,
    resamples: int = 2000,
) -> SpearmanInterval:
    """Spearman of the first protocol minus that of the second, against the same references (lower proxy is better).

    Paired: both are measured on the same resampled recipes. No interval under 5 recipes.
    """
    first_N, second_N = (as_goodness(proxy, "lower", f"proxies/{place}") for place, proxy in enumerate(proxies))
    reference_N = as_goodness(reference, direction, "reference")
    if not len(first_N) == len(second_N) == len(reference_N):
        sizes = (len(first_N), len(second_N), len(reference_N))
        raise InvalidInputError.at("/proxies", sizes, "both protocols need a score for each reference")
    estimate = (
        _difference(first_N, second_N, reference_N, np.ones((1, len(first_N))))[0] if len(first_N) > 1 else np.nan
    )
    if not np.isfinite(estimate):
        return SpearmanInterval(estimate=None, low=None, high=None)
    low, high = None, None
    if len(first_N) >= 5:
        weights_BN = draw_resamples(len(first_N), resamples, rng)
        low, high = percentile_interval(_difference(first_N, second_N, reference_N, weights_BN))
    return SpearmanInterval(estimate=float(estimate), low=low, high=high)


def _difference(
    first_N: Float64Array,
    second_N: Float64Array,
    reference_N: Float64Array,
    weights_BN: Float64Array,
) -> Float64Array:
    first = correlate(first_N, reference_N, weights_BN).spearman
    return first - correlate(second_N, reference_N, weights_BN).spearman


def _repeat(scores: NoisyScores, draws: int, rng: np.random.Generator) -> Float64Array:
    """Scores of new runs of the same recipes (B, N)."""
    noise_N = scores.standard_errors**2
    true_variance = max(float(scores.means.var(ddof=1) - noise_N.mean()), 0.0)
    total_N = true_variance + noise_N
    kept_N = np.divide(true_variance, total_N, out=np.ones_like(total_N), where=total_N > 0)
    centre = float(scores.means.mean())
    posterior_N = centre + kept_N * (scores.means - centre)
    spread_N = np.sqrt(kept_N * noise_N + noise_N)
    again_BN: Float64Array = posterior_N + spread_N * rng.standard_normal((draws, len(noise_N)))
    return again_BN
