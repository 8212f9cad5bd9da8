"""Real children that are killed in the middle: the run goes on where its state was kept, and ends as it would have."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from safetensors.numpy import load_file
from sqlalchemy import select

from tests.worker.engine.corpora import Laboratory
from tests.worker.engine.rows import protocol_spec
from worker.artifacts import read_losses, states_folder, stored_path
from worker.cohorts import process, supervisor
from worker.cohorts.forking import SERVER_MODULE
from worker.cohorts.messages import RunResult
from worker.engine import work_until_idle
from worker.reconciler import sweep_states
from worker.settings import Settings
from worker.store.migrate import upgrade_database
from worker.store.models import Run, RunScore, utc_now
from worker.store.sessions import Sessions, make_engine, make_sessions, read_scope, session_scope
from worker.store.states import State

STEPS = 600
PATIENCE_SECONDS = 60.0
TIMED = 6  # columns of a curve that any two runs of the same share; tokens a second do not


@dataclass(kw_only=True)
class Bench:
    """One laboratory, and the runs of one evaluation on it."""

    laboratory: Laboratory
    folder: Path

    @property
    def settings(self) -> Settings:
        return self.laboratory.settings

    @property
    def sessions(self) -> Sessions:
        return self.laboratory.sessions

    def submit(self, **runs: Any) -> list[str]:
        with session_scope(self.sessions) as session:
            protocol = self.laboratory.add_protocol(session, protocol_spec(steps=STEPS))
            suite = self.laboratory.add_suite(session, "held")
            made = self.laboratory.add_evaluation(session, protocol, suite, {"web": 1.0}, max_epochs=1000, **runs)
            return [run.id for run in made.runs]

    def run(self, run_id: str) -> Run:
        with read_scope(self.sessions) as session:
            return session.get_one(Run, run_id)

    def work_until(self, is_so: Callable[[], bool], then: Callable[[], None]) -> None:
        """Works in a thread; does `then` once it is so, and waits for the end."""
        stopping = threading.Event()
        worker = threading.Thread(target=work_until_idle, args=(self.sessions, self.settings, stopping.is_set))
        worker.start()
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not is_so():
            assert worker.is_alive()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        then()
        worker.join(PATIENCE_SECONDS)
        assert not worker.is_alive()

    def states(self, run_id: str) -> list[str]:
        folder = states_folder(self.settings) / run_id
        return sorted(path.name for path in folder.glob("*.safetensors"))

    def everything(self, run_id: str) -> dict[str, Any]:
        """What a run leaves, but for its times."""
        run = self.run(run_id)
        result = RunResult.model_validate(run.result)
        found: dict[str, Any] = {"state": run.state, "curve": [row[:TIMED] for row in result.curve]}
        found["final_loss"] = result.final_loss
        if run.checkpoint:
            weights = load_file(stored_path(self.settings, run.checkpoint))
            found["weights"] = {name: weights[name].tobytes() for name in sorted(weights)}
        with read_scope(self.sessions) as session:
            for score in session.scalars(select(RunScore).where(RunScore.run_id == run_id)):
                losses = read_losses(stored_path(self.settings, score.artifact))
                nats = {name: part.nats.tobytes() for name, part in losses.items()}
                found[score.suite_id[:3]] = (score.score, score.checkpoints, nats)
        return found


@pytest.fixture(autouse=True)
def _progress_is_stored_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests wait for it, and the runs are short."""
    monkeypatch.setattr(supervisor, "PROGRESS_SECONDS", 0.05)


@contextmanager
def opened_bench(folder: Path, **changes: object) -> Iterator[Bench]:
    options: dict[str, Any] = {"threads": 1, "compile": False, "checkpoint_seconds": 0.05, **changes}
    settings = Settings(_env_file=None, data_dir=folder / "data", **options)
    upgrade_database(settings)
    engine = make_engine(settings.resolved_database_url)
    laboratory = Laboratory(settings=settings, sessions=make_sessions(engine), folder=folder)
    laboratory.register(web=60, held=6)
    yield Bench(laboratory=laboratory, folder=folder)
    engine.dispose()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """States are kept all the time."""
    with opened_bench(tmp_path) as made:
        yield made


@pytest.fixture
def patient_bench(tmp_path: Path) -> Iterator[Bench]:
    """States are kept when somebody asks for them."""
    with opened_bench(tmp_path, checkpoint_seconds=3600) as made:
        yield made


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What an undisturbed run leaves, its states never kept."""
    with opened_bench(tmp_path_factory.mktemp("alone"), checkpoint_seconds=0) as bench:
        (run_id,) = bench.submit()
        work_until_idle(bench.sessions, bench.settings)
        return bench.everything(run_id)


def test_an_executed_child_comes_to_the_bits_of_a_forked_one(
    bench: Bench, alone: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "may_be_forked", lambda _: False)
    (run_id,) = bench.submit()
    work_until_idle(bench.sessions, bench.settings)
    assert bench.everything(run_id) == alone


def child() -> psutil.Process:
    """The training process that this test has started."""
    (server,) = [one for one in psutil.Process().children() if SERVER_MODULE in one.cmdline()]
    (found,) = server.children()
    return found


def kill_child(with_signal: int) -> None:
    os.kill(child().pid, with_signal)


def test_a_child_killed_in_the_middle_costs_no_bit(bench: Bench, alone: dict[str, Any]) -> None:
    (run_id,) = bench.submit()
    assert bench.settings.max_attempts > 1
    bench.work_until(lambda: len(bench.states(run_id)) > 0, lambda: kill_child(signal.SIGKILL))
    run = bench.run(run_id)
    assert (run.state, run.attempt, run.error) == (State.FINISHED, 2, None)
    result = RunResult.model_validate(run.result)
    assert len(result.resumed_from_step) == 1
    assert 0 < result.resumed_from_step[0] < STEPS
    assert bench.everything(run_id) == alone
    assert not (states_folder(bench.settings) / run_id).exists()
    assert result.notes == ()
    assert result.checkpoint_seconds is not None
    assert result.checkpoint_seconds > 0
    assert result.data_wait_seconds is not None
    assert result.flops == pytest.approx(protocol_spec(steps=STEPS).training_flops())


def test_a_worker_that_stops_keeps_the_state_first(patient_bench: Bench, alone: dict[str, Any]) -> None:
    bench = patient_bench
    (run_id,) = bench.submit()
    stopping = threading.Event()
    worker = threading.Thread(target=work_until_idle, args=(bench.sessions, bench.settings, stopping.is_set))
    worker.start()
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not bench.run(run_id).progress.get("step"):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    stopping.set()
    worker.join(PATIENCE_SECONDS)
    run = bench.run(run_id)
    assert (run.state, run.attempt) == (State.QUEUED, 0)
    (kept,) = bench.states(run_id)
    work_until_idle(bench.sessions, bench.settings)
    assert bench.everything(run_id) == alone
    result = RunResult.model_validate(bench.run(run_id).result)
    assert result.resumed_from_step == (int(kept.split("-")[1]),)
    assert bench.run(run_id).attempt == 1


def test_a_child_that_hears_sigterm_keeps_its_state(patient_bench: Bench, alone: dict[str, Any]) -> None:
    bench = patient_bench
    (run_id,) = bench.submit()
    bench.work_until(lambda: bool(bench.run(run_id).progress.get("step")), lambda: kill_child(signal.SIGTERM))
    assert bench.run(run_id).attempt == 2
    assert bench.everything(run_id) == alone
    assert RunResult.model_validate(bench.run(run_id).result).resumed_from_step[0] > 0


def test_a_sweep_killed_in_the_middle_ends_as_the_undisturbed_one(
    bench: Bench, tmp_path_factory: pytest.TempPathFactory
) -> None:
    def sweep(one: Bench) -> list[str]:
        runs = one.submit(count=3, sweep="s")
        with session_scope(one.sessions) as session:
            for run_id, rate in zip(runs, (1e-6, 1e-2, 9e-3), strict=True):
                session.get_one(Run, run_id).learning_rate = rate
        return runs

    with opened_bench(tmp_path_factory.mktemp("sweep"), checkpoint_seconds=0) as undisturbed:
        swept = sweep(undisturbed)
        work_until_idle(undisturbed.sessions, undisturbed.settings)
        expected = [undisturbed.everything(run_id) for run_id in swept]
    runs = sweep(bench)
    bench.work_until(lambda: len(bench.states(runs[2])) > 0, lambda: kill_child(signal.SIGKILL))
    assert [bench.run(run_id).state for run_id in runs] == [State.STOPPED, State.FINISHED, State.FINISHED]
    assert [bench.everything(run_id) for run_id in runs] == expected
    assert any(RunResult.model_validate(bench.run(run_id).result).resumed_from_step for run_id in runs)


def test_states_of_runs_that_have_ended_are_swept(bench: Bench) -> None:
    (run_id,) = bench.submit()
    folders = states_folder(bench.settings)
    for name in (run_id, "unknown"):
        (folders / name).mkdir(parents=True)
        (folders / name / "0001-0000000001-a.safetensors").write_bytes(b"x")
    assert sweep_states(bench.sessions, bench.settings, utc_now()) == ()
    with session_scope(bench.sessions) as session:
        session.get_one(Run, run_id).state = State.FAILED
    assert sweep_states(bench.sessions, bench.settings, utc_now()) == (run_id,)
    os.utime(folders / "unknown", (0, 0))
    assert sweep_states(bench.sessions, bench.settings, utc_now()) == ("unknown",)
    assert list(folders.iterdir()) == []


@pytest.mark.parametrize(("kills", "parts"), [(0, 1), (1, 2)])
def test_a_kill_by_the_kernel_is_named_and_the_next_attempt_takes_less(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, kills: int, parts: int
) -> None:
    """The kernel's counter rises while the child lives, as it does when memory has run out."""
    counted = iter([0, kills])
    errors: list[str] = []
    describe = process.ChildProcess.describe_end
    monkeypatch.setattr(process, "kernel_kills", lambda: next(counted, 1))

    def remember(self: process.ChildProcess) -> str:
        errors.append(describe(self))
        return errors[-1]

    monkeypatch.setattr(process.ChildProcess, "describe_end", remember)
    (run_id,) = bench.submit()
    bench.work_until(lambda: len(bench.states(run_id)) > 0, lambda: kill_child(signal.SIGKILL))
    assert errors[0].startswith("out of memory") == bool(kills)
    assert ("what would help" in errors[0]) == bool(kills)
    result = RunResult.model_validate(bench.run(run_id).result)
    assert bench.run(run_id).state is State.FINISHED
    assert any(f"in {parts} parts" in note for note in result.notes) == (parts > 1)
