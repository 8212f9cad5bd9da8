"""Bridges between two versions of a measure: what carries a result of the old one over to the new.

Estimand: the mean of new − old over recipes of this kind. Both versions must have been measured on the same recipes;
their differences have a Student interval, and a single old score carried over a wider one, for one more recipe.
Assumed: the offset is the same for every recipe but for normal noise. Broken by a new version that likes other recipes:
the spread of the offsets shows it, and `order_kept` says how many pairs of bridge recipes are in the same order.

Axes: N recipes measured under both. Unit: that of the scores.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from proxy.errors import InvalidInputError

LEVEL = 0.95
FEWEST = 3


@dataclass(frozen=True, kw_only=True)
class Bridge:
    """`low` and `high` hold the mean offset, `one_more` is the half width for a single carried-over score.

    All None under three recipes, and `reason` says so.
    """

    recipes: int
    offset: float | None = None
    low: float | None = None
    high: float | None = None
    one_more: float | None = None
    order_kept: float | None = None
    reason: str | None = None


def measure_bridge(old: npt.ArrayLike, new: npt.ArrayLike) -> Bridge:
    """From the scores of the same recipes, in the same order, under the old and the new version."""
    old_N, new_N = (np.asarray(values, dtype=np.float64) for values in (old, new))
    if old_N.ndim != 1 or old_N.shape != new_N.shape:
        raise InvalidInputError.at("/new", new_N.shape, f"must be one score a recipe, as the old {old_N.shape}")
    for name, values_N in (("old", old_N), ("new", new_N)):
        if not np.isfinite(values_N).all():
            index = int(np.argmin(np.isfinite(values_N)))
            raise InvalidInputError.at(f"/{name}/{index}", float(values_N[index]), "must be a finite number")
    n = len(old_N)
    if n < FEWEST:
        return Bridge(recipes=n, reason=f"measured under both: {n} recipes; a bridge needs {FEWEST}")
    offset_N = new_N - old_N
    offset, spread = float(offset_N.mean()), float(offset_N.std(ddof=1))
    quantile = _student(n - 1)
    half = quantile * spread / math.sqrt(n)
    return Bridge(
        recipes=n,
        offset=offset,
        low=offset - half,
        high=offset + half,
        one_more=quantile * spread * math.sqrt(1 + 1 / n),
        order_kept=_order_kept(old_N, new_N),
    )


def _student(degrees: int) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(degrees, (1 + LEVEL) / 2))


def _order_kept(old_N: npt.NDArray[np.float64], new_N: npt.NDArray[np.float64]) -> float:
    """Share of pairs in the same order; a tie matches only a tie."""
    first, second = np.triu_indices(len(old_N), 1)
    same = np.sign(old_N[first] - old_N[second]) == np.sign(new_N[first] - new_N[second])
    return float(same.mean())
