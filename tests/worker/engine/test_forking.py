"""Children of a fork server: as fresh as executed ones, told about as well, and independent of the server's life."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO

import psutil
import pytest

from tests.worker.engine.corpora import write_endless_corpus
from worker.cohorts import forking
from worker.cohorts.child import ORPHANED
from worker.cohorts.forking import ForkedProcess, ForkServer, fork_child, may_be_forked
from worker.cohorts.messages import ChildSpec, CorpusSpec, JobEnded, RegisterCorpusSpec, read_line
from worker.cohorts.process import ChildProcess, child_environment
from worker.settings import Settings

PATIENCE_SECONDS = 30


@pytest.fixture
def log(tmp_path: Path) -> Iterator[IO[bytes]]:
    with (tmp_path / "stderr.txt").open("wb") as errors:
        yield errors


def written(spec: ChildSpec, path: Path) -> Path:
    path.write_text(spec.model_dump_json())
    return path


@pytest.fixture
def endless(settings: Settings, tmp_path: Path) -> Path:
    """Work that never ends by itself."""
    corpus = CorpusSpec(uri=str(write_endless_corpus(tmp_path)), text_field="text", fields=())
    spec = RegisterCorpusSpec(artifact_dir=settings.artifact_dir, threads=1, compile=False, job="job_1", corpus=corpus)
    return written(spec, tmp_path / "endless.json")


@pytest.fixture
def short(settings: Settings, tmp_path: Path) -> Path:
    """Work that ends at once, with an error that names the file."""
    corpus = CorpusSpec(uri=str(tmp_path / "none.jsonl"), text_field="text", fields=())
    spec = RegisterCorpusSpec(artifact_dir=settings.artifact_dir, threads=1, compile=False, job="job_1", corpus=corpus)
    return written(spec, tmp_path / "short.json")


@contextmanager
def forked(path: Path, environment: dict[str, str], log: IO[bytes]) -> Iterator[ForkedProcess]:
    child = fork_child(path, environment, log)
    assert child.pid  # it is there
    try:
        yield child
    finally:
        if psutil.pid_exists(child.pid):
            os.kill(child.pid, signal.SIGKILL)
        child.wait(PATIENCE_SECONDS)
        for stream in (child.stdin, child.stdout):
            stream.close()


def server() -> psutil.Process:
    (found,) = [one for one in psutil.Process().children() if forking.SERVER_MODULE in one.cmdline()]
    return found


def test_a_child_does_its_work_says_so_and_ends(short: Path, settings: Settings, log: IO[bytes]) -> None:
    with forked(short, child_environment(settings), log) as child:
        end = read_line(child.stdout.readline())
        assert isinstance(end, JobEnded)
        assert "none.jsonl" in (end.error or "")
        assert child.wait(PATIENCE_SECONDS) == 0
        assert child.wait(0) == 0


def test_a_child_leads_a_group_and_has_the_environment_it_was_given(
    endless: Path, settings: Settings, log: IO[bytes]
) -> None:
    with forked(endless, child_environment(settings) | {"TORCHINDUCTOR_CACHE_DIR": "/here"}, log) as child:
        assert os.getpgid(child.pid) == os.getsid(child.pid) == child.pid
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(0.1)
        open_files = {os.readlink(f"/proc/{child.pid}/fd/{number}") for number in range(3)}
        assert log.name in open_files
        os.kill(child.pid, signal.SIGKILL)
        assert child.wait(PATIENCE_SECONDS) == -signal.SIGKILL


def test_a_child_ends_when_nobody_can_hear_it(endless: Path, settings: Settings, log: IO[bytes]) -> None:
    with forked(endless, child_environment(settings), log) as child:
        child.stdin.close()
        assert child.wait(PATIENCE_SECONDS) == ORPHANED


def test_children_come_from_one_server_that_computes_nothing(
    endless: Path, short: Path, settings: Settings, log: IO[bytes]
) -> None:
    environment = child_environment(settings)
    with forked(endless, environment, log) as first, forked(short, environment, log) as second:
        assert {child.pid for child in server().children()} >= {first.pid}
        assert server().num_threads() == 1
        assert second.wait(PATIENCE_SECONDS) == 0
        first.stdin.close()
        assert first.wait(PATIENCE_SECONDS) == ORPHANED


def test_a_server_that_hangs_or_is_killed_holds_nobody_up_takes_no_child_with_it_and_is_replaced(
    endless: Path, settings: Settings, log: IO[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = child_environment(settings)
    with forked(endless, environment, log) as child:
        monkeypatch.setattr(forking, "START_SECONDS", 0.2)
        server().suspend()
        unborn = fork_child(endless, environment, log)
        with pytest.raises(subprocess.TimeoutExpired):
            unborn.wait(0.1)
        with pytest.raises(ProcessLookupError):
            assert unborn.pid  # the server is killed for it
        assert unborn.wait(PATIENCE_SECONDS) is None
        for stream in (unborn.stdin, unborn.stdout):
            stream.close()

        assert child.wait(PATIENCE_SECONDS) is None
        assert psutil.Process(child.pid).status() != psutil.STATUS_ZOMBIE
        monkeypatch.undo()
        with forked(endless, environment, log) as other:
            assert other.pid in {one.pid for one in server().children()}
        child.stdin.close()
        deadline = time.monotonic() + PATIENCE_SECONDS
        while psutil.pid_exists(child.pid) and psutil.Process(child.pid).status() != psutil.STATUS_ZOMBIE:
            assert time.monotonic() < deadline
            time.sleep(0.02)


def test_a_server_that_cannot_begin_says_why(short: Path, settings: Settings, log: IO[bytes], tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("raise ImportError('this torch is broken')\n")
    environment = child_environment(settings) | {"PYTHONPATH": str(tmp_path)}
    broken = ForkServer(environment)
    child = ChildProcess(partial(broken.fork, short, environment), Path(log.name))
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not child.has_ended():
        assert child.next_line(0.05) is None
        assert time.monotonic() < deadline
    assert "this torch is broken" in child.describe_end()
    child.kill()
    broken.close()


def test_a_server_is_good_for_its_own_threads_while_it_lives(settings: Settings) -> None:
    environment = child_environment(settings)
    one = ForkServer(environment)
    assert one.is_good_for(environment)
    assert one.is_good_for(environment | {"TORCHINDUCTOR_CACHE_DIR": "/elsewhere"})
    assert not one.is_good_for(environment | {"OMP_NUM_THREADS": "2"})
    one.kill()
    one.close()
    assert not one.is_good_for(environment)


def test_a_child_is_forked_where_libraries_allow_it(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = ChildSpec(artifact_dir=settings.artifact_dir, threads=1, compile=False)
    assert may_be_forked(spec)
    monkeypatch.setattr("sys.platform", "darwin")
    assert not may_be_forked(spec)
