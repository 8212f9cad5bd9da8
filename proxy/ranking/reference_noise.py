"""Seed noise of references: what is known of it from settings that were run with more than one seed.

The variance within (recipe, setting) is pooled over all settings with two seeds or more, whose degrees of freedom are
few alone. A recipe's best value is a mean over the seeds of its best setting. Assumed: the same noise at every setting.
Broken by hopeless rates, which are noisier, so settings that were given up are left out. The optimism of taking the
best of several noisy settings is not in it (tuning.py, optimism_of_best).

Unit: that of the metric.
"""

import math
from collections.abc import Iterable, Mapping

from proxy.ranking.tuning import Setting, SweepPoint, TuningLabel


def errors_of_best(points: Iterable[SweepPoint], labels: Mapping[str, TuningLabel]) -> dict[str, float]:
    """Standard error of each recipe's best value; {} where no setting was run twice."""
    values: dict[tuple[str, Setting], list[float]] = {}
    for point in points:
        if point.value is not None and not point.stopped_early:
            values.setdefault((point.recipe, point.setting), []).append(point.value)
    degrees = sum(len(found) - 1 for found in values.values())
    if degrees == 0:
        return {}
    squares = sum((value - math.fsum(found) / len(found)) ** 2 for found in values.values() for value in found)
    variance = squares / degrees
    return {
        recipe: math.sqrt(variance / len(values[recipe, label.best_setting]))
        for recipe, label in labels.items()
        if label.best_setting is not None and (recipe, label.best_setting) in values
    }
