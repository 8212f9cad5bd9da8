"""What the runs of one rate say where they have travelled as far as a lower rate does in its whole run.

The numbers of a ladder's rate (scores, median φ, reliability, ranks) at equal Σ rates instead of equal steps: is it the
budget or the rate that orders the anchors? Told, not ruled by: no gate reads them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from proxy.ranking.rate_search.ladder import LadderRun
from proxy.ranking.rate_search.reliability import measure_reliability


@dataclass(frozen=True, kw_only=True)
class TravelRow:
    """One rate at one level of Σ rates, with the names and units of a `RateRow`."""

    rate: float
    score: float
    progress_median: float | None
    reliability: float | None
    reliability_low: float | None
    scores: dict[str, float]
    ranks: dict[str, int]


def row_at(runs: Sequence[LadderRun], level: float) -> TravelRow:
    """Of all runs of one rate, every anchor under the same seeds, each with a score. `level` is that of reliability's
    bound."""
    anchors, seeds = sorted({run.anchor for run in runs}), sorted({run.seed for run in runs})
    by_place = {(run.anchor, run.seed): run.score for run in runs}
    scores_AS = np.array([[by_place[anchor, seed] for seed in seeds] for anchor in anchors], dtype=np.float64)
    means = dict(zip(anchors, (math.fsum(row) / len(row) for row in scores_AS.tolist()), strict=True))
    found = measure_reliability(scores_AS, level)
    return TravelRow(
        rate=runs[0].rate,
        score=math.fsum(means.values()) / len(means),
        progress_median=_median_progress(runs),
        reliability=None if found is None else found.value,
        reliability_low=None if found is None else found.low,
        scores=means,
        ranks={anchor: 1 + sum(other < mean for other in means.values()) for anchor, mean in means.items()},
    )


def _median_progress(runs: Sequence[LadderRun]) -> float | None:
    """φ of the median (anchor, set) pair, each the mean over its seeds; None where it is unknown everywhere."""
    values: dict[tuple[str, str], list[float]] = {}
    for run in runs:
        for part, value in run.progress.items():
            if value is not None:
                values.setdefault((run.anchor, part), []).append(value)
    return float(np.median([math.fsum(found) / len(found) for found in values.values()])) if values else None
