"""What budget would pass the progress gate, or the one of shuffled tokens: steps at a rate, by S = Σ_t η_t.

Equal S is taken to give equal φ at rates below the optimum, so the S at which the gate is passed on the ladder is the S
that a lower rate needs too; likewise of what shuffling costs, where it was measured at two rates. Broken by rates
near or above the optimum (they are left out) and by a budget that repeats data which the ladder's did not.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from proxy.ranking.rate_search.gates import BySet, pair_values
from proxy.ranking.rate_search.ladder import Ladder, Thresholds

FURTHEST = 10.0  # × the ladder's largest S: a straight line says nothing about what lies beyond


@dataclass(frozen=True, kw_only=True)
class Budget:
    """One run at this rate that travels far enough; `seconds` at the speed measured here, None where nothing was."""

    rate: float
    steps: int
    tokens: int
    seconds: float | None


@dataclass(frozen=True, kw_only=True)
class Need:
    """`travel` is the S at which most pairs reach the threshold of `gate`. `is_extrapolated`: it lies beyond the
    ladder's. `budgets`: one a rate of the ladder at most a third of η*, highest first; where it has none, at that
    third."""

    gate: str
    travel: float
    is_extrapolated: bool
    budgets: tuple[Budget, ...]


def needed_travel(
    ladder: Ladder, below: float, limits: Thresholds, name: BySet = "progress"
) -> tuple[float, bool] | None:
    """The S from which the gate of this number is passed, and whether it lies beyond the ladder; rates up to `below`
    count. None where the number does not grow towards it, or it lies too far away to be told."""
    threshold = limits.progress if name == "progress" else limits.shuffled_cost
    reached = [(ladder.travel(rate), reached_by_most(ladder, rate, limits, name)) for rate in ladder.rates]
    points = _rising(reached, below)
    passing = next((index for index, (_, value) in enumerate(points) if value >= threshold), None)
    if passing == 0:
        return points[0][0], False
    pair = points[-2:] if passing is None else points[passing - 1 : passing + 1]
    if len(pair) < 2 or pair[1][1] <= pair[0][1]:
        return None
    (x0, y0), (x1, y1) = ((math.log(travel), value) for travel, value in pair)
    log_travel = x0 + (threshold - y0) * (x1 - x0) / (y1 - y0)
    if passing is None and log_travel > math.log(FURTHEST * points[-1][0]):
        return None
    return math.exp(log_travel), passing is None


def budgets_for(ladder: Ladder, travel: float, rates: Sequence[float]) -> tuple[Budget, ...]:
    """Steps in proportion, so that a decay keeps its form; for a constant rate a few too many, the warm-up's."""
    return tuple(_budget(ladder, travel, rate) for rate in sorted(rates, reverse=True))


def _budget(ladder: Ladder, travel: float, rate: float) -> Budget:
    steps = max(math.ceil(ladder.steps * travel / ladder.travel(rate) * (1 - 1e-12)), ladder.steps)
    tokens = steps * ladder.batch_tokens
    seconds = None if ladder.tokens_per_second is None else tokens / ladder.tokens_per_second
    return Budget(rate=rate, steps=steps, tokens=tokens, seconds=seconds)


def reached_by_most(ladder: Ladder, rate: float, limits: Thresholds, name: BySet) -> float:
    """What just as many pairs reach as must: the gate is passed where it is above the threshold."""
    return reached_by_share(pair_values(ladder, rate, name), limits.share_of_pairs)


def reached_by_share(values: Sequence[float], share: float) -> float:
    """The largest value that at least this share of them reach; −∞ of none."""
    if not values:
        return -math.inf
    return sorted(values)[len(values) - math.ceil(share * len(values) - 1e-9)]


def _rising(points: list[tuple[float, float]], below: float) -> list[tuple[float, float]]:
    """Those that are finite, up to the largest value: beyond it a rate costs more than it travels. `below` is an S."""
    usable = [point for point in points if math.isfinite(point[1]) and point[0] <= below]
    best = max(range(len(usable)), key=lambda index: usable[index][1], default=-1)
    return usable[: best + 1]
