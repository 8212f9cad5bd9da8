"""A cohort: runs of one architecture, trained in one process that compiles once.

Where stacking pays they train at once (proxy.lm.stacks), else one after the other; the order is proxy.lm.groups'. A
member that diverges, is cancelled or given up ends alone, and the next one takes its seat. The states of the runs that
have begun are kept by the clock (proxy.lm.saving), and a run whose state is found goes on from it.

Where several processes train together (proxy.lm.ranks) each goes through all of this, one run after the other, and
takes the first one's word for what is cancelled, due and stopping. What one of them cannot do, none does.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import torch

from proxy.errors import OUT_OF_MEMORY, WHAT_HELPS
from proxy.lm.averaging import WeightAverage
from proxy.lm.checkpoints import checkpoint_steps, join_checkpoints
from proxy.lm.device import detect
from proxy.lm.evaluation import ScoringSet
from proxy.lm.feeds import TokenFeed
from proxy.lm.groups import WaitingLine
from proxy.lm.keeping import Keeper
from proxy.lm.members import CohortEvents, Ending, Member, MemberOutcome, RunInTraining
from proxy.lm.memory import choose_seats, free_memory, is_out_of_memory
from proxy.lm.optimizer import TrainingState
from proxy.lm.ranks import ALONE, ExhaustedError, Ranks
from proxy.lm.saving import Saving, StoppedError
from proxy.lm.trainer import CHECK_EVERY_STEPS, Lesson, Trainer
from proxy.protocols import Protocol as ProxyProtocol

__all__ = [
    "CohortEvents",
    "Member",
    "MemberOutcome",
    "ScoringSet",
    "StoppedError",
    "train_cohort",
]

NO_SAVING = Saving()


def train_cohort(  # noqa: PLR0913 - what is trained, how it is watched, with what: all plain
    protocol: ProxyProtocol,
    members: Sequence[Member],
    scoring_sets: Mapping[str, ScoringSet],
    events: CohortEvents,
    threads: int,
    want_compile: bool,
    saving: Saving = NO_SAVING,
    micro_batches: int = 1,
    at_once: int = 0,
    ranks: Ranks = ALONE,
) -> Iterator[MemberOutcome]:
    """Trains every member and yields each outcome as soon as it is known.

    At most `at_once` train at once (0: what pays on the device and fits its memory); one where several `ranks` train.
    StoppedError when `saving` says that the process is to end: the states of all runs that have begun are kept then.
    """
    if not members:
        return
    device = detect(protocol.precision, protocol.device_class, threads, want_compile)
    ranks.require_rows(protocol.batch_sequences)
    seats = choose_seats(protocol, device.device, len(members), at_once if ranks.count == 1 else 1)
    cohort = _Cohort(Trainer(protocol, device, seats, ranks), scoring_sets, events, saving)
    while cohort.trainer.micro_batches < micro_batches and cohort.trainer.split_batch():
        pass
    yield from cohort.train(members)


@dataclass(kw_only=True, eq=False)
class _Seat:
    """A run that trains, up to `until`; `stops`: the steps at which it is looked at on the way, the last one too."""

    run: RunInTraining
    until: int
    stops: list[int]
    lesson: Lesson
    speed_from: tuple[int, float] = field(default=(0, 0.0))  # a step, and when it was reached

    @property
    def number(self) -> int:
        return self.lesson.seat


class _Cohort:
    """The trainer, who sits where, what is told about it, and what is kept of it."""

    def __init__(
        self,
        trainer: Trainer,
        scoring_sets: Mapping[str, ScoringSet],
        events: CohortEvents,
        saving: Saving,
    ) -> None:
        self.protocol, self.device, self.ranks = trainer.protocol, trainer.device, trainer.ranks
        self.trainer, self.scoring_sets, self.events = trainer, scoring_sets, events
        self.keeper = Keeper(saving, self.protocol.steps, self._place, self.ranks)
        self._line = WaitingLine(groups=[])
        self._seats: dict[int, _Seat] = {}
        self._ended: list[MemberOutcome] = []

    def train(self, members: Sequence[Member]) -> Iterator[MemberOutcome]:
        """Until nobody waits any more."""
        self._line = WaitingLine.of(members, self.protocol.steps)
        try:
            while self._fill_seats():
                yield from self._take_ended()
                self._within_memory(self._train_block)
                yield from self._take_ended()
            yield from self._take_ended()
        finally:
            for seat in self._seats.values():
                seat.lesson.feed.close()

    def _take_ended(self) -> Iterator[MemberOutcome]:
        while self._ended:
            yield self._ended.pop(0)

    def _seated(self) -> list[RunInTraining]:
        return [seat.run for seat in self._seats.values()]

    def _fill_seats(self) -> bool:
        """Gives free seats to runs that wait; False when nobody trains any more."""
        before = self._seated()
        while free := [number for number in range(self.trainer.seats) if number not in self._seats]:
            leg = self._line.next_leg(self._seated(), self.keeper.open, lambda run: self._end(run, "stopped"))
            if leg is None:
                break
            self._sit_down(free[0], *leg)
        if self._seats and self._seated() != before:
            self.events.training([run.member.run_id for run in self._seated()])
        return bool(self._seats)

    def _sit_down(self, number: int, run: RunInTraining, until: int) -> None:
        """The run's vectors into the seat, and its tokens beside it."""
        if self._is_cancelled(run):
            self._end(run, "cancelled")
            return
        feed = TokenFeed(run.member.read, self.protocol.batch_tokens, run.saved_step, until, self.device.device)
        seat = _Seat(
            run=run,
            until=until,
            stops=run.stops(checkpoint_steps(self.protocol), until),
            lesson=Lesson(seat=number, feed=feed, peak=run.member.learning_rate, log=run.log),
        )
        self._seats[number] = seat
        self._within_memory(lambda: self._begin(seat))

    def _begin(self, seat: _Seat) -> None:
        self.trainer.warm_up()
        self.ranks.together(lambda: self._enter(seat))
        seat.speed_from = (self.trainer.step_of(seat.number), time.perf_counter())
        self._reach_stops(seat)

    def _train_block(self) -> None:
        """Some steps of all that sit; then what has become of each, and what they have reached."""
        seats = list(self._seats.values())
        step = self.trainer.step_of(seats[0].number)
        most_steps = min(
            CHECK_EVERY_STEPS - step % CHECK_EVERY_STEPS,
            *(seat.stops[0] - self.trainer.step_of(seat.number) for seat in seats),
        )
        self.trainer.train([seat.lesson for seat in seats], most_steps, self.keeper.is_due)
        for seat in seats:
            error = seat.lesson.error
            if error is not None:
                self._end(seat.run, "failed", error=str(error), failed_step=error.step)
            elif self._is_cancelled(seat.run):
                self._end(seat.run, "cancelled")
        if self.keeper.is_due():
            self.ranks.together(lambda: self.keeper.keep(self._states()))
        for seat in list(self._seats.values()):
            if self.trainer.step_of(seat.number) > seat.speed_from[0]:
                self._tell(seat)
            self._reach_stops(seat)

    def _is_cancelled(self, run: RunInTraining) -> bool:
        return self.ranks.first(self.events.is_cancelled(run.member.run_id))

    def _reach_stops(self, seat: _Seat) -> None:
        """Takes the checkpoint or the score that is due; at its last stop the run leaves its seat."""
        while seat.stops and self.trainer.step_of(seat.number) == seat.stops[0]:
            stop = seat.stops.pop(0)
            if stop in checkpoint_steps(self.protocol):
                self.ranks.together(partial(self._take_checkpoint, seat, stop))
            if stop in seat.run.member.middles:
                self.ranks.together(partial(self._score_middle, seat, stop))
            seat.speed_from = (stop, time.perf_counter())
        if seat.stops:
            return
        if seat.until == self.protocol.steps:
            self._end(seat.run, "finished")
        else:
            seat.run.saved = self.ranks.together(self.trainer.state_of(seat.number).copy)
            self._stand_up(seat.run)

    def _end(
        self, run: RunInTraining, state: Ending, *, error: str | None = None, failed_step: int | None = None
    ) -> None:
        self._stand_up(run)
        self._ended.append(self._outcome(run, state, error=error, failed_step=failed_step))
        run.let_go(state)

    def _stand_up(self, run: RunInTraining) -> None:
        """Leaves its seat, if it has one."""
        for number, seat in list(self._seats.items()):
            if seat.run is run:
                seat.lesson.feed.close()
                run.log.waited_seconds += seat.lesson.feed.waited_seconds
                del self._seats[number]

    def _within_memory(self, work: Callable[[], None]) -> None:
        """Where memory runs out, the same again with less at once. Where it does on one rank alone, in what the others
        do not wait for, this process ends, and they with it."""
        problem: str | None = None
        try:
            work()
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error) or not (self.ranks.count == 1 or isinstance(error, ExhaustedError)):
                raise
            problem = str(error).partition("\n")[0]
        if problem is not None:  # the error, and all that it refers to, is gone here
            self._use_less_memory(problem)

    def _use_less_memory(self, problem: str) -> None:
        """Halves what is computed at once and begins again; a run fails where there is nothing to halve."""
        runs = self._seated()
        steps = {run.member.run_id: run.log.steps_done for run in runs}
        for run in runs:
            self._stand_up(run)
            run.rewind()
        how = self._halve()
        for run in runs:
            step = steps[run.member.run_id]
            if how:
                run.notes.append(f"{OUT_OF_MEMORY} at step {step}: went on from step {run.saved_step} with {how}")
            else:
                error = f"{OUT_OF_MEMORY} at step {step} ({problem}); {WHAT_HELPS}"
                self._end(run, "failed", error=error)  # no `failed_step`: its loss did not diverge

    def _halve(self) -> str:
        """Half the members at once, or half a batch; how it is now, empty if there is no less."""
        seats, micro_batches = self.trainer.seats // 2, self.trainer.micro_batches
        if seats == 0:
            free_memory()
            return f"each batch computed in {self.trainer.micro_batches} parts" if self.trainer.split_batch() else ""
        del self.trainer
        free_memory()
        self.trainer = Trainer(self.protocol, self.device, seats)
        self.trainer.micro_batches = micro_batches
        return f"{seats} runs at once" if seats > 1 else "one run after the other"

    def _take_checkpoint(self, seat: _Seat, step: int) -> None:
        """Keeps the weights of a checkpoint and scores them; where weights are averaged, their mean after the last."""
        run, trainer = seat.run, self.trainer
        run.checkpoints[step] = trainer.weights(seat.number)
        if self.protocol.averaging is not None:
            if step < self.protocol.steps:
                return
            average = WeightAverage()
            for _, weights in sorted(run.checkpoints.items()):
                average.add(weights)
            trainer.load_weights(seat.number, average.mean)
            run.checkpoints = {step: trainer.weights(seat.number)}
        run.scored[step] = trainer.score(seat.number, self.scoring_sets)

    def _score_middle(self, seat: _Seat, step: int) -> None:
        """The weights as they are, which nothing else sees."""
        known = seat.run.scored.get(step)
        seat.run.middles[step] = self.trainer.score(seat.number, self.scoring_sets) if known is None else known

    def _enter(self, seat: _Seat) -> None:
        """Puts the run's state into its seat. Suites that were asked for since it was kept are scored now."""
        run = seat.run
        if run.saved is None:
            self.trainer.start(seat.number, run.member.seed)
            return
        if not run.is_open:
            for step, weights in run.checkpoints.items():
                known = {name: nats for name, nats in run.scored.get(step, {}).items() if name in self.scoring_sets}
                lacking = {name: part for name, part in self.scoring_sets.items() if name not in known}
                if self.protocol.averaging is not None and step < self.protocol.steps:
                    continue  # only the mean of the checkpoints is scored
                if lacking:
                    self.trainer.load_weights(seat.number, weights)
                run.scored[step] = known | self.trainer.score(seat.number, lacking)
        run.is_open = True
        self.trainer.restore(seat.number, run.saved)

    def _tell(self, seat: _Seat) -> None:
        """How far the run is, how fast by the clock, and how long it will take."""
        step, run = self.trainer.step_of(seat.number), seat.run
        first_step, started_at = seat.speed_from
        steps_per_second = (step - first_step) / max(time.perf_counter() - started_at, 1e-9)
        self.events.progress(
            run.member.run_id,
            step,
            self.protocol.steps,
            float(run.log.loss_S[step - 1]),
            steps_per_second * self.protocol.batch_tokens,
            (self.protocol.steps - step) / max(steps_per_second, 1e-9),
        )

    def _states(self) -> list[tuple[RunInTraining, TrainingState]]:
        """Of the runs that train, and of those that have begun and wait."""
        seated = [(seat.run, self.trainer.state_of(seat.number)) for seat in self._seats.values()]
        waiting = self._line.waiting(self._seated())
        return seated + [(run, run.saved) for run in waiting if run.saved is not None]

    def _place(self) -> str:
        """What decides the rounding of a step."""
        device, trainer = self.device, self.trainer
        name = torch.cuda.get_device_name(device.device) if device.device.type == "cuda" else ""
        kind = name or f"cpu {torch.backends.cpu.get_cpu_capability()}, {torch.get_num_threads()} threads"
        how = "compiled" if device.compile else "eager"
        parts = "" if trainer.micro_batches == 1 else f", batches in {trainer.micro_batches} parts"
        stacked = "" if trainer.seats == 1 else f", {trainer.seats} runs at once"
        together = "" if self.ranks.count == 1 else f", {self.ranks.count} processes together"
        precision = str(device.compute_dtype).removeprefix("torch.")
        return f"{kind}, {precision}, {how}, torch {torch.__version__}{parts}{stacked}{together}"

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
            nats_by_step=run.scored if state == "finished" else {},
            nats_by_middle=run.middles if state == "finished" else {},
            weights=join_checkpoints(run.checkpoints) if state == "finished" else None,
            notes=(*self.device.notes, *run.notes),
            speeds=log.speeds(self.protocol.batch_tokens),
            data_wait_seconds=log.waited_seconds,
            saving_seconds=run.saving_seconds,
            resumed_from=run.resumed_from,
        )
