"""A cohort: runs of one architecture, trained in one process that compiles once.

Members with the same `sweep` are the rates of one sweep: each trains to 30 % of the steps, then the hopeless ones
are given up and the others go on. A member that diverges or is cancelled ends alone. The states of the runs that have
begun are kept by the clock (proxy.lm.saving), and a run whose state is found goes on from it.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from proxy.errors import OUT_OF_MEMORY, WHAT_HELPS, LossDivergedError, TokensEndedError
from proxy.lm.averaging import WeightAverage
from proxy.lm.checkpoints import join_checkpoints, split_checkpoints
from proxy.lm.device import Device, detect
from proxy.lm.evaluation import Float64Array, ScoringSet
from proxy.lm.feeds import TokenFeed
from proxy.lm.logs import Log
from proxy.lm.members import CohortEvents, Ending, Member, MemberOutcome, RunInTraining
from proxy.lm.memory import free_memory, is_out_of_memory
from proxy.lm.saving import Saver, Saving, StoppedError
from proxy.lm.states import SavedRun
from proxy.lm.trainer import Trainer
from proxy.protocols import Protocol as ProxyProtocol

__all__ = ["CohortEvents", "Member", "MemberOutcome", "ScoringSet", "StoppedError", "rescore", "train_cohort"]

SWEEP_CHECK_SHARE = 0.3
HOPELESS_NATS = 0.25  # a rate so far behind the sweep's best at the check does not catch up; see docs/decisions/0002
NO_SAVING = Saving()


class _CancelledError(Exception):
    """Raised inside the training loop to leave it."""


def train_cohort(  # noqa: PLR0913 - what is trained, how it is watched, with what: all plain
    protocol: ProxyProtocol,
    members: Sequence[Member],
    scoring_sets: Mapping[str, ScoringSet],
    events: CohortEvents,
    threads: int,
    want_compile: bool,
    saving: Saving = NO_SAVING,
    micro_batches: int = 1,
) -> Iterator[MemberOutcome]:
    """Trains every member and yields each outcome as soon as it is known.

    StoppedError when `saving` says that the process is to end: the states of all runs that have begun are kept then.
    """
    if not members:
        return
    device = detect(protocol.precision, protocol.device_class, threads, want_compile)
    cohort = _Cohort(protocol, device, scoring_sets, events, saving)
    while cohort.trainer.micro_batches < micro_batches and cohort.trainer.split_batch():
        pass
    for group in _groups(members):
        yield from cohort.train_group(group)


def rescore(
    protocol: ProxyProtocol,
    weights: Mapping[str, Tensor],
    scoring_sets: Mapping[str, ScoringSet],
    threads: int,
) -> dict[str, Float64Array]:
    """Scores a stored run as it was scored at first, eagerly: one scoring does not repay a compilation.

    To the bit what an eager training gave; what a compiled one gave within 1e-5 of it.
    """
    trainer = Trainer(protocol, detect(protocol.precision, protocol.device_class, threads, want_compile=False))
    scored = []
    for checkpoint in split_checkpoints(weights):
        trainer.load_weights(checkpoint)
        scored.append(trainer.score(scoring_sets))
    return {name: np.mean([one[name] for one in scored], axis=0) for name in scored[0]}


def _groups(members: Sequence[Member]) -> list[list[Member]]:
    """Members of one sweep together, in the order of their first member; everybody else alone."""
    groups: dict[str, list[Member]] = {}
    for member in members:
        groups.setdefault(f"sweep {member.sweep}" if member.sweep else f"run {member.run_id}", []).append(member)
    return list(groups.values())


class _Cohort:
    """The trainer, what is told about it, and what is kept of it."""

    def __init__(
        self,
        protocol: ProxyProtocol,
        device: Device,
        scoring_sets: Mapping[str, ScoringSet],
        events: CohortEvents,
        saving: Saving,
    ) -> None:
        self.protocol, self.device, self.scoring_sets, self.events = protocol, device, scoring_sets, events
        self.trainer = Trainer(protocol, device)
        self.saver = Saver(saving, protocol.steps)
        self._paused: list[RunInTraining] = []  # begun, and waiting while another run of the sweep uses the trainer

    def train_group(self, group: Sequence[Member]) -> Iterator[MemberOutcome]:
        """A single run, or the rates of a sweep."""
        runs = [self._open(member) for member in group]
        if len(runs) > 1:
            self._train_to_check(runs)
            yield from (run.outcome for run in runs if run.outcome)
        for run in [run for run in runs if run.outcome is None]:
            self._paused = [other for other in runs if other is not run and other.saved and other.outcome is None]
            self._advance(run, self.protocol.steps)
            run.saved = None
            assert run.outcome is not None
            yield run.outcome

    def _train_to_check(self, runs: Sequence[RunInTraining]) -> None:
        """Each to the step at which they are compared; those that are hopeless there get their outcome."""
        check = max(1, round(SWEEP_CHECK_SHARE * self.protocol.steps))
        for run in runs:
            self._paused = [other for other in runs if other is not run and other.saved and other.outcome is None]
            if run.log.steps_done < check or run.saved is None:
                self._advance(run, check)
                run.saved = self.trainer.state.copy()
        losses = {run.member.run_id: run.log.smoothed_loss(check) for run in runs if run.outcome is None}
        best = min(losses.values(), default=0.0)
        for run in runs:
            if run.outcome is None and losses[run.member.run_id] > best + HOPELESS_NATS:
                run.outcome = self._outcome(run, "stopped")

    def _open(self, member: Member) -> RunInTraining:
        """As it was left by an earlier attempt, or at its beginning."""
        run = RunInTraining(member=member, log=Log.empty(self.protocol.steps))
        found = self.saver.find(member.run_id)
        problems = "; ".join(found.problems)
        if found.run is None:
            if problems:
                run.notes.append(f"started again from step 0: {problems}")
            run.resumed_from = (0,) if problems or found.attempt > 1 else ()
            return run
        kept = found.run
        run.log, run.saved, run.kept_step = kept.log, kept.state, kept.state.step
        run.scored = {step: dict(nats) for step, nats in kept.scored.items()}
        run.checkpoints = {step: dict(weights) for step, weights in kept.checkpoints.items()}
        run.resumed_from = (*kept.resumed_from, kept.state.step)
        run.notes = [*kept.notes, *([f"went on from step {kept.state.step}: {problems}"] if problems else [])]
        run.saving_seconds = kept.saving_seconds
        if kept.place != self._place():
            run.notes.append(
                f"the first {kept.state.step} steps were computed on {kept.place}, the next ones on {self._place()}: "
                "equal within rounding to a run on one of them, not to the bit"
            )
        return run

    def _advance(self, run: RunInTraining, until: int) -> None:
        """Trains up to a step; a run that ends there or before gets its outcome."""
        while run.outcome is None:
            try:
                self._train_and_score(run, until)
            except (LossDivergedError, TokensEndedError) as error:
                run.outcome = self._outcome(run, "failed", error=str(error), failed_step=error.step)
            except _CancelledError:
                run.outcome = self._outcome(run, "cancelled")
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                problem = str(error).partition("\n")[0]
            else:
                if until == self.protocol.steps:
                    run.outcome = self._outcome(run, "finished")
                return
            if run.outcome is None:
                self._try_with_less_memory(run, problem)

    def _try_with_less_memory(self, run: RunInTraining, problem: str) -> None:
        """Halves what is computed at once and begins the run again; it fails where there is nothing to halve."""
        step = run.log.steps_done
        free_memory()
        if not self.trainer.split_batch():
            error = f"{OUT_OF_MEMORY} at step {step} ({problem}); {WHAT_HELPS}"
            run.outcome = self._outcome(run, "failed", error=error, failed_step=step)
            return
        run.rewind()
        run.is_open = False
        run.notes.append(
            f"{OUT_OF_MEMORY} at step {step}: went on from step {run.log.steps_done} with each batch computed in "
            f"{self.trainer.micro_batches} parts"
        )

    def _train_and_score(self, run: RunInTraining, until: int) -> None:
        """Trains, scoring and keeping each of the last checkpoints on the way."""
        if self.events.is_cancelled(run.member.run_id):
            raise _CancelledError
        trainer, first = self.trainer, 0 if run.saved is None else run.saved.step
        with TokenFeed(run.member.read, self.protocol.batch_tokens, first, until, self.device.device) as feed:
            try:
                self._enter(run)
                for stop in sorted({*checkpoint_steps(self.protocol), until}):
                    if not trainer.state.step <= stop <= until or stop in run.checkpoints:
                        continue
                    trainer.train(feed, run.member.learning_rate, stop, run.log, self._reporter(run), self.saver.is_due)
                    if stop in checkpoint_steps(self.protocol):
                        self._take_checkpoint(run, stop)
            finally:
                run.log.waited_seconds += feed.waited_seconds

    def _take_checkpoint(self, run: RunInTraining, step: int) -> None:
        """Keeps the weights of a checkpoint and scores them; where weights are averaged, their mean after the last."""
        run.checkpoints[step] = self.trainer.weights()
        if self.protocol.averaging is not None:
            if step < self.protocol.steps:
                return
            average = WeightAverage()
            for _, weights in sorted(run.checkpoints.items()):
                average.add(weights)
            self.trainer.load_weights(average.mean)
            run.checkpoints = {step: self.trainer.weights()}
        run.scored[step] = self.trainer.score(self.scoring_sets)

    def _enter(self, run: RunInTraining) -> None:
        """Puts the run's state into the trainer. Suites that were asked for since it was kept are scored now."""
        if run.saved is None:
            self.trainer.start(run.member.seed)
            return
        if not run.is_open:
            for step, weights in run.checkpoints.items():
                known = {name: nats for name, nats in run.scored.get(step, {}).items() if name in self.scoring_sets}
                lacking = {name: part for name, part in self.scoring_sets.items() if name not in known}
                if self.protocol.averaging is not None and step < self.protocol.steps:
                    continue  # only the mean of the checkpoints is scored
                if lacking:
                    self.trainer.load_weights(weights)
                run.scored[step] = known | self.trainer.score(lacking)
        run.is_open = True
        self.trainer.restore(run.saved)

    def _reporter(self, run: RunInTraining) -> Callable[[int, float], None]:
        first_step, started_at = self.trainer.state.step, time.perf_counter()

        def report(step: int, loss: float) -> None:
            if self.events.is_cancelled(run.member.run_id):
                raise _CancelledError
            if self.saver.is_due():
                self._keep_all(run)
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

    def _keep_all(self, run: RunInTraining) -> None:
        """Keeps the run that trains and those that wait for it. StoppedError if that was the last to be done."""
        began = time.monotonic()
        self._keep(run, self.trainer.state.step)
        for other in self._paused:
            assert other.saved is not None
            self._keep(other, other.saved.step)
        self.saver.wait_again(time.monotonic() - began)
        if self.saver.is_stopping():
            raise StoppedError

    def _keep(self, run: RunInTraining, step: int) -> None:
        """One run's state, if it is not kept yet. A disk that is full costs the state, not the run."""
        if run.kept_step == step:
            return
        began = time.perf_counter()
        try:
            self.saver.keep(run.member.run_id, self._state_of(run))
        except OSError as error:
            run.notes.append(f"the state after step {step} could not be kept: {error}")
        else:
            run.kept_step = step
        run.saving_seconds += time.perf_counter() - began

    def _state_of(self, run: RunInTraining) -> SavedRun:
        return SavedRun(
            state=run.saved if run in self._paused and run.saved is not None else self.trainer.state,
            log=run.log,
            scored=run.scored,
            checkpoints=run.checkpoints,
            place=self._place(),
            resumed_from=run.resumed_from,
            notes=tuple(run.notes),
            saving_seconds=run.saving_seconds,
        )

    def _place(self) -> str:
        """What decides the rounding of a step."""
        device = self.device
        name = torch.cuda.get_device_name(device.device) if device.device.type == "cuda" else ""
        kind = name or f"cpu {torch.backends.cpu.get_cpu_capability()}, {torch.get_num_threads()} threads"
        how = "compiled" if device.compile else "eager"
        parts = "" if self.trainer.micro_batches == 1 else f", batches in {self.trainer.micro_batches} parts"
        return f"{kind}, {str(device.compute_dtype).removeprefix('torch.')}, {how}, torch {torch.__version__}{parts}"

    def _outcome(
        self, run: RunInTraining, state: Ending, *, error: str | None = None, failed_step: int | None = None
    ) -> MemberOutcome:
        done, log = run.log.steps_done, run.log
        tokens = done * self.protocol.batch_tokens
        return MemberOutcome(
            run_id=run.member.run_id,
            state=state,
            steps_done=done,
            tokens=tokens,
            parameters=self.protocol.architecture.parameters,
            seconds=log.seconds,
            tokens_per_second=tokens / log.seconds if log.seconds else None,
            curve=log.curve(self.protocol, run.member.learning_rate),
            final_loss=log.smoothed_loss() if done else None,
            error=error,
            failed_step=failed_step,
            nats=run.mean_nats() if state == "finished" else {},
            weights=join_checkpoints(run.checkpoints) if state == "finished" else None,
            notes=(*self.device.notes, *run.notes),
            speeds=log.speeds(self.protocol.batch_tokens),
            data_wait_seconds=log.waited_seconds,
            saving_seconds=run.saving_seconds,
            resumed_from=run.resumed_from,
        )


def checkpoint_steps(protocol: ProxyProtocol) -> tuple[int, ...]:
    """The steps whose weights count: the last one, and those `spacing` of all steps apart before it. They are scored,
    or their weights averaged."""
    asked = protocol.averaging or protocol.scoring
    spacing = max(1, round(asked.spacing * protocol.steps))
    steps = (protocol.steps - index * spacing for index in range(asked.checkpoints))
    return tuple(step for step in steps if step > 0)
