"""How much of an agreement is limited by noise in the scores themselves, and how two protocols compare.

Two lists cannot correlate by more than √(reliability · reliability), so a ceiling belongs beside every agreement where
seeds allow one. The noise-only interval asks what the *same* recipes would give with new seeds; the interval for new
recipes is in agreement.py. Assumed: normal noise of known size, pairs of true scores jointly normal.

Axes: B draws, N recipes.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from proxy.errors import InvalidInputError
from proxy.ranking.agreement import (
    BOOTSTRAP_FROM,
    Direction,
    as_goodness,
    highest_correlation,
    percentile_interval,
    z_interval,
)
from proxy.ranking.correlations import correlate, draw_resamples, spearman_of_rows
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


def perfect_proxy(reference: NoisyScores, rng: np.random.Generator, draws: int = 2000) -> SpearmanInterval:
    """Spearman that a proxy would have with these references if it ranked the recipes by their true values: its mean
    over what those values may be, and where 95 % of it lies. Recipes that are closer than the references' seed noise
    lower it, which a ceiling of values, led by the recipes that are far apart, does not show.

    True values are drawn as in `noise_only_interval`. Undefined for under 3 or equal recipes.
    """
    if len(reference.means) < 3 or np.ptp(reference.means) == 0:
        return SpearmanInterval(estimate=None, low=None, high=None)
    noise_N = reference.standard_errors**2
    spread = max(float(reference.means.var(ddof=1) - noise_N.mean()), 0.0)
    kept_N = np.divide(spread, spread + noise_N, out=np.ones_like(noise_N), where=spread + noise_N > 0)
    centre = reference.means.mean()
    normal_BN = rng.standard_normal((draws, len(noise_N)))
    true_BN = centre + kept_N * (reference.means - centre) + np.sqrt(kept_N * noise_N) * normal_BN
    found_B = spearman_of_rows(true_BN, np.broadcast_to(reference.means, true_BN.shape))
    low, high = percentile_interval(found_B)
    return SpearmanInterval(estimate=float(np.nanmean(found_B)), low=low, high=high)


def noise_only_interval(
    proxy: NoisyScores,
    reference: NoisyScores,
    rng: np.random.Generator,
    draws: int = 2000,
) -> tuple[float | None, float | None]:
    """Where Spearman would fall if the same recipes were run again with new seeds. Both lists in the same direction.

    True pairs of scores are drawn from their joint posterior, shrunk to the mean, before new noise is added: adding
    noise to scores that already hold some would count it twice, and shrinking each list alone would lose what they
    share (coverage .70 with 15 recipes of reliability .92). Simulated coverage: .92–.96 with 6–15 recipes and .86–.90
    with 40, because the joint distribution is taken as known.
    """
    if len(proxy.means) < 3:
        return None, None
    scores_N2 = np.column_stack([proxy.means, reference.means])
    errors_N2 = np.column_stack([proxy.standard_errors, reference.standard_errors])
    again_BN2 = _repeat(scores_N2, errors_N2, draws, rng)
    return percentile_interval(spearman_of_rows(again_BN2[:, :, 0], again_BN2[:, :, 1]))


def compare_protocols(
    proxies: tuple[npt.ArrayLike, npt.ArrayLike],
    reference: npt.ArrayLike,
    direction: Direction,
    rng: np.random.Generator,
    resamples: int = 2000,
) -> SpearmanInterval:
    """Spearman of the first protocol minus that of the second, against the same references (lower proxy is better).

    Paired: both are measured on the same resampled recipes. Under 12 recipes it is the envelope of that and of
    `_by_theory`, because two orders that are nearly the same bootstrap to almost no difference. Scores that differ by
    one constant are one ranking, and differ by nothing. No interval under 5 recipes.

    Simulated coverage (normal triples, ρ of .5 to .99): .97–1 for n = 5–11, where percentiles alone fall to .40 at
    n = 5 and .71 at n = 8; .94–.99 for n = 13 and 16.
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
        differ_N = first_N - second_N
        are_one = np.ptp(differ_N) <= 1e-12 * np.abs(first_N).max()
        if len(first_N) < BOOTSTRAP_FROM and not are_one and low is not None and high is not None:
            theory = _by_theory(first_N, second_N, reference_N)
            low, high = min(low, theory[0]), max(high, theory[1])
    return SpearmanInterval(estimate=float(estimate), low=low, high=high)


def _difference(
    first_N: Float64Array,
    second_N: Float64Array,
    reference_N: Float64Array,
    weights_BN: Float64Array,
) -> Float64Array:
    first = correlate(first_N, reference_N, weights_BN).spearman
    return first - correlate(second_N, reference_N, weights_BN).spearman


def _by_theory(first_N: Float64Array, second_N: Float64Array, reference_N: Float64Array) -> tuple[float, float]:
    """G. Y. Zou's interval of a difference of two correlations with one variable in common (Psychological Methods
    12(4), 2007), from each one's own (agreement.z_interval) and the correlation of the two estimates."""
    n = len(first_N)
    edge = highest_correlation(n)
    first, second, between = (
        float(correlate(one_N, other_N, np.ones((1, n))).spearman[0])
        for one_N, other_N in ((first_N, reference_N), (second_N, reference_N), (first_N, second_N))
    )
    own = [(min(max(rho, -edge), edge), z_interval(rho, n, 1 + rho**2 / 2)) for rho in (first, second)]
    (one, (one_low, one_high)), (other, (other_low, other_high)) = own
    shared = _correlation_of_estimates(one, other, min(max(between, -edge), edge))
    below, above = one - one_low, other_high - other
    low = math.sqrt(max(below**2 + above**2 - 2 * shared * below * above, 0.0))
    below, above = other - other_low, one_high - one
    high = math.sqrt(max(below**2 + above**2 - 2 * shared * below * above, 0.0))
    return max(first - second - low, -2.0), min(first - second + high, 2.0)


def _correlation_of_estimates(first: float, second: float, between: float) -> float:
    """Of two sample correlations with one variable in common (K. Pearson and L. N. G. Filon, 1898); none is ±1."""
    shared = (between - first * second / 2) * (1 - first**2 - second**2 - between**2) + between**3
    return min(max(shared / ((1 - first**2) * (1 - second**2)), -1.0), 1.0)


def _repeat(scores_N2: Float64Array, errors_N2: Float64Array, draws: int, rng: np.random.Generator) -> Float64Array:
    """Scores of new runs of the same recipes (B, N, 2): posterior of the true pairs, then new noise."""
    noise_N22 = errors_N2[:, :, None] ** 2 * np.eye(2)
    true_22 = _positive(np.cov(scores_N2, rowvar=False) - noise_N22.mean(axis=0))
    kept_N22 = true_22 @ np.linalg.pinv(true_22 + noise_N22, hermitian=True)
    centre_2 = scores_N2.mean(axis=0)
    posterior_N2 = centre_2 + (kept_N22 @ (scores_N2 - centre_2)[:, :, None])[:, :, 0]
    root_N22 = _root(true_22 - kept_N22 @ true_22 + noise_N22)
    normal_BN2 = rng.standard_normal((draws, *scores_N2.shape))
    again_BN2: Float64Array = posterior_N2 + np.einsum("nij,bnj->bni", root_N22, normal_BN2)
    return again_BN2


def _positive(matrix: Float64Array) -> Float64Array:
    """The nearest covariance: noise estimates can exceed what they are taken from."""
    root = _root(matrix)
    nearest: Float64Array = root @ np.swapaxes(root, -1, -2)
    return nearest


def _root(matrix: Float64Array) -> Float64Array:
    values, vectors = np.linalg.eigh(matrix)
    root: Float64Array = vectors * np.sqrt(np.maximum(values, 0.0))[..., None, :]
    return root
