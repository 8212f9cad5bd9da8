"""A member's state between attempts: opened as an earlier one left it, and kept while this one works.

Of several ranks the first decides by its clock and its disk, and it alone writes; all go on from the file it found.
"""

import time
from collections.abc import Callable, Sequence

from proxy.lm.logs import Log
from proxy.lm.members import Member, RunInTraining
from proxy.lm.optimizer import TrainingState
from proxy.lm.ranks import ALONE, Ranks
from proxy.lm.saving import Found, Saver, Saving, StoppedError
from proxy.lm.states import SavedRun


class Keeper:
    """Keeps and opens the runs of one cohort; `place` says what decides the rounding of a step now."""

    def __init__(self, saving: Saving, steps: int, place: Callable[[], str], ranks: Ranks = ALONE) -> None:
        self._saver, self._steps, self._place, self._ranks = Saver(saving, steps), steps, place, ranks

    def is_due(self) -> bool:
        """True when states should be kept now."""
        return self._ranks.first(self._saver.is_due())

    def open(self, member: Member) -> RunInTraining:
        """As it was left by an earlier attempt, or at its beginning."""
        run = RunInTraining(member=member, log=Log.empty(self._steps))
        found = self._find(member.run_id)
        problems = "; ".join(found.problems)
        if found.run is None:
            if problems:
                run.notes.append(f"started again from step 0: {problems}")
            run.resumed_from = (0,) if problems or found.attempt > 1 else ()
            return run
        kept = found.run
        run.log, run.saved, run.kept_step = kept.log, kept.state, kept.state.step
        run.scored = {step: dict(nats) for step, nats in kept.scored.items()}
        run.middles = {step: dict(nats) for step, nats in kept.middles.items()}
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

    def _find(self, run_id: str) -> Found:
        if self._ranks.count == 1:
            return self._saver.find(run_id)
        found = self._saver.find(run_id) if self._ranks.is_first else None
        (name,) = self._ranks.told((found.name if found else "",))
        found = found or self._saver.find(run_id, name)
        if found.name != name:
            raise OSError(f"rank {self._ranks.rank} cannot read {name}, which the first has: {found.problems}")
        return found

    def keep(self, states: Sequence[tuple[RunInTraining, TrainingState]]) -> None:
        """Keeps the states of all runs that have begun. StoppedError if that was the last to be done."""
        began = time.monotonic()
        try:
            for run, state in states:
                if run.kept_step != state.step and self._ranks.is_first:
                    self._keep(run, state)
        finally:  # whatever happens to the one that writes, the others wait for its word
            is_stopping = self._ranks.first(self._saver.is_stopping())
        self._saver.wait_again(time.monotonic() - began)
        if is_stopping:
            raise StoppedError

    def _keep(self, run: RunInTraining, state: TrainingState) -> None:
        """A disk that is full costs the state, not the run."""
        began = time.perf_counter()
        try:
            self._saver.keep(run.member.run_id, self._saved(run, state))
        except OSError as error:
            run.notes.append(f"the state after step {state.step} could not be kept: {error}")
        else:
            run.kept_step = state.step
        run.saving_seconds += time.perf_counter() - began

    def _saved(self, run: RunInTraining, state: TrainingState) -> SavedRun:
        return SavedRun(
            state=state,
            log=run.log,
            scored=run.scored,
            middles=run.middles,
            checkpoints=run.checkpoints,
            place=self._place(),
            resumed_from=run.resumed_from,
            notes=tuple(run.notes),
            saving_seconds=run.saving_seconds,
        )
