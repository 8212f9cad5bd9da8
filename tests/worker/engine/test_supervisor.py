"""A supervisor and real children that follow a script instead of training."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import psutil
import pytest
from sqlalchemy.exc import OperationalError

from worker.cohorts.messages import ChildSpec, Line, RunEnded, RunProgress, write_line
from worker.cohorts.process import child_environment, running_child
from worker.cohorts.supervisor import supervise
from worker.settings import Settings
from worker.stopping import forget_stop, is_stopping, stopping_on_sigterm

WAIT = "import sys, time\nsys.stdin.buffer.read()\n"
ECHO_CANCEL = """
import sys
run = sys.stdin.readline().split()[1]
print('{"kind": "run", "run": "' + run + '", "state": "cancelled"}', flush=True)
print('{"kind": "run", "run": "b", "state": "finished"}', flush=True)
sys.stdin.read()
"""
GRANDCHILD = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print('{"kind": "progress", "run": "a", "step": ' + str(child.pid) + '}', flush=True)
sys.stdin.read()
child.wait()
"""

FORKED = """
import os, time
from worker.stopping import is_stopping, request_stop
child = os.fork()
if child == 0:
    deadline = time.monotonic() + 5
    while not is_stopping() and time.monotonic() < deadline:
        time.sleep(0.01)
    os._exit(0 if is_stopping() else 1)
request_stop()
raise SystemExit(os.waitpid(child, 0)[1])
"""


class Recorder:
    """Work that remembers what happened to it."""

    def __init__(self, spec: ChildSpec, *runs: str, lost_at_first_beat: Iterable[str] = ()) -> None:
        self.spec = spec
        self.runs = set(runs)
        self.lost = frozenset(lost_at_first_beat)
        self.heard: list[Line] = []
        self.events: list[str] = []

    def pending(self) -> frozenset[str]:
        return frozenset(self.runs)

    def hear(self, line: Line) -> None:
        self.heard.append(line)
        if isinstance(line, RunEnded):
            self.runs.discard(line.run)

    def show_progress(self) -> None:
        self.events.append("progress")

    def beat(self) -> frozenset[str]:
        lost, self.lost = self.lost, frozenset()
        self.runs -= lost
        return lost

    def give_back(self) -> None:
        self.events.append("given back")

    def break_off(self, error: str) -> None:
        self.events.append(error)


@pytest.fixture
def quick(tmp_path: Path) -> Settings:
    return Settings(_env_file=None, data_dir=tmp_path, heartbeat_seconds=0.05, threads=1)


@pytest.fixture
def spec(tmp_path: Path) -> ChildSpec:
    return ChildSpec(artifact_dir=tmp_path / "artifacts", threads=1, compile=False)


def script(code: str) -> tuple[str, ...]:
    return (sys.executable, "-c", code)


def says(*lines: Line) -> str:
    return "".join(f"print({write_line(line).strip()!r}, flush=True)\n" for line in lines)


def never() -> bool:
    return False


def after(seconds: float) -> Callable[[], bool]:
    end = time.monotonic() + seconds
    return lambda: time.monotonic() > end


def test_what_the_child_says_is_heard_in_order(quick: Settings, spec: ChildSpec) -> None:
    lines: list[Line] = [RunProgress(run="a", step=1, loss=2.5), RunEnded(run="a", state="finished")]
    work = Recorder(spec, "a")
    supervise(work, quick, never, script(says(*lines)))
    assert work.heard == lines
    assert set(work.events) <= {"progress"}


def test_a_child_that_dies_explains_itself(quick: Settings, spec: ChildSpec) -> None:
    work = Recorder(spec, "a", "b")
    code = says(RunEnded(run="a", state="finished")) + "import sys; sys.exit('no memory left')"
    supervise(work, quick, never, script(code))
    assert work.pending() == {"b"}
    assert "exit status 1" in work.events[-1]
    assert "no memory left" in work.events[-1]


def test_a_busy_database_ends_no_training(quick: Settings, spec: ChildSpec) -> None:
    class Busy(Recorder):
        """Every second write finds the database locked."""

        def write(self) -> None:
            self.events.append("write")
            if len(self.events) % 2:
                raise OperationalError("UPDATE", {}, Exception("database is locked"))

        def hear(self, line: Line) -> None:
            self.write()
            super().hear(line)

        def show_progress(self) -> None:
            self.write()

        def beat(self) -> frozenset[str]:
            self.write()
            return frozenset()

    work = Busy(spec, "a")
    end = RunEnded(run="a", state="finished")
    supervise(work, quick, never, script(says(RunProgress(run="a", step=1), end)))
    assert work.heard[-1] == end
    assert work.pending() == frozenset()


def test_a_killed_child_is_named_by_its_signal(quick: Settings, spec: ChildSpec) -> None:
    work = Recorder(spec, "a")
    supervise(work, quick, never, script("import os; os.kill(os.getpid(), 9)"))
    assert work.events[-1].startswith("the child process ended early (killed by signal SIGKILL); not by its worker")


def test_a_stop_kills_the_child_and_gives_the_runs_back(quick: Settings, spec: ChildSpec) -> None:
    work = Recorder(spec, "a")
    supervise(work, quick, after(0.3), script(WAIT))
    assert work.events[-1] == "given back"


def test_a_lost_run_is_cancelled_and_the_others_go_on(quick: Settings, spec: ChildSpec) -> None:
    work = Recorder(spec, "a", "b", lost_at_first_beat=["a"])
    supervise(work, quick, never, script(ECHO_CANCEL))
    assert [line.run for line in work.heard if isinstance(line, RunEnded)] == ["a", "b"]


def test_a_child_without_a_run_left_is_ended_at_once(quick: Settings, spec: ChildSpec) -> None:
    work = Recorder(spec, "a", lost_at_first_beat=["a"])
    began = time.monotonic()
    supervise(work, quick, never, script(WAIT))
    assert time.monotonic() - began < 3
    assert "given back" not in work.events


def test_nothing_of_the_group_survives_its_child(quick: Settings, spec: ChildSpec) -> None:
    work = Recorder(spec, "a")
    supervise(work, quick, lambda: bool(work.heard), script(GRANDCHILD))
    (line,) = work.heard
    assert isinstance(line, RunProgress)
    deadline = time.monotonic() + 5
    while psutil.pid_exists(line.step) and psutil.Process(line.step).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_an_error_while_storing_leaves_no_child_behind(quick: Settings, spec: ChildSpec) -> None:
    pids = []

    def fail_while_it_works() -> None:
        with running_child(spec, quick, script(WAIT)) as child:
            pids.append(child.pid)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_while_it_works()
    assert not any(map(psutil.pid_exists, pids))
    assert list((quick.data_dir / "children").iterdir()) == []


def test_a_child_owns_the_workers_threads(quick: Settings) -> None:
    environment = child_environment(quick)
    assert environment["OMP_NUM_THREADS"] == "1"
    assert environment["TORCHINDUCTOR_CACHE_DIR"].startswith(str(quick.data_dir))


def test_sigterm_asks_the_process_to_stop_while_it_works() -> None:
    before = signal.getsignal(signal.SIGTERM)
    try:
        with stopping_on_sigterm():
            os.kill(os.getpid(), signal.SIGTERM)
            assert is_stopping()
    finally:
        forget_stop()
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_request_to_stop_reaches_a_forked_process() -> None:
    forked = subprocess.run(script(FORKED), check=False)
    assert forked.returncode == 0
