"""Hand-made ladders: anchors that differ by a constant, a parabola in log rate, a little seed noise."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from proxy.ranking.rate_search import Ladder, LadderRun

RATES = (1e-4, 3e-4, 1e-3, 3e-3)
ANCHORS = ("clean", "code", "mixed", "noisy")
BEST = 1.2e-3
SEED_DEVIATION = 0.002


def loss_at(anchor: str, rate: float) -> float:
    """A parabola whose vertex is at `BEST`, the same for every anchor; anchors lie .05 apart."""
    return 3.0 + 0.05 * ANCHORS.index(anchor) + 0.1 * math.log(rate / BEST) ** 2


def run_at(anchor: str, rate: float, seed: int, **changes: Any) -> LadderRun:
    """φ is .85 or more at every rate, and everything is measured."""
    noise = np.random.default_rng([seed, ANCHORS.index(anchor), round(1e6 * rate)]).normal(0, SEED_DEVIATION)
    said: dict[str, Any] = {
        "score": loss_at(anchor, rate) + noise,
        "progress": {"prose": 0.85 + 0.04 * RATES.index(rate) if rate in RATES else 0.95, "code": 0.95},
        "shuffled_cost": {"prose": 0.4, "code": 0.4},
        "update_ulps": 2000.0,
        "rescore_difference": 1e-5,
    }
    return LadderRun(anchor=anchor, rate=rate, seed=seed, **(said | changes))


def ladder_of(
    change: Callable[[str, float, int], dict[str, Any]] = lambda *_: {},
    *,
    rates: tuple[float, ...] = RATES,
    anchors: tuple[str, ...] = ANCHORS,
    seeds: int = 3,
    **sizes: Any,
) -> Ladder:
    """`change` says what differs in the run of an anchor, rate and seed."""
    runs = tuple(
        run_at(anchor, rate, seed, **change(anchor, rate, seed))
        for rate in rates
        for anchor in anchors
        for seed in range(seeds)
    )
    return Ladder(**{"runs": runs, "steps": 1000, "travel_steps": 980.0, "batch_tokens": 1024, **sizes})
