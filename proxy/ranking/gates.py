"""Gates: marks on a run that say what its score is worth. Pure numbers in, marks out; a mark is not a state.

Only a broken run (diverged, truncated, leaking so much that its score is memory) is unranked. A run that fails another
gate is still ranked: learning badly may be what the recipe does. Thresholds: statistics.md, section 6. The published
gate, a loss drop of .5 %, passes rankings that are worthless, so progress is read on the scale between the unigram
(φ = 0) and the bigram entropy (φ = 1).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

LOSS_DROP = 0.005
LOSS_RISE = 0.05  # a random start is no better than chance: ending well above it is divergence, not slow learning
EXPLOSION = 0.25  # a loss so far above its start was thrown there; our tiny models at a rate of 1 go to 1.5 to 9 times
RECOVERED = 0.1  # below its start again: a spike that training got over breaks nothing
PAST_UNIGRAM = 0.0
PROGRESS = 0.5
UPDATE_ULPS = 32.0  # median |Δw| / ulp of the weights: below it, rounding decides what is learned
LEAKED = 0.01  # of a set's documents; chance near-duplicates between ordinary corpora are about as many
BROKEN_BY_LEAKS = 0.1  # no chance makes so many: the set is in the training data
MORE_EPOCHS = 1.1  # × the target's; a simulated repetition meets it to within a few documents
RARE = 0.1  # of the training tokens; mixtures below their transition were found up to about there (arXiv 2505.18091)


@dataclass(frozen=True, kw_only=True)
class Gate:
    """One check. `value` is None where it is no finite number, or where there was nothing to measure."""

    name: str
    passed: bool
    value: float | None
    threshold: float
    message: str
    is_fatal: bool = False


@dataclass(frozen=True, kw_only=True)
class SourceEpochs:
    """How often a run saw a source, and how often the target will; None where the recipe declares no target."""

    source: str
    epochs: float
    target_epochs: float | None


def check_gates(  # noqa: PLR0913 - all that a run is judged by
    *,
    initial_loss: float,
    final_loss: float,
    steps: int,
    planned_steps: int,
    progress: Mapping[str, float | None],
    leaks: Mapping[str, float | None] | None = None,
    update_ulps: float | None = None,
    epochs: Sequence[SourceEpochs] = (),
    source_shares: Mapping[str, float | None] | None = None,
    highest_loss: float | None = None,
) -> list[Gate]:
    """Those that are always fatal first. Losses in nats a token; by validation set, None where unknown: `progress` is
    φ, `leaks` the share of its documents that the training stream holds, `source_shares` that of the training tokens
    which come from the corpus that the set was held out from. `update_ulps`: median |Δw| / ulp of the weights;
    `highest_loss`: of any step that was recorded.

    What was not measured passes and says so, but for progress: a ranking without it may be one of word counts.
    """
    return [
        _diverged(initial_loss, final_loss, initial_loss if highest_loss is None else highest_loss),
        _truncated(steps, planned_steps),
        _learned(initial_loss, final_loss),
        *_progress_gates(progress),
        _floor_gate(update_ulps),
        _leak_gate(leaks or {}),
        _epochs_gate(epochs),
        _rare_gate(progress, source_shares or {}),
    ]


def _diverged(initial_loss: float, final_loss: float, highest_loss: float) -> Gate:
    """Ended above its start, or was thrown far above it and hardly came back below: weights that exploded give a loss
    about that of chance, which is where a random start begins."""
    rise = _relative(final_loss - initial_loss, initial_loss)
    peak = _relative(highest_loss - initial_loss, initial_loss)
    is_thrown = peak is not None and peak > EXPLOSION and (rise is None or rise > -RECOVERED)
    passed = rise is not None and rise <= LOSS_RISE and not is_thrown
    told = "did not rise" if passed else f"ended at {final_loss:.4g} nats after starting at {initial_loss:.4g}"
    if is_thrown:
        told += f" and rising to {highest_loss:.4g}"
    return Gate(
        name="diverged",
        passed=passed,
        value=peak if is_thrown else rise,
        threshold=EXPLOSION if is_thrown else LOSS_RISE,
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
        is_fatal=value is not None and value > BROKEN_BY_LEAKS,
    )


def _floor_gate(update_ulps: float | None) -> Gate:
    told = "was not recorded" if update_ulps is None else f"is at least {update_ulps:.3g} ulp of the weights"
    return Gate(
        name="numerical floor",
        passed=update_ulps is None or update_ulps >= UPDATE_ULPS,
        value=update_ulps,
        threshold=UPDATE_ULPS,
        message=f"The median update {told}.",
    )


def _epochs_gate(epochs: Sequence[SourceEpochs]) -> Gate:
    """Speaks of the source that is seen most often beside what the target plans; the first pass is nobody's excess."""
    known = [(one, one.epochs / max(one.target_epochs, 1.0)) for one in epochs if one.target_epochs is not None]
    worst, excess = max(known, key=lambda pair: pair[1], default=(None, None))
    told = "The recipe declares no target."
    if worst is not None:
        told = f"{worst.source} was seen {worst.epochs:.3g} times, and the target plans {worst.target_epochs:.3g}."
    return Gate(
        name="epochs",
        passed=excess is None or excess <= MORE_EPOCHS,
        value=excess,
        threshold=MORE_EPOCHS,
        message=told,
    )


def _rare_gate(progress: Mapping[str, float | None], shares: Mapping[str, float | None]) -> Gate:
    """Fails where a set of a rare source does not reach φ and every other known set does."""
    known = {name: value for name, value in progress.items() if value is not None and math.isfinite(value)}
    rare = {name: share for name, share in shares.items() if share is not None and 0 < share <= RARE and name in known}
    worst = min(rare, key=lambda name: known[name], default=None)
    rest = [value for name, value in known.items() if name not in rare]
    is_alone = worst is not None and known[worst] < PROGRESS and bool(rest) and min(rest) >= PROGRESS
    told = "No held-out set is known to be of a rare source."
    if worst is not None:
        told = f"φ = {known[worst]:.2f} on {worst}, whose source gives {rare[worst]:.2%} of the training tokens"
        told += f"; it is at least {PROGRESS:g} on the others: possibly below its transition." if is_alone else "."
    value = None if worst is None else known[worst]
    return Gate(name="rare source", passed=not is_alone, value=value, threshold=PROGRESS, message=told)


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
