"""Regret@k: what is lost by running at scale only the proxy's top k, in the reference's unit.

Best reference of all minus best reference among the k that the proxy likes most; k ≥ n gives 0. Ties in the proxy are
broken at random; the average over all ways is exact here, not drawn. Higher is better in both lists.
"""

import math

import numpy as np

from proxy.ranking.evidence import Float64Array


def regret_at(k: int, proxy_N: Float64Array, reference_N: Float64Array) -> float:
    """Expected regret over random tie-breaking; ≥ 0."""
    if k >= len(proxy_N):
        return 0.0
    threshold = np.sort(proxy_N)[-k]
    certain = reference_N[proxy_N > threshold]
    at_threshold = reference_N[proxy_N == threshold]
    best_certain = float(certain.max()) if len(certain) else -math.inf
    best_drawn = _expected_best(k - len(certain), np.maximum(at_threshold, best_certain))
    return max(float(reference_N.max()) - best_drawn, 0.0)


def chance_regret_at(k: int, reference_N: Float64Array) -> float:
    """Expected regret of k recipes picked blindly."""
    return regret_at(k, np.zeros_like(reference_N), reference_N)


def chance_of_no_regret_at(k: int, reference_N: Float64Array) -> float:
    """Probability that k recipes picked blindly hold a best one: 5 of 12 do with probability .42."""
    n, best = len(reference_N), int((reference_N == reference_N.max()).sum())
    return 1.0 - math.comb(n - best, min(k, n)) / math.comb(n, min(k, n))


def resampled_regrets(
    k: int,
    proxy_N: Float64Array,
    reference_N: Float64Array,
    weights_BN: Float64Array,
    rng: np.random.Generator,
) -> Float64Array:
    """Regret@k within each bootstrap resample (B). Copies of a recipe are rivals for a place in the top k, as its like
    would be; ties are broken by one random draw a resample.
    """
    tie_break_BN = rng.random(weights_BN.shape)
    order_BN = np.lexsort((tie_break_BN, np.broadcast_to(-proxy_N, weights_BN.shape)), axis=1)
    drawn_BN = np.take_along_axis(weights_BN, order_BN, axis=1)
    places_before_BN = np.cumsum(drawn_BN, axis=1) - drawn_BN
    sorted_BN = reference_N[order_BN]
    best_B = np.where(drawn_BN > 0, sorted_BN, -np.inf).max(axis=1)
    chosen_B = np.where((drawn_BN > 0) & (places_before_BN < k), sorted_BN, -np.inf).max(axis=1)
    regrets: Float64Array = best_B - chosen_B
    return regrets


def _expected_best(count: int, values: Float64Array) -> float:
    """E max of `count` of the values, drawn without replacement."""
    size = len(values)
    descending = np.sort(values)[::-1]
    total = math.comb(size, count)
    chances = [math.comb(size - place, count - 1) / total for place in range(1, size - count + 2)]
    return float(np.dot(chances, descending[: len(chances)]))
