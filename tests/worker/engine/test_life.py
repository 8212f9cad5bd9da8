"""A run's life through real processes: a Celery worker over Valkey is told to stop, then another is killed, and a
third finishes the run.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from tests.worker.engine.corpora import Laboratory
from tests.worker.engine.rows import protocol_spec
from worker.settings import Settings
from worker.store.models import Evaluation, Run
from worker.store.sessions import Sessions, read_scope, session_scope
from worker.store.states import State

pytestmark = pytest.mark.processes
PATIENCE_SECONDS = 40.0  # far above what it takes, for a machine that is busy


@pytest.fixture
def quick(settings: Settings, valkey_url: str) -> Settings:
    """Leases that run out while a test can wait for it."""
    changes = {"broker_url": valkey_url, "lease_seconds": 2.0, "heartbeat_seconds": 0.3, "reconcile_seconds": 1.0}
    return settings.model_copy(update=changes)


def environment(settings: Settings) -> dict[str, str]:
    spoken = {f"FORETASTE_{name.upper()}": str(value) for name, value in settings.model_dump(mode="json").items()}
    return dict(os.environ) | spoken


@contextmanager
def celery(settings: Settings, log: Path, *role: str) -> Iterator[subprocess.Popen[bytes]]:
    """A Celery process, its output in a file; killed with its children if the block leaves it running."""
    command = [sys.executable, "-m", "celery", "-A", "worker.app", *role, "--loglevel=INFO"]
    with (
        log.open("ab") as out,
        subprocess.Popen(command, env=environment(settings), stdout=out, stderr=out) as process,
    ):
        try:
            yield process
        finally:
            if process.poll() is None:
                family = psutil.Process(process.pid).children(recursive=True)
                process.kill()
                for member in family:
                    with suppress(psutil.NoSuchProcess):
                        member.kill()


def wait_until(is_so: Callable[[], bool], log: Path) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        assert time.monotonic() < deadline, log.read_text(errors="replace")[-4000:]
        time.sleep(0.05)


def is_alive(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def test_a_run_survives_a_stopped_and_a_killed_worker(quick: Settings, sessions: Sessions, tmp_path: Path) -> None:
    laboratory = Laboratory(settings=quick, sessions=sessions, folder=tmp_path)
    laboratory.register(web=200, held=10)
    with session_scope(sessions) as session:
        protocol = laboratory.add_protocol(session, protocol_spec(steps=3000))
        session.flush()
        evaluation = laboratory.add_evaluation(
            session, protocol, laboratory.add_suite(session, "held"), {"web": 1.0}, max_epochs=100
        )
        run_id, evaluation_id = evaluation.runs[0].id, evaluation.id
    log = tmp_path / "worker.log"

    def run() -> Run:
        with read_scope(sessions) as session:
            return session.get_one(Run, run_id)

    def is_training() -> bool:
        return bool(run().progress.get("step"))

    worker = ("worker", "--pool=prefork", "-c", "1")
    with celery(quick, log, "beat"):
        with celery(quick, log, *worker) as stopped:
            wait_until(is_training, log)
            stopped.send_signal(signal.SIGTERM)
            assert stopped.wait(PATIENCE_SECONDS) == 0
        assert (run().state, run().attempt) == (State.QUEUED, 0)

        with celery(quick, log, *worker) as killed:
            wait_until(is_training, log)
            family = psutil.Process(killed.pid).children(recursive=True)
            killed.kill()
            wait_until(lambda: not any(map(is_alive, family)), log)
        assert (run().state, run().attempt) == (State.RUNNING, 1)

        with celery(quick, log, *worker) as last:
            wait_until(lambda: run().state.is_final, log)
            assert (run().state, run().attempt, run().error) == (State.FINISHED, 2, None)
            last.send_signal(signal.SIGTERM)
            assert last.wait(PATIENCE_SECONDS) == 0
    with read_scope(sessions) as session:
        assert session.get_one(Evaluation, evaluation_id).state is State.FINISHED
