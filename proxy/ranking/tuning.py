"""Labels of references: how far a recipe's best reference can be called its own optimum.

**tuned**: swept over the same grid of at least 3 rates as the others, the best one inside the grid. Otherwise **swept,
at the edge** (a better rate may lie outside), **swept, unequal** (a richer grid wins by luck: the best of m noisy runs
is optimistic by .56 / .85 / 1.16 sd for m = 2 / 3 / 5) or **single**. Seeds are averaged before the best is taken.
Where more than the rate was tuned (weight decay, batch), a *setting* is a rate with the rest: the best is taken over
settings, the grids that must be equal are those of settings, and "inside" is about the rate.
"""

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from proxy.errors import InvalidInputError
from proxy.ranking.agreement import Direction

Grid = tuple[float, ...]
Setting = tuple[float, str]  # learning rate (0: unknown) and whatever else was tuned
TUNED_FROM = 3


class Label(StrEnum):
    """From the strongest claim to the weakest."""

    TUNED = "tuned"
    AT_THE_EDGE = "swept, at the edge"
    UNEQUAL = "swept, unequal"
    SINGLE = "single"


@dataclass(frozen=True, kw_only=True)
class SweepPoint:
    """One reference run. `value` is None, or ignored, where the rate was given up early: it cannot be the best.

    `other` names the hyperparameters besides the rate, as `write_setting` does.
    """

    recipe: str
    learning_rate: float | None
    value: float | None
    stopped_early: bool = False
    seed: int | None = None
    other: str = ""

    @property
    def setting(self) -> Setting:
        """What seeds are averaged over: rates that agree in six digits are one."""
        return (0.0 if self.learning_rate is None else _same(self.learning_rate), self.other)


@dataclass(frozen=True, kw_only=True)
class TuningLabel:
    """`best_value` is a mean over seeds; `grid` has the rates tried, ascending; `finished` counts the settings that
    have a value."""

    label: Label
    best_value: float | None
    best_learning_rate: float | None
    best_setting: Setting | None
    grid: Grid
    finished: int


def label_sweeps(points: Iterable[SweepPoint], direction: Direction) -> dict[str, TuningLabel]:
    """The label that each recipe's runs have earned. The grid to equal is the one that most swept recipes share."""
    by_recipe: dict[str, list[SweepPoint]] = {}
    for point in points:
        _check(point)
        by_recipe.setdefault(point.recipe, []).append(point)
    grids = {recipe: _settings(own) for recipe, own in by_recipe.items()}
    common = _common_grid(grids)
    return {recipe: _label(own, grids[recipe], common, direction) for recipe, own in by_recipe.items()}


def write_setting(hyperparameters: Mapping[str, object]) -> str:
    """The same text for the same values, in whatever order and notation; numbers that agree in six digits agree."""
    values = {
        name: f"{value:.5e}" if isinstance(value, int | float) and not isinstance(value, bool) else value
        for name, value in hyperparameters.items()
    }
    return json.dumps(values, sort_keys=True, default=str) if values else ""


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


def _settings(points: list[SweepPoint]) -> frozenset[Setting]:
    """Those tried. A run that names no hyperparameter says nothing about the grid."""
    return frozenset(point.setting for point in points) - {(0.0, "")}


def _common_grid(grids: Mapping[str, frozenset[Setting]]) -> frozenset[Setting] | None:
    """None where nobody swept, or where two grids are equally frequent: then none is the standard."""
    counts = Counter(grid for grid in grids.values() if len(grid) > 1).most_common(2)
    if not counts or (len(counts) == 2 and counts[0][1] == counts[1][1]):
        return None
    return counts[0][0]


def _label(
    points: list[SweepPoint], settings: frozenset[Setting], common: frozenset[Setting] | None, direction: Direction
) -> TuningLabel:
    means = _means(points)
    pick = min if direction == "lower" else max
    best = pick(means, key=lambda setting: means[setting]) if means else None
    grid = tuple(sorted({rate for rate, _ in settings if rate}))
    return TuningLabel(
        label=_name(settings, common, grid, best),
        best_value=None if best is None else means[best],
        best_learning_rate=None if best is None or best[0] == 0 else best[0],
        best_setting=best,
        grid=grid,
        finished=len(means),
    )


def _means(points: list[SweepPoint]) -> dict[Setting, float]:
    """Mean value of each setting that no seed gave up, in ascending order."""
    values: dict[Setting, list[float]] = {}
    given_up: set[Setting] = set()
    for point in sorted(points, key=lambda point: point.setting):
        if point.stopped_early or point.value is None:
            given_up.add(point.setting)
        else:
            values.setdefault(point.setting, []).append(point.value)
    return {key: math.fsum(found) / len(found) for key, found in values.items() if key not in given_up}


def _name(settings: frozenset[Setting], common: frozenset[Setting] | None, grid: Grid, best: Setting | None) -> Label:
    if len(settings) < 2:
        return Label.SINGLE
    if settings != common:
        return Label.UNEQUAL
    is_inside = len(grid) >= TUNED_FROM and best is not None and best[0] in grid[1:-1]
    return Label.TUNED if is_inside else Label.AT_THE_EDGE
