"""What a rate search finds: plain data, with everything that it was decided from."""

from dataclasses import dataclass
from enum import StrEnum

from proxy.ranking.rate_search.budgets import Need
from proxy.ranking.rate_search.gates import Gate
from proxy.ranking.rate_search.ladder import Thresholds


class Outcome(StrEnum):
    """What a search comes to."""

    CHOSEN = "chosen"
    AT_THE_EDGE = "optimum at the edge"
    NONE_LOW_ENOUGH = "no rate low enough"
    NOTHING_PASSES = "nothing passes"


@dataclass(frozen=True, kw_only=True)
class AnchorOptimum:
    """One anchor's own optimum; None where every rate diverged."""

    anchor: str
    rate: float | None
    is_interior: bool


@dataclass(frozen=True, kw_only=True)
class RateRow:
    """One rate. None where a run diverged, or there is no number. `scores`: each anchor's mean over its seeds, `ranks`
    its place by that, 1 the best; `travel` is S = Σ_t η_t; `progress_reached`: the φ that as many (anchor, set) pairs
    reach as must."""

    rate: float
    travel: float
    is_low_enough: bool
    passes: bool
    score: float | None
    progress_median: float | None
    progress_reached: float | None
    reliability: float | None
    reliability_low: float | None
    scores: dict[str, float | None]
    ranks: dict[str, int] | None
    gates: tuple[Gate, ...]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """`rate` is None unless one was chosen, `noise` then each anchor's seed variance with its degrees of freedom.

    `anchors_agree`: their own optima lie within the factor; None where one is at the edge. `failing`: gates that keep
    the highest rate that is low enough from passing. `seeds_needed`: with so many, reliability is expected to pass
    where progress does. `conclusion` and `remarks` are sentences for people.
    """

    outcome: Outcome
    rate: float | None
    optimum: float | None
    is_interior: bool
    anchors: tuple[AnchorOptimum, ...]
    anchors_agree: bool | None
    rates: tuple[RateRow, ...]
    noise: dict[str, tuple[float, float]]
    failing: tuple[str, ...]
    need: Need | None
    seeds_needed: int | None
    conclusion: str
    remarks: tuple[str, ...]
    thresholds: Thresholds
