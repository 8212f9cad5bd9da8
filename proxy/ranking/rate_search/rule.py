"""The rule: from a ladder's runs to a rate, or to what keeps every rate from passing and what would change that."""

import math
from collections.abc import Sequence

import numpy as np

from proxy.errors import InvalidInputError
from proxy.ranking.rate_search.budgets import Need, budgets_for, needed_travel, reached_by_most
from proxy.ranking.rate_search.findings import AnchorOptimum, Finding, Outcome, RateRow
from proxy.ranking.rate_search.gates import (
    BySet,
    Gate,
    Verdict,
    gates_of,
    optimum_gate,
    pair_values,
    passes,
    reliability_at,
)
from proxy.ranking.rate_search.ladder import Ladder, Thresholds
from proxy.ranking.rate_search.reliability import seeds_needed
from proxy.ranking.rate_search.words import conclude, describe_remarks
from proxy.ranking.rates import RateOptimum, optimum_rate
from proxy.ranking.seeds import noise_by_recipe

ROUNDING = 1e-6  # of a rate: a third of η*, written down by somebody, is still a third of it
NUMBERS: dict[str, BySet] = {"progress": "progress", "shuffled tokens": "shuffled_cost"}  # by gate, what grows with S


def search_rate(ladder: Ladder, limits: Thresholds | None = None) -> Finding:
    """The lowest passing rate that is at most a third of η*. The order of the runs does not matter."""
    limits = limits or Thresholds()
    _require_different_anchors(ladder)
    optimum = _optimum(ladder, ladder.anchors)
    rows = _rows(ladder, optimum, limits)
    candidates = [row for row in rows if row.is_low_enough]
    outcome = _outcome(optimum, candidates)
    chosen = next((row for row in rows if row.is_low_enough and row.passes), None)
    rate = chosen.rate if chosen is not None and outcome == Outcome.CHOSEN else None
    failing = () if rate is not None else _failing(rows, candidates)
    need = None if outcome == Outcome.CHOSEN else _need(ladder, optimum, candidates, failing, limits)
    seeds = None if rate is not None else _seeds_needed(ladder, candidates, limits)
    own = tuple(_own_optimum(ladder, anchor) for anchor in ladder.anchors)
    agree = _agree(own, limits)
    return Finding(
        outcome=outcome,
        rate=rate,
        optimum=None if optimum is None else optimum.rate,
        is_interior=optimum is not None and optimum.is_interior,
        anchors=own,
        anchors_agree=agree,
        rates=rows,
        noise={} if rate is None else _noise(ladder, rate),
        failing=failing,
        need=need,
        seeds_needed=seeds,
        conclusion=conclude(outcome, optimum, rate, ladder, candidates, failing, need, seeds, limits),
        remarks=describe_remarks(agree, own, rows, limits),
        thresholds=limits,
    )


def _require_different_anchors(ladder: Ladder) -> None:
    """InvalidInputError where all anchors have the same scores in every run: they are one recipe."""
    tables = [ladder.scores_at(rate) for rate in ladder.rates]
    if all(np.array_equal(table, np.broadcast_to(table[0], table.shape), equal_nan=True) for table in tables) and any(
        np.isfinite(table).any() for table in tables
    ):
        message = "the anchors are all alike: every one has the same scores; take recipes that differ"
        raise InvalidInputError.at("/anchors", list(ladder.anchors), message)


def _optimum(ladder: Ladder, anchors: Sequence[str]) -> RateOptimum | None:
    """Over the mean of these anchors. A rate at which one diverged is infinitely bad; None where that is every rate."""
    losses = [_mean([run.score for run in ladder.runs_at(rate) if run.anchor in anchors]) for rate in ladder.rates]
    if all(loss is None for loss in losses):
        return None
    return optimum_rate(ladder.rates, [math.inf if loss is None else loss for loss in losses])


def _own_optimum(ladder: Ladder, anchor: str) -> AnchorOptimum:
    found = _optimum(ladder, [anchor])
    if found is None:
        return AnchorOptimum(anchor=anchor, rate=None, is_interior=False)
    return AnchorOptimum(anchor=anchor, rate=found.rate, is_interior=found.is_interior)


def _agree(own: Sequence[AnchorOptimum], limits: Thresholds) -> bool | None:
    rates = [one.rate for one in own if one.is_interior and one.rate is not None]
    if len(rates) < len(own):
        return None
    return max(rates) / min(rates) <= limits.agreeing_factor * (1 + ROUNDING)


def _rows(ladder: Ladder, optimum: RateOptimum | None, limits: Thresholds) -> tuple[RateRow, ...]:
    """Ascending. Rates are looked at from the highest down: each is compared with the next higher passing one."""
    first = optimum_gate(optimum, ladder)
    rows: list[RateRow] = []
    higher: float | None = None
    for rate in reversed(ladder.rates):
        gates = gates_of(ladder, rate, first, higher, limits)
        rows.append(_row(ladder, rate, gates, optimum, limits))
        if rows[-1].passes:
            higher = rate
    return tuple(reversed(rows))


def _row(
    ladder: Ladder, rate: float, gates: Sequence[Gate], optimum: RateOptimum | None, limits: Thresholds
) -> RateRow:
    means = [_mean([float(score) for score in row]) for row in ladder.scores_at(rate)]
    known = [mean for mean in means if mean is not None]
    is_whole = len(known) == len(means)
    pairs = pair_values(ladder, rate, "progress")
    reached = reached_by_most(ladder, rate, limits, "progress")
    found = reliability_at(ladder, rate, limits)
    highest = None if optimum is None else optimum.rate * limits.highest_share_of_optimum * (1 + ROUNDING)
    return RateRow(
        rate=rate,
        travel=ladder.travel(rate),
        is_low_enough=highest is not None and rate <= highest,
        passes=passes(gates),
        score=_mean(means),
        progress_median=float(np.median(pairs)) if pairs and math.isfinite(pairs[0]) else None,
        progress_reached=reached if math.isfinite(reached) else None,
        reliability=None if found is None else found.value,
        reliability_low=None if found is None else found.low,
        scores=dict(zip(ladder.anchors, means, strict=True)),
        ranks=_ranks(ladder.anchors, known) if is_whole else None,
        gates=tuple(gates),
    )


def _mean(values: Sequence[float | None]) -> float | None:
    """None where one is missing."""
    known = [value for value in values if value is not None and not math.isnan(value)]
    return math.fsum(known) / len(known) if known and len(known) == len(values) else None


def _ranks(anchors: Sequence[str], means: Sequence[float]) -> dict[str, int]:
    """Equal scores get equal ranks."""
    return {anchor: 1 + sum(other < mean for other in means) for anchor, mean in zip(anchors, means, strict=True)}


def _outcome(optimum: RateOptimum | None, candidates: Sequence[RateRow]) -> Outcome:
    if optimum is None:
        return Outcome.NOTHING_PASSES
    if not optimum.is_interior:
        return Outcome.AT_THE_EDGE
    if not candidates:
        return Outcome.NONE_LOW_ENOUGH
    return Outcome.CHOSEN if any(row.passes for row in candidates) else Outcome.NOTHING_PASSES


def _failing(rows: Sequence[RateRow], candidates: Sequence[RateRow]) -> tuple[str, ...]:
    """Of the highest rate that is low enough, which travels furthest; of the lowest one where there is none such."""
    row = candidates[-1] if candidates else rows[0]
    return tuple(gate.name for gate in row.gates if gate.verdict == Verdict.FAILED)


def _need(
    ladder: Ladder,
    optimum: RateOptimum | None,
    candidates: Sequence[RateRow],
    failing: Sequence[str],
    limits: Thresholds,
) -> Need | None:
    """Where η* is known: of the first gate that more steps help to pass, at every rate that is low enough. Where none
    is, of progress at the highest rate that would be."""
    gate = next((name for name in NUMBERS if name in failing), None if candidates else "progress")
    if gate is None or optimum is None or not optimum.is_interior:
        return None
    found = needed_travel(ladder, ladder.travel(optimum.rate), limits, NUMBERS[gate])
    if found is None:
        return None
    rates = [row.rate for row in candidates] or [optimum.rate * limits.highest_share_of_optimum]
    budgets = budgets_for(ladder, found[0], rates)
    return Need(gate=gate, travel=found[0], is_extrapolated=found[1], budgets=budgets)


def _seeds_needed(ladder: Ladder, candidates: Sequence[RateRow], limits: Thresholds) -> int | None:
    """The fewest over the rates at which nothing but reliability fails."""
    counts = []
    for row in candidates:
        failed = [gate.name for gate in row.gates if gate.verdict == Verdict.FAILED]
        found = reliability_at(ladder, row.rate, limits)
        if failed == ["reliability"] and found is not None:
            counts.append(seeds_needed(found, limits.reliability, limits.reliability_low, limits.level))
    return min((count for count in counts if count is not None), default=None)


def _noise(ladder: Ladder, rate: float) -> dict[str, tuple[float, float]]:
    """Variance and degrees of freedom of each anchor that shows any, to be kept with the protocol."""
    found = noise_by_recipe(ladder.scores_at(rate))
    return {anchor: noise for anchor, noise in zip(ladder.anchors, found, strict=True) if noise is not None}
