"""The gates of one rate of a ladder: numbers in, verdicts out, in the order of the rule."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

import numpy as np

from proxy.ranking.evidence import BoolArray
from proxy.ranking.ranks import resolve_pairs
from proxy.ranking.rate_search.ladder import Ladder, LadderRun, Thresholds
from proxy.ranking.rate_search.reliability import Reliability, measure_reliability
from proxy.ranking.rates import RateOptimum
from proxy.ranking.seeds import estimate_seed_noise, fit_seeds
from proxy.ranking.uncertainty import NoiseModel

BySet = Literal["progress", "shuffled_cost"]


class Verdict(StrEnum):
    """`NOT_LOOKED_AT`: an earlier gate failed that this one means nothing without."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_MEASURED = "not measured"
    NOT_LOOKED_AT = "not looked at"


@dataclass(frozen=True, kw_only=True)
class Gate:
    """One check of one rate. `value` is None where there is no number."""

    name: str
    verdict: Verdict
    value: float | None
    threshold: float | None
    message: str


def passes(gates: Sequence[Gate]) -> bool:
    """A gate that was not measured stops nobody, and is told; every other must have passed."""
    return all(gate.verdict in (Verdict.PASSED, Verdict.NOT_MEASURED) for gate in gates)


def optimum_gate(optimum: RateOptimum | None, ladder: Ladder) -> Gate:
    """The same for every rate of a ladder: without η* nobody knows what is reduced. None: every rate diverged."""
    lowest, highest = ladder.rates[0], ladder.rates[-1]
    if optimum is None:
        return _gate("optimum", False, None, None, "At every rate an anchor diverged.")
    if optimum.is_interior:
        message = f"η* = {optimum.rate:.3g} lies inside the ladder ({lowest:.3g} to {highest:.3g})."
    else:
        end = "lowest" if optimum.rate == lowest else "highest"
        message = f"The best rate, {optimum.rate:.3g}, is the {end} of the ladder: a better one may lie beyond it."
    return _gate("optimum", optimum.is_interior, optimum.rate, None, message)


def divergence_gate(runs: Sequence[LadderRun]) -> Gate:
    """No run may diverge."""
    lost = [f"{run.anchor} (seed {run.seed})" for run in runs if run.score is None]
    message = f"Diverged: {', '.join(lost[:5])}." if lost else "No run diverged."
    return _gate("diverged", not lost, float(len(lost)), 0.0, message)


def progress_gate(ladder: Ladder, rate: float, limits: Thresholds) -> Gate:
    """φ of most (anchor, set) pairs. Unknown everywhere, it fails: a ranking without it may be one of word counts."""
    pairs = pair_values(ladder, rate, "progress")
    if not pairs:
        return _gate("progress", False, None, limits.share_of_pairs, "φ is unknown on every set.")
    share, told = _share_reaching(pairs, limits.progress)
    message = f"φ ≥ {limits.progress:g} on {told} (anchor, set) pairs; the median is {np.median(pairs):.2f}."
    return _gate("progress", share >= limits.share_of_pairs, share, limits.share_of_pairs, message)


def shuffled_gate(ladder: Ladder, rate: float, limits: Thresholds) -> Gate:
    """Whether the order of words was learned, and not their frequencies alone."""
    pairs = pair_values(ladder, rate, "shuffled_cost")
    if not pairs:
        return _unmeasured(
            "shuffled tokens", limits.share_of_pairs, "What shuffling tokens costs was not measured at this rate."
        )
    share, told = _share_reaching(pairs, limits.shuffled_cost)
    message = f"Shuffling the tokens costs at least {limits.shuffled_cost:g} (H_uni − H_bi) on {told} pairs."
    return _gate("shuffled tokens", share >= limits.share_of_pairs, share, limits.share_of_pairs, message)


def reliability_gate(found: Reliability | None, limits: Thresholds) -> Gate:
    """`found` is None where the seeds change nothing."""
    name, least = "reliability", limits.reliability
    if found is None:
        return _gate(name, False, None, least, "The seeds change nothing: there is no noise to compare anchors with.")
    if found.value == 0:
        message = "The anchors differ no more than their seeds: they are all alike here."
        return _gate(name, False, 0.0, least, message)
    passed = found.value >= least and found.low >= limits.reliability_low
    message = (
        f"1 − 1/F = {found.value:.3f} over {found.anchors} anchors × {found.seeds} seeds, at least {found.low:.3f} at "
        f"{limits.level:.0%} (needed: {least:g} and {limits.reliability_low:g})."
    )
    return _gate(name, passed, found.value, least, message)


def reversal_gate(ladder: Ladder, rate: float, higher: float | None, limits: Thresholds) -> Gate:
    """`higher` is the next higher passing rate, None if there is none."""
    if higher is None:
        return _gate("reversals", True, None, 0.0, "There is no higher passing rate to be compared with.")
    better, other = resolved_pairs(ladder, rate, limits.level), resolved_pairs(ladder, higher, limits.level)
    if better is None or other is None:
        return _unmeasured("reversals", 0.0, "No seed noise is known, so that no pair is resolved.")
    turned = [(ladder.anchors[a], ladder.anchors[b]) for a, b in np.argwhere(better & other.T)]
    message = f"No pair resolved here is resolved the other way at {higher:.3g}."
    if turned:
        named = ", ".join(f"{a} before {b}" for a, b in turned[:3])
        message = f"Resolved here and the other way at {higher:.3g}: {named}."
    return _gate("reversals", not turned, float(len(turned)), 0.0, message)


def floor_gate(runs: Sequence[LadderRun], limits: Thresholds) -> Gate:
    """The run with the smallest updates counts."""
    known = [run.update_ulps for run in runs if run.update_ulps is not None]
    if not known:
        return _unmeasured("numerical floor", limits.update_ulps, "The size of updates was not recorded.")
    least = min(known)
    message = f"The median update is at least {least:.3g} ulp of the weights."
    return _gate("numerical floor", least >= limits.update_ulps, least, limits.update_ulps, message)


def rescore_gate(runs: Sequence[LadderRun], found: Reliability | None, limits: Thresholds) -> Gate:
    """The run that moves most counts, in standard deviations of a seed at this rate."""
    known = [run.rescore_difference for run in runs if run.rescore_difference is not None]
    limit = limits.rescore_seed_deviations
    if not known:
        return _unmeasured("bf16 re-score", limit, "No run was scored again with logits in bf16.")
    if found is None:
        return _unmeasured("bf16 re-score", limit, "There is no seed noise to compare the difference with.")
    moved = max(known) / found.seed_deviation
    message = f"Logits in bf16 move a score by up to {moved:.3g} standard deviations of a seed."
    return _gate("bf16 re-score", moved < limit, moved, limit, message)


def pair_values(ladder: Ladder, rate: float, name: BySet) -> list[float]:
    """Of each (anchor, set) pair the mean over its seeds, ascending; the sets of a run that diverged count as −∞."""
    values: dict[tuple[str, str], list[float]] = {}
    sets = {part for run in ladder.runs for part in getattr(run, name)}
    for run in ladder.runs_at(rate):
        for part in sets:
            value = -math.inf if run.score is None else getattr(run, name).get(part)
            if value is not None:
                values.setdefault((run.anchor, part), []).append(value)
    return sorted(math.fsum(found) / len(found) for found in values.values())


def resolved_pairs(ladder: Ladder, rate: float, level: float) -> BoolArray | None:
    """bool[A, A]: the row's anchor is better, by all pairs' simultaneous test. None where no noise is known."""
    scores_AS = ladder.scores_at(rate)
    fit = fit_seeds(scores_AS)
    mean_A = scores_AS.mean(axis=1)
    noise = NoiseModel(
        scores_RT=scores_AS,
        mean_R=mean_A,
        count_R=np.full(len(mean_A), float(scores_AS.shape[1])),
        fit=fit,
        seeds=estimate_seed_noise(scores_AS, fit, None),
        documents=None,
        pairs=None,
    )
    return resolve_pairs(mean_A[:, None] - mean_A[None, :], noise, "fixed", level)


def gates_of(ladder: Ladder, rate: float, first: Gate, higher: float | None, limits: Thresholds) -> list[Gate]:
    """All gates of a rate; `first` is the optimum's, `higher` the next higher passing rate."""
    runs = ladder.runs_at(rate)
    gates = [first, divergence_gate(runs), progress_gate(ladder, rate, limits), shuffled_gate(ladder, rate, limits)]
    found = reliability_at(ladder, rate, limits)
    has_learned = passes(gates[1:])
    if has_learned:
        gates += [reliability_gate(found, limits), reversal_gate(ladder, rate, higher, limits)]
    else:
        waits = "Not looked at: where little was learned, word frequencies pass it."
        gates += [_skipped(name, waits) for name in ("reliability", "reversals")]
    return [*gates, floor_gate(runs, limits), rescore_gate(runs, found, limits)]


def reliability_at(ladder: Ladder, rate: float, limits: Thresholds) -> Reliability | None:
    """None also where a run diverged."""
    scores_AS = ladder.scores_at(rate)
    return None if np.isnan(scores_AS).any() else measure_reliability(scores_AS, limits.level)


def _share_reaching(pairs: Sequence[float], threshold: float) -> tuple[float, str]:
    reached = sum(value >= threshold for value in pairs)
    return reached / len(pairs), f"{reached} of {len(pairs)}"


def _gate(name: str, passed: bool, value: float | None, threshold: float | None, message: str) -> Gate:
    verdict = Verdict.PASSED if passed else Verdict.FAILED
    return Gate(name=name, verdict=verdict, value=value, threshold=threshold, message=message)


def _unmeasured(name: str, threshold: float, message: str) -> Gate:
    return Gate(name=name, verdict=Verdict.NOT_MEASURED, value=None, threshold=threshold, message=message)


def _skipped(name: str, message: str) -> Gate:
    return Gate(name=name, verdict=Verdict.NOT_LOOKED_AT, value=None, threshold=None, message=message)
