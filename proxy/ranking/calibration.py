"""The line that carries proxy scores over to reference scores, and what it predicts for two new recipes.

Model: goodness_i = a − b · proxy_i + e_i over the calibrants, e ~ N(0, s²) independent; the textbook predictive
distribution of the difference of two new recipes of the same kind is Student's t with m − 2 degrees of freedom and
se² = s² (2 + Δp² / S_xx), m calibrants on the line. Seed noise at the calibrants' number of seeds is part of e.

No line holds for every recipe. With probability λ = (k + 1) / (n + 2) it says nothing of this pair (k of n calibrants
lie more than 3 externally studentised residuals off it; the rule of succession keeps λ above zero). Then the pair is
as two recipes picked blindly from those that have references: a t around zero with n − 1 degrees of freedom and the
scale √2 · sd of the references. So P = (1 − λ) P_t + λ/2, and every figure comes from this one mixture. The k are set
aside before the line is fitted again (if 5 stay): they belong to λ, and would be counted twice in s. Brier score of P
with them set aside and kept, n = 12: .0298 and .0304 on RegMix, .0709 and .0710 where the model is exact with r = .97,
.0663 and .0677 with t errors of 4 degrees, .1307 and .1382 where a tenth of recipes is off by 2 sd of the references.

Broken by recipes of another kind than the calibrants, by a bent relation, by errors that recipes share, and by
calibrants that were chosen for their score. Where the line is exactly true P is too modest, by λ/2 at most.

Axes: N calibrants, M pairs. Goodness: higher is better, in the reference's unit. Proxy scores: lower is better.
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from proxy.ranking.evidence import BoolArray, Float64Array

LEAST_CALIBRANTS = 5
OUTLYING = 3.0  # externally studentised
ROUNDING = 1e-9  # of a spread: what is smaller is no noise that was measured


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """`slope` b: goodness gained for each unit that the proxy score falls; negative where the proxy misleads.

    `residual` is s, `proxy_spread` √S_xx, `blind_error` √2 · sd of all references. `is_fitted_N`: the line rests on it;
    an outlier may, where too little would stay without.
    """

    slope: float
    residual: float
    proxy_spread: float
    blind_error: float
    is_fitted_N: BoolArray
    is_outlier_N: BoolArray

    @property
    def degrees(self) -> int:
        """Of freedom, of the residual."""
        return int(self.is_fitted_N.sum()) - 2

    @property
    def break_chance(self) -> float:
        """λ: the probability that the line says nothing of a pair."""
        return (int(self.is_outlier_N.sum()) + 1) / (len(self.is_outlier_N) + 2)


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """Distribution of goodness of A − goodness of B: `difference` + `standard_error` · t, or blind around zero."""

    difference: float
    standard_error: float
    degrees: float
    break_chance: float
    blind_error: float
    blind_degrees: float


def why_not_calibrated(proxy_N: Float64Array, goodness_N: Float64Array) -> str | None:
    """One sentence where these calibrants can carry no prediction; None where they can."""
    n = len(proxy_N)
    if n < LEAST_CALIBRANTS:
        found = "No recipe has" if n == 0 else f"Only {n} recipe{'s have' if n > 1 else ' has'}"
        return f"{found} both a proxy score and a reference; {LEAST_CALIBRANTS} are the least for a prediction."
    if _is_constant(proxy_N):
        return f"All {n} calibrants have equal proxy scores, so they say nothing of a difference."
    if _hangs_on_one(proxy_N):
        return f"All but one of the {n} calibrants have equal proxy scores: a single recipe would set the slope."
    if _is_constant(goodness_N):
        return f"All {n} calibrants have equal references, so there is nothing to predict."
    if _fit_line(proxy_N, goodness_N).residual <= ROUNDING * np.ptp(goodness_N):
        return (
            f"The references of all {n} calibrants lie exactly on a line of their proxy scores, as computed values do"
            " and measured ones do not: how far a prediction errs is unknown."
        )
    return None


def fit_calibration(proxy_N: Float64Array, goodness_N: Float64Array) -> Calibration:
    """Least squares, outliers set aside. Needs what `why_not_calibrated` asks for."""
    line = _fit_line(proxy_N, goodness_N)
    is_outlier_N = np.abs(line.studentised_N) > OUTLYING
    is_fitted_N = ~is_outlier_N
    if is_outlier_N.any() and why_not_calibrated(proxy_N[is_fitted_N], goodness_N[is_fitted_N]) is None:
        line = _fit_line(proxy_N[is_fitted_N], goodness_N[is_fitted_N])
    else:
        is_fitted_N = np.ones_like(is_outlier_N)
    unit = float(np.ptp(goodness_N))
    return Calibration(
        slope=line.slope,
        residual=line.residual,
        proxy_spread=line.proxy_spread,
        blind_error=math.sqrt(2) * float((goodness_N / unit).std(ddof=1)) * unit,
        is_fitted_N=is_fitted_N,
        is_outlier_N=is_outlier_N,
    )


def predict(calibration: Calibration, proxy_difference: float, added_variance: float = 0.0) -> Prediction:
    """Of two new recipes whose proxy scores differ by A − B.

    `added_variance` (goodness²) is seed noise beyond that of the calibrants; its degrees of freedom are taken as no
    more than those of the line.
    """
    error_M = _standard_errors(calibration, np.array([proxy_difference]), added_variance)
    return Prediction(
        difference=-calibration.slope * proxy_difference,
        standard_error=float(error_M[0]),
        degrees=calibration.degrees,
        break_chance=calibration.break_chance,
        blind_error=calibration.blind_error,
        blind_degrees=len(calibration.is_outlier_N) - 1,
    )


def chances_better(calibration: Calibration, proxy_difference_M: Float64Array) -> Float64Array:
    """P(A better than B) of many pairs, recipes with as many seeds as the calibrants."""
    from scipy.special import stdtr

    error_M = _standard_errors(calibration, proxy_difference_M, 0.0)
    by_line_M = stdtr(calibration.degrees, -calibration.slope * proxy_difference_M / error_M)
    share = calibration.break_chance
    chances_M: Float64Array = (1 - share) * by_line_M + share / 2
    return chances_M


def chance_better(prediction: Prediction) -> float:
    """P(goodness of A > goodness of B) = (1 − λ) P_t + λ/2."""
    from scipy.special import stdtr

    by_line = float(stdtr(prediction.degrees, prediction.difference / prediction.standard_error))
    return (1 - prediction.break_chance) * by_line + prediction.break_chance / 2


def expected_regret(prediction: Prediction) -> float:
    """E max(0, goodness of B − goodness of A): what choosing A loses on average, zero counted where A is better."""
    by_line = _mean_below_zero(prediction.difference, prediction.standard_error, prediction.degrees)
    blind = _mean_below_zero(0.0, prediction.blind_error, prediction.blind_degrees)
    return (1 - prediction.break_chance) * by_line + prediction.break_chance * blind


def quantile(prediction: Prediction, level: float) -> float:
    """Of goodness of A − goodness of B, under the mixture."""
    from scipy.optimize import brentq
    from scipy.special import stdtr, stdtrit

    share, unit = prediction.break_chance, max(prediction.standard_error, prediction.blind_error)
    centre, error, blind_error = (
        value / unit for value in (prediction.difference, prediction.standard_error, prediction.blind_error)
    )

    def excess(value: float) -> float:
        by_line = float(stdtr(prediction.degrees, (value - centre) / error))
        blind = float(stdtr(prediction.blind_degrees, value / blind_error))
        return (1 - share) * by_line + share * blind - level

    # The mixture's quantile lies between those of its parts.
    ends = (
        centre + error * float(stdtrit(prediction.degrees, level)),
        blind_error * float(stdtrit(prediction.blind_degrees, level)),
    )
    return float(brentq(excess, min(ends) - 1.0, max(ends) + 1.0)) * unit


def mirrored(prediction: Prediction) -> Prediction:
    """The same of B − A."""
    return replace(prediction, difference=-prediction.difference)


@dataclass(frozen=True, kw_only=True)
class _Line:
    slope: float
    residual: float
    proxy_spread: float
    studentised_N: Float64Array


def _fit_line(proxy_N: Float64Array, goodness_N: Float64Array) -> _Line:
    """Scaled by the ranges: squares of tiny or huge scores stay in float64."""
    n = len(proxy_N)
    proxy_unit, unit = float(np.ptp(proxy_N)), float(np.ptp(goodness_N))
    gain_N = -(proxy_N - proxy_N.mean()) / proxy_unit
    centred_N = (goodness_N - goodness_N.mean()) / unit
    square = float(gain_N @ gain_N)
    slope = float(gain_N @ centred_N) / square
    residual_N = centred_N - slope * gain_N
    return _Line(
        slope=slope * unit / proxy_unit,
        residual=math.sqrt(float(residual_N @ residual_N) / (n - 2)) * unit,
        proxy_spread=math.sqrt(square) * proxy_unit,
        studentised_N=_studentise(residual_N, 1 / n + gain_N**2 / square),
    )


def _is_constant(values_N: Float64Array) -> bool:
    """Up to the rounding of float64 sums."""
    return bool(np.ptp(values_N) <= 1e-12 * np.abs(values_N).max())


def _hangs_on_one(values_N: Float64Array) -> bool:
    """All but the lowest, or all but the highest, are equal."""
    return any(_is_constant(np.delete(values_N, place)) for place in (values_N.argmin(), values_N.argmax()))


def _standard_errors(calibration: Calibration, proxy_difference_M: Float64Array, added_variance: float) -> Float64Array:
    spread_M = np.sqrt(2 + (proxy_difference_M / calibration.proxy_spread) ** 2)
    errors_M: Float64Array = np.hypot(calibration.residual * spread_M, math.sqrt(added_variance))
    return errors_M


def _studentise(residual_N: Float64Array, leverage_N: Float64Array) -> Float64Array:
    """Each residual over its standard error as the other calibrants alone give it; ±infinite off an exact line."""
    n = len(residual_N)
    own_N = residual_N**2 / (1 - leverage_N)
    others_N = np.maximum(residual_N @ residual_N - own_N, 0.0) / (n - 3)
    floor_N = np.maximum(others_N, ROUNDING**2)  # residuals are in units of the references' range
    studentised_N: Float64Array = residual_N / np.sqrt(floor_N * (1 - leverage_N))
    return studentised_N


def _mean_below_zero(centre: float, error: float, degrees: float) -> float:
    """E max(0, −X) of X = centre + error · t, by parts; needs more than 1 degree of freedom."""
    from scipy.special import gammaln, stdtr

    z = centre / error
    log_density = (
        float(gammaln((degrees + 1) / 2) - gammaln(degrees / 2))
        - math.log(degrees * math.pi) / 2
        - (degrees + 1) / 2 * math.log1p(z**2 / degrees)
    )
    tail = float(stdtr(degrees, -z))
    return error * max(math.exp(log_density) * (degrees + z**2) / (degrees - 1) - z * tail, 0.0)
