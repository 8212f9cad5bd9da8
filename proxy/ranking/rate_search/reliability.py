"""Reliability of a ladder's ranking at one rate: the share of the variance of anchors' means that is no seed noise.

1 − 1/F of the two-way table (anchors × seeds), F = mean square between anchors over residual mean square: the
consistency of a mean over these seeds, ICC(3, k) of Shrout & Fleiss (Psychological Bulletin 86, 1979), with the lower
bound of its F. Assumed: additive effects of anchor and seed, equal normal noise. Blind to what makes anchors differ:
where nothing was learned, word frequencies rank recipes with reliability 1.
"""

import math
from dataclasses import dataclass

import numpy as np

from proxy.ranking.evidence import Float64Array
from proxy.ranking.seeds import NO_NOISE

MOST_SEEDS = 100


@dataclass(frozen=True, kw_only=True)
class Reliability:
    """`value` and its one-sided lower bound, both at least 0; `seed_deviation` of one run, in the scores' unit."""

    value: float
    low: float
    ratio: float  # F
    anchors: int
    seeds: int
    seed_deviation: float


def measure_reliability(scores_AS: Float64Array, level: float) -> Reliability | None:
    """None where the seeds change nothing: what is no noise cannot be told then. No NaN may be among the scores."""
    anchors, seeds = scores_AS.shape
    mean_A = scores_AS.mean(axis=1)
    residual_AS = scores_AS - mean_A[:, None] - scores_AS.mean(axis=0) + scores_AS.mean()
    within = float((residual_AS**2).sum()) / ((anchors - 1) * (seeds - 1))
    if math.sqrt(within) <= NO_NOISE * float(np.abs(scores_AS).max()):
        return None
    ratio = seeds * float(mean_A.var(ddof=1)) / within
    return Reliability(
        value=_share(ratio),
        low=_share(ratio / _critical(level, anchors, seeds)),
        ratio=ratio,
        anchors=anchors,
        seeds=seeds,
        seed_deviation=math.sqrt(within),
    )


def seeds_needed(found: Reliability, value: float, low: float, level: float) -> int | None:
    """The fewest seeds with which both bounds are expected to hold, at the same noise and differences; None if a
    hundred are too few. F − 1 grows with the number of seeds."""
    for seeds in range(2, MOST_SEEDS + 1):
        ratio = 1 + (found.ratio - 1) * seeds / found.seeds
        if _share(ratio) >= value and _share(ratio / _critical(level, found.anchors, seeds)) >= low:
            return seeds
    return None


def _share(ratio: float) -> float:
    return max(1 - 1 / ratio, 0.0) if ratio > 0 else 0.0


def _critical(level: float, anchors: int, seeds: int) -> float:
    from scipy.special import fdtri

    return float(fdtri(anchors - 1, (anchors - 1) * (seeds - 1), level))
