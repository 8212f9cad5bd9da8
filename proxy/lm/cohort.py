"""A cohort: runs of one architecture, trained in one process that compiles once.

Members with the same `sweep` are the rates of one sweep: each trains to 30 % of the steps, then the hopeless ones
are given up and the others go on. A member that diverges or is cancelled ends alone.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
from torch import Tensor

from proxy.data.tokenizers import TokenArray
from proxy.errors import LossDivergedError
from proxy.lm.averaging import WeightAverage
from proxy.lm.checkpoints import join_checkpoints, split_checkpoints
from proxy.lm.device import Device, detect
from proxy.lm.evaluation import Float64Array, ScoringSet
from proxy.lm.optimizer import TrainingState
from proxy.lm.schedules import learning_rate
from proxy.lm.trainer import Log, Trainer
from proxy.protocols import Protocol as ProxyProtocol

__all__ = ["CohortEvents", "Member", "MemberOutcome", "ScoringSet", "rescore", "train_cohort"]

SWEEP_CHECK_SHARE = 0.3
HOPELESS_NATS = 0.25  # a rate so far behind the sweep's best at the check does not catch up; see docs/decisions/0002
SMOOTHING_SHARE = 0.05
CURVE_POINTS = 200


@dataclass(frozen=True, kw_only=True)
class Member:
    """One run. `stream` gives token_budget + 1 tokens, [N]."""

    run_id: str
    learning_rate: float
    seed: int
    stream: Callable[[], TokenArray]
    sweep: str | None = None


class CohortEvents(Protocol):
    """What a cohort tells while it works, and asks."""

    def progress(
        self, run_id: str, step: int, steps: int, loss: float, tokens_per_second: float, seconds_left: float
    ) -> None: ...

    def is_cancelled(self, run_id: str) -> bool: ...


@dataclass(frozen=True, kw_only=True)
class MemberOutcome:
    """How a run ended. Losses are nats a token; `curve` rows are step, loss, gradient norm, rate (at most 200 rows).

    `nats` holds, a set, the summed nats of each document, averaged over the last checkpoints; empty unless finished.
    `weights` holds those checkpoints (proxy.lm.checkpoints). `seconds` are those of the training steps alone.
    """

    run_id: str
    state: Literal["finished", "stopped", "failed", "cancelled"]
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


class _CancelledError(Exception):
    """Raised inside the training loop to leave it."""


@dataclass(kw_only=True)
class _Run:
    """A member while it trains."""

    member: Member
    log: Log
    tokens_N: Tensor | None = None
    saved: TrainingState | None = None
    scored: list[dict[str, Float64Array]] = field(default_factory=list)
    checkpoints: dict[int, dict[str, Tensor]] = field(default_factory=dict)
    average: WeightAverage = field(default_factory=WeightAverage)
    outcome: MemberOutcome | None = None


def train_cohort(
    protocol: ProxyProtocol,
    members: Sequence[Member],
    scoring_sets: Mapping[str, ScoringSet],
    events: CohortEvents,
    threads: int,
    want_compile: bool,
) -> Iterator[MemberOutcome]:
    """Trains every member and yields each outcome as soon as it is known."""
    if not members:
        return
    cohort = _Cohort(protocol, detect(protocol.precision, protocol.device_class, threads, want_compile), events)
    for group in _groups(members):
        yield from cohort.train_group(group, scoring_sets)


def rescore(
    protocol: ProxyProtocol,
    weights: Mapping[str, Tensor],
    scoring_sets: Mapping[str, ScoringSet],
    threads: int,
) -> dict[str, Float64Array]:
    """Scores a stored run as it was scored at first, eagerly: one scoring does not repay a compilation."""
    trainer = Trainer(protocol, detect(protocol.precision, protocol.device_class, threads, want_compile=False))
    scored = []
    for checkpoint in split_checkpoints(weights):
        trainer.load_weights(checkpoint)
        scored.append(trainer.score(scoring_sets))
    return _mean(scored)


def _groups(members: Sequence[Member]) -> list[list[Member]]:
    """Members of one sweep together, in the order of their first member; everybody else alone."""
    groups: dict[str, list[Member]] = {}
    for member in members:
        groups.setdefault(f"sweep {member.sweep}" if member.sweep else f"run {member.run_id}", []).append(member)
    return list(groups.values())


class _Cohort:
    """The trainer and what is told about it."""

    def __init__(self, protocol: ProxyProtocol, device: Device, events: CohortEvents) -> None:
        self.protocol, self.device, self.events = protocol, device, events
        self.trainer = Trainer(protocol, device)

    def train_group(self, group: list[Member], scoring_sets: Mapping[str, ScoringSet]) -> Iterator[MemberOutcome]:
        """A single run, or the rates of a sweep."""
        steps = self.protocol.steps
        if len(group) == 1:
            run = self._open(group[0])
            self._advance(run, steps, scoring_sets)
            yield self._closed(run)
            return
        check = max(1, round(SWEEP_CHECK_SHARE * steps))
        runs = [self._open(member) for member in group]
        for run in runs:
            self._advance(run, check, scoring_sets)
            run.saved = self.trainer.state.copy()
        self._give_up_hopeless(runs, check)
        for run in runs:
            if run.outcome is None:
                assert run.saved is not None
                self.trainer.state.load(run.saved)
                self._advance(run, steps, scoring_sets)
            run.saved = None
            yield self._closed(run)

    def _open(self, member: Member) -> _Run:
        return _Run(member=member, log=Log.empty(self.protocol.steps))

    def _closed(self, run: _Run) -> MemberOutcome:
        assert run.outcome is not None
        return run.outcome

    def _advance(self, run: _Run, until: int, scoring_sets: Mapping[str, ScoringSet]) -> None:
        """Trains up to a step; a run that ends there or before gets its outcome."""
        try:
            self._train_and_score(run, until, scoring_sets)
        except LossDivergedError as error:
            run.outcome = self._outcome(run, "failed", error=str(error), failed_step=error.step)
        except _CancelledError:
            run.outcome = self._outcome(run, "cancelled")
        else:
            if until == self.protocol.steps:
                run.outcome = self._outcome(run, "finished")

    def _train_and_score(self, run: _Run, until: int, scoring_sets: Mapping[str, ScoringSet]) -> None:
        """Trains, scoring and keeping each of the last checkpoints on the way."""
        if self.events.is_cancelled(run.member.run_id):
            raise _CancelledError
        if run.tokens_N is None:
            run.tokens_N = self.trainer.tokens_of(run.member.stream())
            self.trainer.start(run.member.seed)
        for stop in sorted({*checkpoint_steps(self.protocol), until}):
            if not self.trainer.state.step < stop <= until:
                continue
            self.trainer.train(run.tokens_N, run.member.learning_rate, stop, run.log, self._reporter(run))
            if stop in checkpoint_steps(self.protocol):
                self._keep(run, stop, scoring_sets)

    def _keep(self, run: _Run, step: int, scoring_sets: Mapping[str, ScoringSet]) -> None:
        """Scores and keeps the weights of a checkpoint; where weights are averaged, their mean after the last one."""
        if self.protocol.averaging is not None:
            run.average.add(self.trainer.weights())
            if step < self.protocol.steps:
                return
            self.trainer.load_weights(run.average.mean)
        run.scored.append(self.trainer.score(scoring_sets))
        run.checkpoints[step] = self.trainer.weights()

    def _reporter(self, run: _Run) -> Callable[[int, float], None]:
        first_step, started_at = self.trainer.state.step, time.perf_counter()

        def report(step: int, loss: float) -> None:
            if self.events.is_cancelled(run.member.run_id):
                raise _CancelledError
            seconds = max(time.perf_counter() - started_at, 1e-9)
            steps_per_second = (step - first_step) / seconds
            self.events.progress(
                run.member.run_id,
                step,
                self.protocol.steps,
                loss,
                steps_per_second * self.protocol.batch_tokens,
                (self.protocol.steps - step) / max(steps_per_second, 1e-9),
            )

        return report

    def _give_up_hopeless(self, runs: Sequence[_Run], check: int) -> None:
        """Compares the sweep's rates at the check. A sweep whose rates all diverged has no best."""
        losses = {run.member.run_id: _smoothed(run.log.loss_S[:check]) for run in runs if run.outcome is None}
        best = min(losses.values(), default=0.0)
        for run in runs:
            if run.outcome is None and losses[run.member.run_id] > best + HOPELESS_NATS:
                run.outcome = self._outcome(run, "stopped")

    def _outcome(
        self,
        run: _Run,
        state: Literal["finished", "stopped", "failed", "cancelled"],
        *,
        error: str | None = None,
        failed_step: int | None = None,
    ) -> MemberOutcome:
        done = run.log.steps_done
        tokens = done * self.protocol.batch_tokens
        return MemberOutcome(
            run_id=run.member.run_id,
            state=state,
            steps_done=done,
            tokens=tokens,
            parameters=self.protocol.architecture.parameters,
            seconds=run.log.seconds,
            tokens_per_second=tokens / run.log.seconds if run.log.seconds else None,
            curve=_curve(run.log, done, self.protocol, run.member.learning_rate),
            final_loss=_smoothed(run.log.loss_S[:done]) if done else None,
            error=error,
            failed_step=failed_step,
            nats=_mean(run.scored) if state == "finished" else {},
            weights=join_checkpoints(run.checkpoints) if state == "finished" else None,
            notes=self.device.notes,
        )


def checkpoint_steps(protocol: ProxyProtocol) -> tuple[int, ...]:
    """The steps whose weights count: the last one, and those `spacing` of all steps apart before it. They are scored,
    or their weights averaged."""
    asked = protocol.averaging or protocol.scoring
    spacing = max(1, round(asked.spacing * protocol.steps))
    steps = (protocol.steps - index * spacing for index in range(asked.checkpoints))
    return tuple(step for step in steps if step > 0)


def _mean(scored: Sequence[Mapping[str, Float64Array]]) -> dict[str, Float64Array]:
    """Each document's mean over the checkpoints."""
    return {name: np.mean([one[name] for one in scored], axis=0) for name in scored[0]}


def _smoothed(loss_S: Float64Array) -> float:
    """Mean of the last 5 % of the steps so far."""
    return float(loss_S[-max(1, round(SMOOTHING_SHARE * len(loss_S))) :].mean())


def _curve(log: Log, done: int, protocol: ProxyProtocol, peak: float) -> list[list[float]]:
    if not done:
        return []
    shown = np.unique(np.linspace(0, done - 1, min(done, CURVE_POINTS)).round().astype(int))
    return [
        [int(step), float(log.loss_S[step]), float(log.norm_S[step]), learning_rate(int(step), protocol, peak)]
        for step in shown
    ]
