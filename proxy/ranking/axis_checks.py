"""Leave one axis out: does the calibration hold for a kind of recipe that it has not seen?

For each axis (mixture, filter, …) the line is fitted to the calibrants of all others, and asked about every pair with
at least one recipe of the held-out axis. Pairs that a prediction would have refused (a score outside the range of the
line's calibrants) are counted apart. In a pair across axes the other recipe helped to fit the line, which flatters the
check a little. Pairs share recipes: with few recipes an axis, the figures are rough, so no interval is given.

Axes of arrays: N calibrants, M pairs.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from proxy.ranking.agreement import Direction
from proxy.ranking.calibration import chances_better, fit_calibration, why_not_calibrated
from proxy.ranking.evidence import BoolArray, Float64Array, Int64Array
from proxy.ranking.targets import Calibrant, scores_of

COIN_BRIER = 0.25  # of saying ½ for every pair


@dataclass(frozen=True, kw_only=True)
class AxisCheck:
    """One axis held out. `sign_accuracy`: share of answered pairs whose order was foretold (a tie matches only a tie).

    `brier`: mean squared error of P(A better), a tie counting ½; above COIN_BRIER the calibration misleads here.
    Figures are None where no pair could be answered: `refusal` says why.
    """

    axis: str
    recipes: int
    answered_pairs: int
    refused_pairs: int
    sign_accuracy: float | None = None
    brier: float | None = None
    refusal: str | None = None


def check_axes(calibrants: Sequence[Calibrant], direction: Direction) -> list[AxisCheck]:
    """One check an axis, by name. Empty where fewer than two axes are known: then nothing can be held out."""
    proxy_N, goodness_N = scores_of(calibrants, direction)
    axes = sorted({entry.axis for entry in calibrants if entry.axis is not None})
    if len(axes) < 2:
        return []
    return [
        _check(axis, proxy_N, goodness_N, np.array([entry.axis == axis for entry in calibrants], dtype=np.bool_))
        for axis in axes
    ]


def _check(axis: str, proxy_N: Float64Array, goodness_N: Float64Array, is_held_N: BoolArray) -> AxisCheck:
    first_M, second_M = _pairs(is_held_N)
    recipes = int(is_held_N.sum())
    refusal = why_not_calibrated(proxy_N[~is_held_N], goodness_N[~is_held_N])
    if refusal is not None:
        refusal = f"Without the axis {axis!r}: {refusal}"
        return AxisCheck(axis=axis, recipes=recipes, answered_pairs=0, refused_pairs=len(first_M), refusal=refusal)
    calibration = fit_calibration(proxy_N[~is_held_N], goodness_N[~is_held_N])
    others_N = proxy_N[~is_held_N][calibration.is_fitted_N]
    is_within_N = (proxy_N >= others_N.min()) & (proxy_N <= others_N.max())
    is_answered_M = is_within_N[first_M] & is_within_N[second_M]
    first_M, second_M, refused = first_M[is_answered_M], second_M[is_answered_M], int((~is_answered_M).sum())
    if not len(first_M):
        refusal = f"No pair of the axis {axis!r} lies in the range of the other axes' proxy scores."
        return AxisCheck(axis=axis, recipes=recipes, answered_pairs=0, refused_pairs=refused, refusal=refusal)
    chance_M = chances_better(calibration, proxy_N[first_M] - proxy_N[second_M])
    sign_M = np.sign(goodness_N[first_M] - goodness_N[second_M])
    return AxisCheck(
        axis=axis,
        recipes=recipes,
        answered_pairs=len(first_M),
        refused_pairs=refused,
        sign_accuracy=float((np.sign(chance_M - 0.5) == sign_M).mean()),
        brier=float(((chance_M - (1 + sign_M) / 2) ** 2).mean()),
    )


def _pairs(is_held_N: BoolArray) -> tuple[Int64Array, Int64Array]:
    """Each pair with at least one held-out recipe, once."""
    first_M, second_M = np.triu_indices(len(is_held_N), k=1)
    is_asked_M = is_held_N[first_M] | is_held_N[second_M]
    return first_M[is_asked_M].astype(np.int64), second_M[is_asked_M].astype(np.int64)
