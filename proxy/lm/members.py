"""The members of a cohort: what is asked of each, what is told about it, and how it ended."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
from torch import Tensor

from proxy.lm.evaluation import Float64Array
from proxy.lm.feeds import ReadTokens
from proxy.lm.logs import Log
from proxy.lm.optimizer import TrainingState

Ending = Literal["finished", "stopped", "failed", "cancelled"]


@dataclass(frozen=True, kw_only=True)
class Member:
    """One run. `read(start, count)` gives tokens of its stream, which holds token_budget + 1. It is scored on the way
    after `middles` steps too, which changes nothing of its training or its end."""

    run_id: str
    learning_rate: float
    seed: int
    read: ReadTokens
    sweep: str | None = None
    middles: tuple[int, ...] = ()


class CohortEvents(Protocol):
    """What a cohort tells while it works, and asks."""

    def progress(
        self, run_id: str, step: int, steps: int, loss: float, tokens_per_second: float, seconds_left: float
    ) -> None: ...

    def is_cancelled(self, run_id: str) -> bool: ...

    def training(self, run_ids: Sequence[str]) -> None:
        """These runs train now, all at once: if the process breaks, it was one of them."""


@dataclass(frozen=True, kw_only=True)
class MemberOutcome:
    """How a run ended. Losses are nats a token; `curve` has at most 200 rows, see `Log.curve`, and `speeds` says how
    many tokens a second each of them was trained at.

    `nats` holds, a set, the summed nats of each document, averaged over the last checkpoints, and `nats_by_step` those
    of each of them, `nats_by_middle` those on the way; empty unless finished.
    `weights` holds those checkpoints (proxy.lm.checkpoints). `seconds` are those of the training steps alone, of which
    `data_wait_seconds` waited for tokens; of steps that several runs take at once each has an equal share.
    `saving_seconds` are what keeping its state took on top of them.
    `resumed_from` holds, for each time that it was begun again, the step it went on from.
    `failed_step` is where the loss diverged; None for every other end.
    """

    run_id: str
    state: Ending
    steps_done: int
    tokens: int
    parameters: int
    seconds: float
    tokens_per_second: float | None
    curve: list[list[float]]
    final_loss: float | None
    error: str | None = None
    failed_step: int | None = None
    nats: dict[str, Float64Array] = field(default_factory=dict)
    weights: dict[str, Tensor] | None = None
    notes: tuple[str, ...] = ()
    speeds: list[float] = field(default_factory=list)
    data_wait_seconds: float = 0.0
    saving_seconds: float = 0.0
    resumed_from: tuple[int, ...] = ()
    nats_by_step: dict[int, dict[str, Float64Array]] = field(default_factory=dict)
    nats_by_middle: dict[int, dict[str, Float64Array]] = field(default_factory=dict)


@dataclass(kw_only=True, eq=False)
class RunInTraining:
    """A member from its beginning to its end. `saved`: its vectors when it last left its seat, or its attempt's first
    ones; `kept_step`: the step that the newest file of its state holds."""

    member: Member
    log: Log
    is_open: bool = False
    saved: TrainingState | None = None
    scored: dict[int, dict[str, Float64Array]] = field(default_factory=dict)
    middles: dict[int, dict[str, Float64Array]] = field(default_factory=dict)
    checkpoints: dict[int, dict[str, Tensor]] = field(default_factory=dict)
    ending: Ending | None = None
    notes: list[str] = field(default_factory=list)
    resumed_from: tuple[int, ...] = ()
    kept_step: int = 0
    saving_seconds: float = 0.0

    @property
    def saved_step(self) -> int:
        """Where it goes on from when it next takes a seat."""
        return 0 if self.saved is None else self.saved.step

    def stops(self, checkpoint_steps: Sequence[int], until: int) -> list[int]:
        """The steps at which it is looked at from where it goes on: what has been taken is not taken again."""
        lacking = {step for step in (*checkpoint_steps, until) if step not in self.checkpoints}
        lacking |= {step for step in self.member.middles if step not in self.middles}
        return sorted(step for step in lacking if self.saved_step <= step <= until)

    def rewind(self) -> None:
        """Back to `saved`, or to the beginning."""
        step, self.is_open = self.saved_step, False
        self.log.rewind(step)
        self.scored = {at: nats for at, nats in self.scored.items() if at <= step}
        self.middles = {at: nats for at, nats in self.middles.items() if at <= step}
        self.checkpoints = {at: weights for at, weights in self.checkpoints.items() if at <= step}

    def let_go(self, ending: Ending) -> None:
        """It has ended: what was told of it is not kept any longer."""
        self.ending, self.saved = ending, None
        self.scored, self.middles, self.checkpoints = {}, {}, {}

    def mean_nats(self) -> dict[str, Float64Array]:
        """Each document's mean over the checkpoints."""
        scored = list(self.scored.values())
        return {name: np.mean([one[name] for one in scored], axis=0) for name in scored[0]}
