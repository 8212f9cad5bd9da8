"""The optimum rate of a sweep: the vertex of the parabola in log rate through the best point and its neighbours.

Loss is close to quadratic in log rate around its minimum; on a × 2 grid the vertex is far finer than the grid. Rates
are Adam's step sizes; losses in any unit, lower is better.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from proxy.errors import InvalidInputError


@dataclass(frozen=True, kw_only=True)
class RateOptimum:
    """`is_interior`: worse rates lie on both sides. Otherwise `rate` is only the best one that was tried."""

    rate: float
    is_interior: bool


def optimum_rate(rates: Sequence[float], losses: Sequence[float]) -> RateOptimum:
    """Losses of equal rates (seeds) are averaged. An infinite loss stands for a rate that diverged or was given up."""
    ladder = _ladder(rates, losses)
    best = min(range(len(ladder)), key=lambda index: ladder[index][1])
    rate, loss = ladder[best]
    is_interior = best > 0 and any(found > loss for _, found in ladder[best + 1 :])  # the first of equal minima
    if not is_interior:
        return RateOptimum(rate=rate, is_interior=False)
    return RateOptimum(rate=_vertex(ladder[best - 1], ladder[best], ladder[best + 1]), is_interior=True)


def _ladder(rates: Sequence[float], losses: Sequence[float]) -> list[tuple[float, float]]:
    if not len(rates) or len(rates) != len(losses):
        raise InvalidInputError.at("/losses", len(losses), f"one loss a rate is needed, for {len(rates)} rates")
    by_rate: dict[float, list[float]] = {}
    for index, (rate, loss) in enumerate(zip(rates, losses, strict=True)):
        if not (math.isfinite(rate) and rate > 0):
            raise InvalidInputError.at(f"/rates/{index}", rate, "a rate must be a positive number")
        if math.isnan(loss) or loss == -math.inf:
            raise InvalidInputError.at(f"/losses/{index}", loss, f"rate {rate} has no loss")
        by_rate.setdefault(float(rate), []).append(float(loss))
    ladder = [(rate, math.fsum(found) / len(found)) for rate, found in sorted(by_rate.items())]
    if all(math.isinf(loss) for _, loss in ladder):
        raise InvalidInputError.at("/losses", math.inf, "every rate diverged")
    return ladder


def _vertex(left: tuple[float, float], middle: tuple[float, float], right: tuple[float, float]) -> float:
    """Slopes on both sides, linear in log rate, cross zero here; the middle itself where a neighbour is infinite."""
    if math.isinf(left[1]) or math.isinf(right[1]):
        return middle[0]
    (x0, y0), (x1, y1), (x2, y2) = ((math.log(rate), loss) for rate, loss in (left, middle, right))
    falling, rising = (y1 - y0) / (x1 - x0), (y2 - y1) / (x2 - x1)
    start, end = (x0 + x1) / 2, (x1 + x2) / 2
    return math.exp(start - falling * (end - start) / (rising - falling))
