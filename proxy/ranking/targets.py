"""P(A better than B at target scale), and what a wrong choice would cost there.

Estimand: the sign and size of the difference of two *new* recipes' references, of the calibrants' kind, run as the
calibrants' references were. A recipe's own reference is left out, so that what is said is a prediction; where both
recipes have one, the references themselves answer. Model, assumptions and the mixture for broken calibrations:
calibration.py. Seeds: where a new recipe has fewer than the calibrants, b² (v_new − v_calibrants) is added for it, v
being the variance of a mean over seeds; more seeds take nothing away. Refused rather than guessed: see `_refuse`.

Under 8 calibrants an answer is provisional, and P stays under 1 − λ/2 = .945: none decides by P alone (8 reach .95
only in the limit).
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from proxy.errors import InvalidInputError
from proxy.ranking.agreement import Direction
from proxy.ranking.calibration import (
    Calibration,
    chance_better,
    expected_regret,
    fit_calibration,
    mirrored,
    predict,
    quantile,
    why_not_calibrated,
)
from proxy.ranking.evidence import Float64Array

SETTLED_FROM = 8
LARGEST = 1e100  # squares of larger scores leave float64
TAIL = 0.025


@dataclass(frozen=True, kw_only=True)
class Calibrant:
    """A recipe with both scores. `proxy` is a mean over `seeds` runs, lower is better; `axis`: None where unknown."""

    recipe: str
    proxy: float
    reference: float
    axis: str | None = None
    seeds: int = 1


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A recipe to choose or not. `seed_variance` is that of its mean over `seeds` runs; None where unknown."""

    recipe: str
    proxy: float
    seed_variance: float | None
    seeds: int = 1
    axis: str | None = None


@dataclass(frozen=True, kw_only=True)
class TargetChance:
    """All figures in the reference's unit, None where `refusal` says why; n counts the calibrants, outliers too.

    `difference` is goodness of A − goodness of B as the line predicts it: **positive where A is better**, whatever the
    metric's direction; `low`, `high`: 95 % of the predictive distribution. `p_better` is of A. `slope`: goodness gained
    for each unit that the proxy score falls. `residual`: s. `break_chance`: λ. `outliers`: the k calibrants off the
    line, set aside. `expected_regret`: E max(0, goodness of B − goodness of A), what choosing A loses on average;
    `worst_case_regret`: its 95 % quantile; `..._of_b`: the same for choosing B.
    """

    a: str
    b: str
    n: int
    is_provisional: bool
    refusal: str | None = None
    p_better: float | None = None
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    slope: float | None = None
    residual: float | None = None
    break_chance: float | None = None
    outliers: tuple[str, ...] = ()
    expected_regret: float | None = None
    worst_case_regret: float | None = None
    expected_regret_of_b: float | None = None
    worst_case_regret_of_b: float | None = None


def predict_at_target(
    calibrants: Sequence[Calibrant],
    a: Candidate,
    b: Candidate,
    direction: Direction,
) -> TargetChance:
    """What the calibrants say of A against B at the references' scale; `direction`: which reference is better."""
    _check_candidates(a, b)
    proxy_N, goodness_N = scores_of(calibrants, direction)
    is_used_N = np.array([entry.recipe not in (a.recipe, b.recipe) for entry in calibrants], dtype=np.bool_)
    used = [entry for entry, is_used in zip(calibrants, is_used_N, strict=True) if is_used]
    proxy_N, goodness_N = proxy_N[is_used_N], goodness_N[is_used_N]
    refusal = why_not_calibrated(proxy_N, goodness_N)
    if refusal is None:
        calibration = fit_calibration(proxy_N, goodness_N)
        on_line = [entry for entry, is_fitted in zip(used, calibration.is_fitted_N, strict=True) if is_fitted]
        refusal = _refuse(on_line, a) or _refuse(on_line, b)
        if refusal is None:
            return _answer(used, on_line, calibration, a, b)
    return TargetChance(a=a.recipe, b=b.recipe, n=len(used), is_provisional=False, refusal=refusal)


def scores_of(calibrants: Sequence[Calibrant], direction: Direction) -> tuple[Float64Array, Float64Array]:
    """Proxy scores and goodness of the references; InvalidInputError at the first calibrant that cannot be used."""
    if direction not in ("lower", "higher"):
        raise InvalidInputError.at("/direction", direction, "must be 'lower' or 'higher'")
    for place, entry in enumerate(calibrants):
        _check_number(f"/calibrants/{place}/proxy", entry.proxy, entry.recipe)
        _check_number(f"/calibrants/{place}/reference", entry.reference, entry.recipe)
        _check_seeds(f"/calibrants/{place}/seeds", entry.seeds, entry.recipe)
    repeated = [recipe for recipe, count in Counter(entry.recipe for entry in calibrants).items() if count > 1]
    if repeated:
        raise InvalidInputError.at("/calibrants", repeated[0], "each recipe can calibrate once; average its runs first")
    proxy_N = np.array([entry.proxy for entry in calibrants], dtype=np.float64)
    reference_N = np.array([entry.reference for entry in calibrants], dtype=np.float64)
    return proxy_N, reference_N if direction == "higher" else -reference_N


def _answer(
    used: Sequence[Calibrant],
    on_line: Sequence[Calibrant],
    calibration: Calibration,
    a: Candidate,
    b: Candidate,
) -> TargetChance:
    added = calibration.slope**2 * (_added_variance(on_line, a) + _added_variance(on_line, b))
    prediction = predict(calibration, a.proxy - b.proxy, added)
    low, high = quantile(prediction, TAIL), quantile(prediction, 1 - TAIL)
    return TargetChance(
        a=a.recipe,
        b=b.recipe,
        n=len(used),
        is_provisional=len(used) < SETTLED_FROM,
        p_better=chance_better(prediction),
        difference=prediction.difference,
        low=low,
        high=high,
        slope=calibration.slope,
        residual=calibration.residual,
        break_chance=calibration.break_chance,
        outliers=tuple(
            entry.recipe for entry, is_outlier in zip(used, calibration.is_outlier_N, strict=True) if is_outlier
        ),
        expected_regret=expected_regret(prediction),
        worst_case_regret=max(-quantile(prediction, 2 * TAIL), 0.0),
        expected_regret_of_b=expected_regret(mirrored(prediction)),
        worst_case_regret_of_b=max(quantile(prediction, 1 - 2 * TAIL), 0.0),
    )


def _refuse(on_line: Sequence[Calibrant], candidate: Candidate) -> str | None:
    """Out of the calibrants' range, of a kind that none of them is, or noisier by an unknown amount."""
    low, high = min(entry.proxy for entry in on_line), max(entry.proxy for entry in on_line)
    if not low <= candidate.proxy <= high:
        return (
            f"The proxy score {candidate.proxy:.5g} of {candidate.recipe} lies outside the {low:.5g} to {high:.5g} of"
            f" the {len(on_line)} other recipes whose references the calibration rests on."
        )
    axes = {entry.axis for entry in on_line} - {None}
    if axes and candidate.axis is not None and candidate.axis not in axes:
        return (
            f"The calibration rests on no recipe of the axis {candidate.axis!r} of {candidate.recipe}, so nothing shows"
            " that it holds there."
        )
    if candidate.seed_variance is None and _missing_share(on_line, candidate) > 0:
        return (
            f"{candidate.recipe} has fewer seeds ({candidate.seeds}) than the recipes that the calibration rests on,"
            " and its seed noise is unknown."
        )
    return None


def _missing_share(on_line: Sequence[Calibrant], candidate: Candidate) -> float:
    """Share of the variance of the candidate's mean that the calibrants, with more seeds, do not have; in 0..1."""
    mean_inverse = math.fsum(1 / entry.seeds for entry in on_line) / len(on_line)
    share = 1 - candidate.seeds * mean_inverse
    return share if share > 1e-12 else 0.0


def _added_variance(on_line: Sequence[Calibrant], candidate: Candidate) -> float:
    return (candidate.seed_variance or 0.0) * _missing_share(on_line, candidate)


def _check_candidates(a: Candidate, b: Candidate) -> None:
    for name, candidate in (("a", a), ("b", b)):
        _check_number(f"/{name}/proxy", candidate.proxy, candidate.recipe)
        _check_seeds(f"/{name}/seeds", candidate.seeds, candidate.recipe)
        variance = candidate.seed_variance
        if variance is not None and not 0 <= variance <= LARGEST:
            message = f"recipe {candidate.recipe!r} needs a finite seed variance of at least 0, or none"
            raise InvalidInputError.at(f"/{name}/seed_variance", variance, message)
    if a.recipe == b.recipe:
        raise InvalidInputError.at("/b/recipe", b.recipe, "a recipe cannot be compared with itself")


def _check_number(pointer: str, value: float, recipe: str) -> None:
    if not abs(value) <= LARGEST:
        raise InvalidInputError.at(pointer, value, f"recipe {recipe!r} needs a finite score, at most {LARGEST:g}")


def _check_seeds(pointer: str, seeds: int, recipe: str) -> None:
    if seeds < 1:
        raise InvalidInputError.at(pointer, seeds, f"recipe {recipe!r} needs at least one seed")
