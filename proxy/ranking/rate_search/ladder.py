"""What a rate search is decided from: the runs of a ladder, checked, and the thresholds of the rule.

The thresholds rest on studies of one size (0.93M proxies, references of 4.2M): docs/evidence.md.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from proxy.errors import InvalidInputError
from proxy.ranking.evidence import Float64Array


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """When a rate passes. Changing one changes what a protocol promises, so a finding keeps those it was made with."""

    highest_share_of_optimum: float = 1 / 3  # of η*: above it, recipes still differ by how the rate suits them
    agreeing_factor: float = 2.0  # anchors whose own optima lie within it need no tuning to be compared
    progress: float = 0.8  # φ that an (anchor, set) pair must reach: docs/decisions/0027
    shuffled_cost: float = 0.25  # of H_uni − H_bi: what shuffling the tokens of the training documents must cost
    share_of_pairs: float = 0.9  # of (anchor, set) pairs that must reach it, of φ and of the cost alike
    reliability: float = 0.9  # 1 − 1/F, F between anchors over residual
    reliability_low: float = 0.8  # its lower bound
    level: float = 0.95  # of that bound, one-sided, and of the simultaneous test of pairs
    update_ulps: float = 32.0  # median |Δw| / ulp of the weights
    rescore_seed_deviations: float = 0.1  # what logits in bf16 may move a score by, in seed standard deviations


@dataclass(frozen=True, kw_only=True)
class LadderRun:
    """One run. `score` is None where it diverged. By set, None where unknown: `progress` is φ, `shuffled_cost` what
    shuffling its training tokens cost, as a share of H_uni − H_bi. `rescore_difference`: |score with bf16 logits −
    score|, `update_ulps`: median |Δw| / ulp; None where not measured."""

    anchor: str
    rate: float
    seed: int
    score: float | None
    progress: Mapping[str, float | None] = field(default_factory=dict)
    shuffled_cost: Mapping[str, float | None] = field(default_factory=dict)
    update_ulps: float | None = None
    rescore_difference: float | None = None


@dataclass(frozen=True, kw_only=True)
class Ladder:
    """Every anchor at every rate under the same seeds: at least 3 anchors, 3 rates, 2 seeds, in any order.

    `travel_steps` is Σ_t η_t / η of a run of `steps` steps (less than `steps` for the warm-up); `tokens_per_second` was
    measured here, None where nothing was. Checked when it is made: InvalidInputError names the field and the value.
    """

    runs: tuple[LadderRun, ...]
    steps: int
    travel_steps: float
    batch_tokens: int
    tokens_per_second: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "runs", tuple(self.runs))
        _check_sizes(self)
        for index, run in enumerate(self.runs):
            _check_run(run, f"/runs/{index}")
        _check_design(self)

    @cached_property
    def rates(self) -> tuple[float, ...]:
        """Ascending."""
        return tuple(sorted({run.rate for run in self.runs}))

    @cached_property
    def anchors(self) -> tuple[str, ...]:
        """In the order of their names."""
        return tuple(sorted({run.anchor for run in self.runs}))

    @cached_property
    def seeds(self) -> tuple[int, ...]:
        """Ascending."""
        return tuple(sorted({run.seed for run in self.runs}))

    @cached_property
    def _by_place(self) -> dict[tuple[float, str, int], LadderRun]:
        return {(run.rate, run.anchor, run.seed): run for run in self.runs}

    def runs_at(self, rate: float) -> list[LadderRun]:
        """By anchor, then seed."""
        return [self._by_place[rate, anchor, seed] for anchor in self.anchors for seed in self.seeds]

    def scores_at(self, rate: float) -> Float64Array:
        """float64[A, S], NaN where a run diverged."""
        scores = [math.nan if run.score is None else run.score for run in self.runs_at(rate)]
        return np.array(scores).reshape(len(self.anchors), len(self.seeds))

    def travel(self, rate: float) -> float:
        """S = Σ_t η_t of one run at this peak rate."""
        return rate * self.travel_steps


def _check_sizes(ladder: Ladder) -> None:
    for name in ("steps", "travel_steps", "batch_tokens", "tokens_per_second"):
        value = getattr(ladder, name)
        if value is not None and not (math.isfinite(value) and value > 0):
            raise InvalidInputError.at(f"/{name}", value, "must be a positive number")


def _check_run(run: LadderRun, pointer: str) -> None:
    where = f"of anchor {run.anchor!r}, seed {run.seed}"
    if not (math.isfinite(run.rate) and run.rate > 0):
        raise InvalidInputError.at(f"{pointer}/rate", run.rate, f"the rate {where} must be a positive number")
    if run.score is not None and not math.isfinite(run.score):
        message = f"the score {where} at rate {run.rate:g} is no finite number; a run that diverged has none"
        raise InvalidInputError.at(f"{pointer}/score", run.score, message)
    by_set = [(f"{name}/{part}", value) for name in ("progress", "shuffled_cost") for part, value in _parts(run, name)]
    single = [(name, getattr(run, name)) for name in ("update_ulps", "rescore_difference")]
    for name, value in [*by_set, *single]:
        if value is not None and not math.isfinite(value):
            message = f"{where} at rate {run.rate:g} is no finite number; None says that it is unknown"
            raise InvalidInputError.at(f"{pointer}/{name}", value, message)


def _parts(run: LadderRun, name: str) -> list[tuple[str, float | None]]:
    parts: Mapping[str, float | None] = getattr(run, name)
    return list(parts.items())


def _check_design(ladder: Ladder) -> None:
    """Balanced: what is missing at one rate would be taken for an effect of the rate."""
    for name, least, why in (
        ("rates", 3, "an optimum lies between two worse rates"),
        ("anchors", 3, "two recipes show no order to keep"),
        ("seeds", 2, "one seed shows no noise"),
    ):
        found = getattr(ladder, name)
        if len(found) < least:
            raise InvalidInputError.at(f"/{name}", list(found), f"a ladder needs at least {least} {name}: {why}")
    seen: set[tuple[float, str, int]] = set()
    for index, run in enumerate(ladder.runs):
        place = (run.rate, run.anchor, run.seed)
        if place in seen:
            raise InvalidInputError.at(f"/runs/{index}", place, "this (rate, anchor, seed) is there twice")
        seen.add(place)
    for rate in ladder.rates:
        for anchor in ladder.anchors:
            missing = [seed for seed in ladder.seeds if (rate, anchor, seed) not in seen]
            if missing:
                message = f"anchor {anchor!r} lacks these seeds at rate {rate:g}"
                raise InvalidInputError.at("/runs", missing, message)
