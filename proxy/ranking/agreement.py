"""Agreement of a proxy ranking with large-scale references of the same recipes.

Estimand of every interval: **new recipes of this kind**. n ≥ 12: percentile bootstrap over recipes. 5 ≤ n < 12, and
wherever the order is perfect: the envelope of that and D. G. Bonett and T. A. Wright's z (Psychometrika 65(1), 2000;
ρ clipped at 1 − 1/n², se² = (1 + ρ²/2)/(n − 3)), mapped to τ and decision accuracy by the normal copula, because a
perfect order bootstraps to [1, 1]. Pearson's r: at every n the envelope with Fisher's z, because percentiles alone are
too narrow for a skewed figure of few points (they cover .90–.92 for n = 12–23). n < 5: none; that is no evidence.
Assumed: recipes are a sample of those to come. Broken by easy bad recipes, which raise every figure. Intervals of
regret are percentiles only and rough: regret hangs on the few best recipes. What other seeds alone would change is in
repeatability.py.

Simulated coverage (normal pairs, ρ = 0, .6, .97, .99): .95–1 for n = 5–11, .95–.997 for n = 12–16, .95–.99 for n = 24.

Axes: B resamples, N recipes.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from proxy.errors import InvalidInputError
from proxy.ranking.correlations import Correlations, correlate, draw_resamples
from proxy.ranking.evidence import Float64Array
from proxy.ranking.regret import chance_of_no_regret_at, chance_regret_at, regret_at, resampled_regrets

Direction = Literal["lower", "higher"]
Interval = tuple[float | None, float | None]

LEVEL = 0.95
EVIDENCE_FROM = 5
BOOTSTRAP_FROM = 12
TOP = (1, 3, 5)


@dataclass(frozen=True, kw_only=True)
class AgreementFigures:
    """None: undefined (`note` says why). Regrets are in the reference's unit, normalised ones in (best − mean).

    `chance` has what a proxy that knows nothing would reach, under the same names, and `no_regret_at_k`, the
    probability that k recipes picked blindly hold the best one.
    """

    n: int
    spearman: float | None
    spearman_low: float | None
    spearman_high: float | None
    kendall: float | None
    kendall_low: float | None
    kendall_high: float | None
    pearson: float | None
    pearson_low: float | None
    pearson_high: float | None
    decision_accuracy: float | None
    decision_accuracy_low: float | None
    decision_accuracy_high: float | None
    regret_at_1: float | None
    regret_at_1_low: float | None
    regret_at_1_high: float | None
    regret_at_3: float | None
    regret_at_3_low: float | None
    regret_at_3_high: float | None
    regret_at_5: float | None
    regret_at_5_low: float | None
    regret_at_5_high: float | None
    normalised_regret_at_1: float | None
    normalised_regret_at_3: float | None
    normalised_regret_at_5: float | None
    chance: dict[str, float | None]
    is_evidence: bool
    note: str


def resamples_for(recipes: int) -> int:
    """2,000 bootstrap resamples up to 300 recipes and fewer beyond: the cost of Kendall's τ grows with n², and the more
    recipes, the less a percentile moves."""
    return max(400, min(2000, 2000 * 300**2 // max(recipes, 1) ** 2))


def measure_agreement(
    proxy: npt.ArrayLike,
    reference: npt.ArrayLike,
    direction: Direction,
    rng: np.random.Generator,
    resamples: int = 2000,
    proxy_direction: Direction = "lower",
) -> AgreementFigures:
    """Agreement over n recipes that have both; `direction` says whether a lower or a higher reference is better."""
    proxy_N = as_goodness(proxy, proxy_direction, "proxy")
    reference_N = as_goodness(reference, direction, "reference")
    if len(proxy_N) != len(reference_N):
        raise InvalidInputError.at("/reference", len(reference_N), f"there are {len(proxy_N)} proxy scores")
    figures = _figures(proxy_N, reference_N)
    intervals: dict[str, Interval] = {}
    if len(proxy_N) >= EVIDENCE_FROM:
        intervals = _intervals(proxy_N, reference_N, figures, draw_resamples(len(proxy_N), resamples, rng), rng)
    limits = {
        f"{name}_{side}": intervals.get(name, (None, None))[place]
        for name in ("spearman", "kendall", "pearson", "decision_accuracy", *(f"regret_at_{k}" for k in TOP))
        for place, side in enumerate(("low", "high"))
    }
    return AgreementFigures(
        n=len(proxy_N),
        **figures,
        **limits,
        chance=_chance(proxy_N, reference_N),
        is_evidence=len(proxy_N) >= EVIDENCE_FROM and figures["spearman"] is not None,
        note=_note(proxy_N, reference_N, limits["spearman_low"], limits["spearman_high"]),
    )


def as_goodness(values: npt.ArrayLike, direction: Direction, name: str) -> Float64Array:
    """Float64[N] where higher is better; InvalidInputError at the first value that is no finite number."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1:
        raise InvalidInputError.at(f"/{name}", array.shape, "must be one number a recipe")
    wrong = np.flatnonzero(~np.isfinite(array))
    if len(wrong):
        index = int(wrong[0])
        raise InvalidInputError.at(f"/{name}/{index}", float(array[index]), "must be a finite number")
    return array if direction == "higher" else -array


def percentile_interval(values_B: Float64Array) -> Interval:
    """Of the resamples where the figure is defined; none where under half of them are."""
    finite = values_B[np.isfinite(values_B)]
    if len(finite) < len(values_B) / 2 or not len(finite):
        return None, None
    low, high = np.quantile(finite, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def _figures(proxy_N: Float64Array, reference_N: Float64Array) -> dict[str, float | None]:
    n = len(proxy_N)
    names = ("spearman", "kendall", "pearson", "decision_accuracy")
    figures: dict[str, float | None] = dict.fromkeys(names)
    if n >= 2:
        at_once = correlate(proxy_N, reference_N, np.ones((1, n)))
        figures = {name: _defined(getattr(at_once, name)[0]) for name in names}
    for k in TOP:
        regret = regret_at(k, proxy_N, reference_N) if n else None
        figures[f"regret_at_{k}"] = regret
        figures[f"normalised_regret_at_{k}"] = _normalised(regret, reference_N)
    return figures


def _normalised(regret: float | None, reference_N: Float64Array) -> float | None:
    """None where all references are equal: nothing can be lost."""
    if regret is None or np.ptp(reference_N) == 0:
        return None
    return regret / float(reference_N.max() - reference_N.mean())


def _chance(proxy_N: Float64Array, reference_N: Float64Array) -> dict[str, float | None]:
    """Of a proxy whose order is a random permutation of its own scores (ties included)."""
    n = len(proxy_N)
    chance: dict[str, float | None] = {"spearman": 0.0, "kendall": 0.0, "pearson": 0.0}
    chance["decision_accuracy"] = _chance_accuracy(proxy_N, reference_N)
    for k in TOP:
        regret = chance_regret_at(k, reference_N) if n else None
        chance[f"regret_at_{k}"] = regret
        chance[f"normalised_regret_at_{k}"] = _normalised(regret, reference_N)
        chance[f"no_regret_at_{k}"] = chance_of_no_regret_at(k, reference_N) if n else None
    return chance


def _chance_accuracy(proxy_N: Float64Array, reference_N: Float64Array) -> float | None:
    """½ without ties."""
    if len(proxy_N) < 2:
        return None
    proxy_ties, reference_ties = _share_of_ties(proxy_N), _share_of_ties(reference_N)
    return proxy_ties * reference_ties + (1 - proxy_ties) * (1 - reference_ties) / 2


def _share_of_ties(values_N: Float64Array) -> float:
    _, counts = np.unique(values_N, return_counts=True)
    n = len(values_N)
    return float((counts * (counts - 1)).sum()) / (n * (n - 1))


def _intervals(
    proxy_N: Float64Array,
    reference_N: Float64Array,
    figures: dict[str, float | None],
    weights_BN: Float64Array,
    rng: np.random.Generator,
) -> dict[str, Interval]:
    drawn = correlate(proxy_N, reference_N, weights_BN)
    intervals = _correlation_intervals(drawn, figures, len(proxy_N))
    for k in TOP:
        regrets_B = resampled_regrets(k, proxy_N, reference_N, weights_BN, rng)
        intervals[f"regret_at_{k}"] = percentile_interval(regrets_B)
    return intervals


def _correlation_intervals(drawn: Correlations, figures: dict[str, float | None], n: int) -> dict[str, Interval]:
    """Percentiles, widened by the normal-theory interval where they are known to be too narrow."""
    intervals = {name: percentile_interval(getattr(drawn, name)) for name in vars(drawn)}
    rho, r = figures["spearman"], figures["pearson"]
    if rho is None or r is None:
        return intervals | dict.fromkeys(("spearman", "kendall", "pearson"), (None, None))
    by_theory = {"pearson": z_interval(r, n, 1.0)}
    if n < BOOTSTRAP_FROM or abs(rho) == 1:
        of_ranks = z_interval(rho, n, 1 + rho**2 / 2)
        low, high = (_kendall_from_spearman(limit) for limit in of_ranks)
        by_theory |= {"spearman": of_ranks, "kendall": (low, high)}
        by_theory |= {"decision_accuracy": ((1 + low) / 2, (1 + high) / 2)}
    envelopes = {name: _envelope(intervals[name], theory, figures[name]) for name, theory in by_theory.items()}
    return intervals | envelopes


def z_interval(rho: float, n: int, variance_factor: float) -> tuple[float, float]:
    """Fisher's z with se² = factor / (n − 3); a perfect correlation counts as `highest_correlation`."""
    from scipy.special import ndtri

    edge = highest_correlation(n)
    centre = math.atanh(min(max(rho, -edge), edge))
    width = float(ndtri((1 + LEVEL) / 2)) * math.sqrt(variance_factor / (n - 3))
    return math.tanh(centre - width), math.tanh(centre + width)


def highest_correlation(n: int) -> float:
    """What a perfect correlation of n values counts as: z of 1 is infinite."""
    return 1 - 1 / n**2


def _kendall_from_spearman(rho: float) -> float:
    """Under a normal copula: ρ_s = 6/π asin(r/2) and τ = 2/π asin(r)."""
    return 2 / math.pi * math.asin(2 * math.sin(math.pi * rho / 6))


def _envelope(interval: Interval, theory: tuple[float, float], estimate: float | None) -> Interval:
    """Widest of both, and never without the estimate itself (ties move it off the copula's curve)."""
    low, high = interval
    if low is None or high is None or estimate is None:
        return None, None
    return min(low, theory[0], estimate), max(high, theory[1], estimate)


def _note(proxy_N: Float64Array, reference_N: Float64Array, low: float | None, high: float | None) -> str:
    """One honest sentence."""
    n = len(proxy_N)
    if n < EVIDENCE_FROM:
        found = "No recipe has" if n == 0 else f"Only {n} recipe{'s have' if n > 1 else ' has'}"
        return f"{found} both a proxy score and a reference: this is no evidence; {EVIDENCE_FROM} are the least."
    for name, values_N in (("proxy scores", proxy_N), ("references", reference_N)):
        if np.ptp(values_N) == 0:
            return f"All {n} {name} are equal: rank correlation is undefined."
    if low is None or high is None:
        return f"Ties leave too little to resample among {n} recipes: there is no interval."
    claim = f"For new recipes of this kind Spearman lies between {low:.2f} and {high:.2f} (95 %, from {n} recipes)"
    return claim + (", which includes no agreement at all." if low <= 0 <= high else ".")


def _defined(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
