"""Labels of references: how far a recipe's best reference can be called its own optimum.

**tuned**: swept over the same grid of at least 3 rates as the others, the best one inside the grid. Otherwise **swept,
at the edge** (a better rate may lie outside), **swept, unequal** (a richer grid wins by luck: the best of m noisy runs
is optimistic by .56 / .85 / 1.16 sd for m = 2 / 3 / 5) or **single**. Seeds are averaged before the best is taken.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from proxy.errors import InvalidInputError
from proxy.ranking.agreement import Direction

Grid = tuple[float, ...]
TUNED_FROM = 3


class Label(StrEnum):
    """From the strongest claim to the weakest."""

    TUNED = "tuned"
    AT_THE_EDGE = "swept, at the edge"
    UNEQUAL = "swept, unequal"
    SINGLE = "single"


@dataclass(frozen=True, kw_only=True)
class SweepPoint:
    """One reference run. `value` is None, or ignored, where the rate was given up early: it cannot be the best."""

    recipe: str
    learning_rate: float | None
    value: float | None
    stopped_early: bool = False
    seed: int | None = None


@dataclass(frozen=True, kw_only=True)
class TuningLabel:
    """`best_value` is a mean over seeds; `grid` has the rates tried, ascending; `finished` counts the values."""

    label: Label
    best_value: float | None
    best_learning_rate: float | None
    grid: Grid
    finished: int


def label_sweeps(points: Iterable[SweepPoint], direction: Direction) -> dict[str, TuningLabel]:
    """The label that each recipe's runs have earned. The grid to equal is the one that most swept recipes share."""
    by_recipe: dict[str, list[SweepPoint]] = {}
    for point in points:
        _check(point)
        by_recipe.setdefault(point.recipe, []).append(point)
    grids = {recipe: _grid(own) for recipe, own in by_recipe.items()}
    common = _common_grid(grids)
    return {recipe: _label(own, grids[recipe], common, direction) for recipe, own in by_recipe.items()}


def optimism_of_best(runs: int) -> float:
    """How far the best of `runs` equally good noisy runs lies beyond their mean, in standard deviations of one run."""
    from scipy.integrate import quad
    from scipy.special import ndtr

    value, _ = quad(lambda x: 1 - ndtr(x) ** runs - ndtr(-x) ** runs, 0, math.inf)
    return float(value)


def _check(point: SweepPoint) -> None:
    if point.value is not None and not math.isfinite(point.value):
        raise InvalidInputError.at(
            f"/{point.recipe}/value", point.value, f"recipe {point.recipe!r} has a reference that is no finite number"
        )
    rate = point.learning_rate
    if rate is not None and not (math.isfinite(rate) and rate > 0):
        raise InvalidInputError.at(
            f"/{point.recipe}/learning_rate", rate, f"recipe {point.recipe!r} needs a positive rate"
        )


def _same(rate: float) -> float:
    """Rates that agree in six digits are one rate, however they were computed."""
    return float(f"{rate:.5e}")


def _grid(points: list[SweepPoint]) -> Grid:
    return tuple(sorted({_same(point.learning_rate) for point in points if point.learning_rate is not None}))


def _common_grid(grids: Mapping[str, Grid]) -> Grid | None:
    """None where nobody swept, or where two grids are equally frequent: then none is the standard."""
    counts = Counter(grid for grid in grids.values() if len(grid) > 1).most_common(2)
    if not counts or (len(counts) == 2 and counts[0][1] == counts[1][1]):
        return None
    return counts[0][0]


def _label(points: list[SweepPoint], grid: Grid, common: Grid | None, direction: Direction) -> TuningLabel:
    means = _means(points)
    pick = min if direction == "lower" else max
    best = pick(means, key=lambda rate: means[rate]) if means else None
    return TuningLabel(
        label=_name(grid, common, best),
        best_value=None if best is None else means[best],
        best_learning_rate=None if best is None or best == 0 else best,
        grid=grid,
        finished=len(means),
    )


def _means(points: list[SweepPoint]) -> dict[float, float]:
    """Mean value of each rate that no seed gave up, in ascending order; 0 stands for an unknown rate."""
    values: dict[float, list[float]] = {}
    given_up: set[float] = set()
    for point in sorted(points, key=lambda point: point.learning_rate or 0.0):
        rate = 0.0 if point.learning_rate is None else _same(point.learning_rate)
        if point.stopped_early or point.value is None:
            given_up.add(rate)
        else:
            values.setdefault(rate, []).append(point.value)
    return {rate: math.fsum(found) / len(found) for rate, found in values.items() if rate not in given_up}


def _name(grid: Grid, common: Grid | None, best: float | None) -> Label:
    if len(grid) < 2:
        return Label.SINGLE
    if grid != common:
        return Label.UNEQUAL
    is_inside = len(grid) >= TUNED_FROM and best in grid[1:-1]
    return Label.TUNED if is_inside else Label.AT_THE_EDGE
