"""Trains one cohort: prepares every run, trains those that can be trained, and says how each one ended.

A run that cannot be prepared (its plan is infeasible, its corpus has changed) fails alone.
"""

import platform
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from typing import Any
from typing import Protocol as TypingProtocol

import torch

from proxy.data.plans import SamplingPlan
from proxy.data.shuffling import shuffled_documents
from proxy.errors import ForetasteError, SharedStoreError
from proxy.fingerprints import fingerprint
from proxy.lm.checkpoints import save_checkpoint
from proxy.lm.cohort import Member, MemberOutcome, ScoringSet, StoppedError, train_cohort
from proxy.lm.device import detect
from proxy.lm.precision import mantissa_bits
from proxy.lm.ranks import ALONE, Ranks
from proxy.lm.saving import Safe, Saving
from proxy.protocols import Protocol
from worker.artifacts import new_checkpoint_path, relative_path, states_folder
from worker.cohorts.materials import Bench, Materials, set_name, stream_key
from worker.cohorts.messages import (
    ChildSpec,
    CohortSpec,
    Environment,
    Line,
    RunEnded,
    RunProgress,
    RunResult,
    RunSpec,
    RunsTraining,
    SourceUse,
    SuiteSpec,
)
from worker.cohorts.middles import middle_steps
from worker.cohorts.reading import nobody_asks
from worker.sharing import share_file

__all__ = ["Orders", "StoppedError", "scoring_sets", "train_runs"]

FLOPS_COLUMN = 5  # of a curve
SAY_SECONDS = 0.25  # the supervisor writes once a second; more would only fill the pipe


@dataclass(kw_only=True)
class Reporter:
    """Turns the training loop's events into messages."""

    say: Callable[[Line], None]
    has_cancelled: Callable[[str], bool]
    _said_at: dict[str, float] = field(default_factory=dict)
    _resumed: dict[str, int] = field(default_factory=dict)

    def progress(
        self, run_id: str, step: int, steps: int, loss: float, tokens_per_second: float, seconds_left: float
    ) -> None:
        """Says how far a run is, a few times a second."""
        now = time.monotonic()
        if step < steps and now - self._said_at.get(run_id, 0.0) < SAY_SECONDS:
            return
        self._said_at[run_id] = now
        self.say(
            RunProgress(
                run=run_id,
                step=step,
                steps=steps,
                loss=loss,
                tokens_per_second=tokens_per_second,
                seconds_left=seconds_left,
                resumed_from_step=self._resumed.get(run_id),
            )
        )

    def training(self, run_ids: Sequence[str]) -> None:
        """Says which runs train now."""
        self.say(RunsTraining(runs=tuple(run_ids)))

    def preparing(self, run_id: str, steps: int, **reading: Any) -> None:
        """Says how far the reading of a corpus is that the run needs."""
        now = time.monotonic()
        if now - self._said_at.get(run_id, 0.0) >= SAY_SECONDS:
            self._said_at[run_id] = now
            self.say(RunProgress(run=run_id, phase="preparing", steps=steps, **reading))

    def has_resumed(self, run_id: str, step: int) -> None:
        """The run goes on from the state of an earlier attempt."""
        self._resumed[run_id] = step

    def is_cancelled(self, run_id: str) -> bool:
        """Asked by the training loop between steps."""
        return self.has_cancelled(run_id)


class Orders(TypingProtocol):
    """What the supervisor wants of the child meanwhile."""

    def has_cancelled(self, run_id: str) -> bool: ...

    def is_stopping(self) -> bool: ...

    def keep_states(self) -> None: ...


def train_runs(
    spec: CohortSpec, say: Callable[[Line], None], orders: Orders, ranks: Ranks = ALONE
) -> Iterator[RunEnded]:
    """One message for each run of the specification, as they end. StoppedError where it is stopped before.

    Every rank says the same; the first one's words count, and it alone writes.
    """
    for run in spec.runs:
        say(RunProgress(run=run.id, phase="preparing", steps=spec.protocol.steps))
    try:
        materials = Materials(spec)
    except SharedStoreError as error:
        for run in spec.runs:
            yield RunEnded(run=run.id, state="failed", error=str(error), is_retryable=error.is_retryable)
        return
    reporter = Reporter(say=say, has_cancelled=orders.has_cancelled)
    ready: dict[str, tuple[RunSpec, SamplingPlan]] = {}
    yield from _prepare_in_turn(spec, materials, reporter, ready, ranks)
    environment = describe_environment(spec, spec.protocol).model_copy(update={"ranks": ranks.count})
    members = [_member(run, plan, spec.protocol) for run, plan in ready.values()]
    sets = scoring_sets(spec.suites, {id_ for run, _ in ready.values() for id_ in run.suites}, materials)
    saving = Saving(
        seconds=spec.checkpoint_seconds,
        safes={run.id: _safe(run, plan, spec) for run, plan in ready.values()} if spec.checkpoint_seconds else {},
        is_stopping=orders.is_stopping,
        has_resumed=reporter.has_resumed,
    )
    if spec.checkpoint_seconds:
        orders.keep_states()
    for outcome in train_cohort(
        spec.protocol,
        members,
        sets,
        reporter,
        spec.threads,
        spec.compile,
        saving,
        spec.micro_batches,
        spec.stacked_runs,
        ranks,
    ):
        run, plan = ready[outcome.run_id]
        if not ranks.is_first:
            continue
        try:
            yield _ended(run, plan, outcome, spec, materials, environment)
        except SharedStoreError as error:  # its last state is kept: the next attempt has little left to do
            yield RunEnded(run=run.id, state="failed", error=str(error), is_retryable=error.is_retryable)


def scoring_sets(suites: Sequence[SuiteSpec], needed: set[str], materials: Materials) -> dict[str, ScoringSet]:
    """The held-out sets of the needed suites, each once, by `set_name`."""
    found: dict[str, ScoringSet] = {}
    for suite in (suite for suite in suites if suite.id in needed):
        for part in suite.suite.sets:
            name = set_name(part, suite.corpora[part.corpus])
            if name not in found:
                held_out = materials.held_out(part, suite.corpora[part.corpus])
                found[name] = ScoringSet(
                    name=name,
                    windows=materials.windows(held_out),
                    text_bytes=held_out.text_bytes,
                    documents=len(held_out.text_bytes),
                )
    return found


def describe_environment(spec: ChildSpec, protocol: Protocol) -> Environment:
    """Where and with what this is computed."""
    device = detect(protocol.precision, protocol.device_class, spec.threads, spec.compile)
    return Environment(
        device=str(device.device),
        compute_dtype=str(device.compute_dtype).removeprefix("torch."),
        is_compiled=device.compile,
        threads=spec.threads,
        torch=torch.__version__,
        python=platform.python_version(),
        code_version=version("foretaste"),
        notes=tuple(device.notes),
    )


def _prepare_in_turn(
    spec: CohortSpec,
    materials: Materials,
    reporter: Reporter,
    ready: dict[str, tuple[RunSpec, SamplingPlan]],
    ranks: Ranks,
) -> Iterator[RunEnded]:
    """The first rank makes what is not there (tokens, columns), the others find it then. RuntimeError on one that does
    not: it ends, and the others with it."""
    if not ranks.is_first:
        ranks.told(())
    yield from _prepare_all(spec, materials, reporter, ready)
    if ranks.is_first:
        ranks.told(())
    if ranks.told(tuple(ready)) != tuple(ready):
        raise RuntimeError(f"rank {ranks.rank} is ready for the runs {sorted(ready)}, and the first for others")


def _prepare_all(
    spec: CohortSpec, materials: Materials, reporter: Reporter, ready: dict[str, tuple[RunSpec, SamplingPlan]]
) -> Iterator[RunEnded]:
    for run in spec.runs:
        materials.tell = partial(reporter.preparing, run.id, spec.protocol.steps)
        problem = _prepare(run, spec, materials, ready)
        if problem is not None:
            yield problem
        else:  # nothing is read any more
            reporter.say(RunProgress(run=run.id, phase="preparing", steps=spec.protocol.steps))
    materials.tell = nobody_asks


def _prepare(
    run: RunSpec, spec: CohortSpec, materials: Materials, ready: dict[str, tuple[RunSpec, SamplingPlan]]
) -> RunEnded | None:
    """Adds the run's plan to `ready`; how it ended if it has none."""
    try:
        for suite in (suite for suite in spec.suites if suite.id in run.suites):
            for part in suite.suite.sets:
                materials.held_out(part, suite.corpora[part.corpus])
        ready[run.id] = (run, materials.plan(run))
    except ForetasteError as error:
        return RunEnded(run=run.id, state="failed", error=str(error), is_retryable=error.is_retryable)
    except (OSError, MemoryError) as error:
        traceback.print_exc()
        return RunEnded(run=run.id, state="failed", error=f"{type(error).__name__}: {error}", is_retryable=True)
    return None


def _member(run: RunSpec, plan: SamplingPlan, protocol: Protocol) -> Member:
    """What else is read off the plan (bounds, leaks) is of the documents in order, even if the run's tokens are not."""
    read = shuffled_documents(plan, run.data_seed) if protocol.shuffled_tokens else plan.read
    return Member(
        run_id=run.id,
        learning_rate=run.learning_rate,
        seed=run.seed,
        read=read,
        sweep=run.sweep,
        middles=middle_steps(protocol, run.middles),
    )


def _safe(run: RunSpec, plan: SamplingPlan, spec: CohortSpec) -> Safe:
    """Where the run's states lie. All that decides them is in their identity: the plan says which documents come when,
    the corpora's fingerprints which these are."""
    identity = fingerprint(
        {
            "treatment": spec.protocol.treatment(),
            "stream": stream_key(run),
            "plan": plan.digest(),
            "learning_rate": run.learning_rate.hex(),
            "seed": run.seed,
            "code": version("foretaste"),
        }
    )
    return Safe(folder=states_folder(spec) / run.id, identity=identity, attempt=run.attempt, claim=run.claim)


def _ended(
    run: RunSpec,
    plan: SamplingPlan,
    outcome: MemberOutcome,
    spec: CohortSpec,
    materials: Materials,
    environment: Environment,
) -> RunEnded:
    """Writes the files of a finished run, and says everything about it."""
    if outcome.state == "cancelled":
        return RunEnded(run=run.id, state="cancelled")
    result = _result(plan, outcome, environment)
    checkpoint: str | None = None
    if outcome.state == "finished":
        benches = [
            Bench(spec=suite, materials=materials, place=spec) for suite in spec.suites if suite.id in run.suites
        ]
        suites = {
            bench.spec.id: bench.result(run, outcome.nats, outcome.nats_by_step, outcome.nats_by_middle)
            for bench in benches
        }
        result = result.model_copy(update={"suites": suites})
        assert outcome.weights is not None
        path = new_checkpoint_path(spec, run.id)
        save_checkpoint(path, outcome.weights)
        share_file(spec, path)
        checkpoint = relative_path(spec, path)
    return RunEnded(run=run.id, state=outcome.state, error=outcome.error, result=result, checkpoint=checkpoint)


def _result(plan: SamplingPlan, outcome: MemberOutcome, environment: Environment) -> RunResult:
    return RunResult(
        initial_loss=outcome.curve[0][1] if outcome.curve else None,
        final_loss=outcome.final_loss,
        steps=outcome.steps_done,
        tokens=outcome.tokens,
        parameters=outcome.parameters,
        tokens_per_second=outcome.tokens_per_second,
        seconds=outcome.seconds,
        failed_step=outcome.failed_step,
        curve=[[*row, speed] for row, speed in zip(outcome.curve, outcome.speeds, strict=True)],
        plan=[
            SourceUse(
                corpus=use.corpus,
                share=use.share,
                documents=use.documents,
                removed=dict(use.removed),
                kept_documents=use.kept_documents,
                available_tokens=use.available_tokens,
                drawn_tokens=use.drawn_tokens,
                epochs=use.epochs,
                target_epochs=use.target_epochs,
                phase=use.phase,
                pointer=use.pointer,
            )
            for use in plan.report
        ],
        environment=environment,
        flops=outcome.curve[-1][FLOPS_COLUMN] if outcome.curve else 0.0,
        data_wait_seconds=outcome.data_wait_seconds,
        checkpoint_seconds=outcome.saving_seconds,
        resumed_from_step=outcome.resumed_from,
        weight_bits=None if outcome.weights is None else mantissa_bits(outcome.weights),
        notes=tuple(note for note in outcome.notes if note not in environment.notes),
    )
