"""Gates: marks on a run that say what its score is worth. Pure numbers in, marks out; a mark is not a state.

Only a broken run (diverged, truncated) is unranked. A run that fails another gate is still ranked: learning badly may
be what the recipe does. Thresholds: statistics.md, section 6. The published gate, a loss drop of .5 %, passes rankings
that are worthless, so progress is read on the scale between the unigram (φ = 0) and the bigram entropy (φ = 1).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

LOSS_DROP = 0.005
LOSS_RISE = 0.05  # a random start is no better than chance: ending well above it is divergence, not slow learning
PAST_UNIGRAM = 0.0
PROGRESS = 0.5
LEAKED = 0.01  # of a set's documents; chance near-duplicates between ordinary corpora are about as many


@dataclass(frozen=True, kw_only=True)
class Gate:
    """One check. `value` is None where it is no finite number, or where there was nothing to measure."""

    name: str
    passed: bool
    value: float | None
    threshold: float
    message: str
    is_fatal: bool = False


def check_gates(
    *,
    initial_loss: float,
    final_loss: float,
    steps: int,
    planned_steps: int,
    progress: Mapping[str, float | None],
    leaks: Mapping[str, float | None] | None = None,
) -> list[Gate]:
    """Fatal gates first. Losses in nats a token; `progress` is φ of each validation set and `leaks` the share of its
    documents that the training stream holds, None where unknown."""
    return [
        _diverged(initial_loss, final_loss),
        _truncated(steps, planned_steps),
        _learned(initial_loss, final_loss),
        *_progress_gates(progress),
        _leak_gate(leaks or {}),
    ]


def _diverged(initial_loss: float, final_loss: float) -> Gate:
    rise = _relative(final_loss - initial_loss, initial_loss)
    passed = rise is not None and rise <= LOSS_RISE
    told = "did not rise" if passed else f"ended at {final_loss:.4g} nats after starting at {initial_loss:.4g}"
    return Gate(
        name="diverged",
        passed=passed,
        value=rise,
        threshold=LOSS_RISE,
        message=f"The training loss {told}.",
        is_fatal=True,
    )


def _truncated(steps: int, planned_steps: int) -> Gate:
    return Gate(
        name="truncated",
        passed=steps >= planned_steps,
        value=float(steps),
        threshold=float(planned_steps),
        message=f"Trained {steps:,} of {planned_steps:,} steps.",
        is_fatal=True,
    )


def _learned(initial_loss: float, final_loss: float) -> Gate:
    drop = _relative(initial_loss - final_loss, initial_loss)
    told = "cannot be read" if drop is None else f"fell by {drop:.2%}"
    return Gate(
        name="learned nothing",
        passed=drop is not None and drop >= LOSS_DROP,
        value=drop,
        threshold=LOSS_DROP,
        message=f"The training loss {told}; a run that hardly moved is no evidence.",
    )


def _progress_gates(progress: Mapping[str, float | None]) -> list[Gate]:
    """Both speak of the set on which the proxy learned least. Sets where φ is unknown are left out."""
    known = {name: value for name, value in progress.items() if value is not None and math.isfinite(value)}
    if not known:
        unknown = "Progress was not measured on any set."
        return [_progress_gate(name, None, bound, unknown) for name, bound in _PROGRESS_BOUNDS.items()]
    worst = min(known, key=lambda name: known[name])
    measured = (
        f"φ = {known[worst]:.2f} on {worst} (0: word frequencies, 1: a bigram model), the lowest of {len(known)}."
    )
    return [_progress_gate(name, known[worst], bound, measured) for name, bound in _PROGRESS_BOUNDS.items()]


def _leak_gate(leaks: Mapping[str, float | None]) -> Gate:
    """Speaks of the set that leaks most. Runs from before leaks were measured pass."""
    known = {name: value for name, value in leaks.items() if value is not None}
    worst = max(known, key=lambda name: known[name], default=None)
    value = None if worst is None else known[worst]
    told = (
        "Leaks were not measured."
        if worst is None
        else (
            f"The training stream holds {known[worst]:.1%} of the documents of {worst}, the most of {len(known)} sets."
        )
    )
    return Gate(
        name="leak",
        passed=value is None or value <= LEAKED,
        value=value,
        threshold=LEAKED,
        message=told,
    )


_PROGRESS_BOUNDS = {"past unigram": PAST_UNIGRAM, "progress": PROGRESS}


def _progress_gate(name: str, value: float | None, threshold: float, message: str) -> Gate:
    """Reaching .5 counts; the unigram entropy itself must be passed."""
    is_strict = threshold == PAST_UNIGRAM
    passed = value is not None and (value > threshold if is_strict else value >= threshold)
    return Gate(name=name, passed=passed, value=value, threshold=threshold, message=message)


def _relative(change: float, base: float) -> float | None:
    if not (math.isfinite(change) and math.isfinite(base) and base > 0):
        return None
    return change / base
