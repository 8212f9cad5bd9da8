"""A real child of two ranks under a real supervisor: one of them is killed, then it is told to stop, and it goes on."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest

from tests.worker.engine.corpora import add_corpus
from tests.worker.engine.rows import add_protocol, add_recipe, add_runs, protocol_spec
from tests.worker.engine.test_resuming import TIMED, Bench, opened_bench
from worker.cohorts import supervisor
from worker.cohorts.launching import LaunchedRank, TooFewGpusError, command_of, launched_rank, own_gpu, without_launcher
from worker.cohorts.messages import CohortSpec, RunResult
from worker.cohorts.process import RANK_KILLED, ChildProcess, child_environment
from worker.cohorts.specs import build_cohort_spec
from worker.engine import work_until_idle
from worker.settings import Settings
from worker.store.sessions import Sessions, session_scope
from worker.store.states import State

STEPS = 400
TOLERANCE = 3e-4  # of losses and gradient norms over 400 steps: sums of gradients in another order, in fp32
PATIENCE_SECONDS = 60.0


def submit(bench: Bench, weight: float) -> str:
    """A run on the same mixture, whatever the weight of its only source."""
    with session_scope(bench.sessions) as session:
        protocol = bench.laboratory.add_protocol(session, protocol_spec(steps=STEPS))
        suite = bench.laboratory.add_suite(session, "held", version=int(weight))
        made = bench.laboratory.add_evaluation(session, protocol, suite, {"web": weight}, max_epochs=1000)
        return made.runs[0].id


def ranks() -> dict[int, psutil.Process]:
    """The ranks that are alive below this process."""
    found: dict[int, psutil.Process] = {}
    for process in psutil.Process().children(recursive=True):
        try:
            number = process.environ().get("LOCAL_RANK")
        except psutil.Error:
            continue
        if number is not None:
            found[int(number)] = process
    return found


def is_gone(process: psutil.Process) -> bool:
    """Whether or not somebody has asked for its exit status."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_two_ranks_go_on_after_a_kill_of_one_and_after_a_stop_and_come_to_what_one_process_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "PROGRESS_SECONDS", 0.05)
    ends: list[str] = []
    describe = ChildProcess.describe_end
    monkeypatch.setattr(ChildProcess, "describe_end", lambda child: ends.append(describe(child)) or ends[-1])
    with opened_bench(tmp_path, checkpoint_seconds=0.05) as bench:
        alone = submit(bench, 1.0)
        work_until_idle(bench.sessions, bench.settings)
        run_id = submit(bench, 2.0)
        plain = bench.settings
        bench.laboratory.settings = plain.model_copy(update={"ranks": 2, "threads": 2})
        stopping = threading.Event()
        worker = threading.Thread(target=work_until_idle, args=(bench.sessions, bench.settings, stopping.is_set))
        worker.start()

        wait_until(lambda: len(bench.states(run_id)) > 0)
        killed = ranks()
        os.kill(killed[1].pid, signal.SIGKILL)
        wait_until(lambda: bool(bench.run(run_id).progress.get("resumed_from_step")))
        wait_until(lambda: all(map(is_gone, killed.values())))
        (end,) = ends
        assert RANK_KILLED in end
        assert "launch_agent" not in end
        assert end.endswith("not by its worker: by hand, or by a limit of the machine")

        second = ranks()
        assert len(second) == 2
        stopping.set()
        worker.join(PATIENCE_SECONDS)
        wait_until(lambda: all(map(is_gone, second.values())))
        assert (bench.run(run_id).state, bench.run(run_id).attempt) == (State.QUEUED, 1)
        (kept,) = bench.states(run_id)
        assert list((bench.settings.data_dir / "children").iterdir()) == []

        bench.laboratory.settings = plain
        work_until_idle(bench.sessions, bench.settings)
        assert (bench.run(run_id).state, bench.run(run_id).error) == (State.FINISHED, None)
        result, expected = (RunResult.model_validate(bench.run(one).result) for one in (run_id, alone))
        assert 0 < result.resumed_from_step[0] < result.resumed_from_step[1] == int(kept.split("-")[1]) < STEPS
        (note,) = result.notes
        assert "2 processes together, the next ones on" in note
        assert_close(result, expected)


def assert_close(result: RunResult, expected: RunResult) -> None:
    curve, other = (np.array([row[1:TIMED] for row in one.curve], float) for one in (result, expected))
    np.testing.assert_allclose(curve, other, rtol=TOLERANCE, atol=1e-6)
    (score,), (one,) = (found.suites.values() for found in (result, expected))
    assert score.score == pytest.approx(one.score, rel=TOLERANCE)


RANK = """
import sys, time
from worker.cohorts import supervisor
from worker.cohorts.launching import end_with_parent
end_with_parent()
print("ready", flush=True)
time.sleep(60)
"""
LAUNCHER = """
import subprocess, sys, time
rank = subprocess.Popen([sys.executable, "-c", sys.argv[1]], start_new_session=True)
print(rank.pid, flush=True)
time.sleep(60)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="prctl is of Linux")
def test_a_rank_ends_with_what_started_it_though_it_leads_a_session_of_its_own() -> None:
    launcher = subprocess.Popen([sys.executable, "-c", LAUNCHER, RANK], stdout=subprocess.PIPE, text=True)
    assert launcher.stdout is not None
    words = {launcher.stdout.readline().strip(), launcher.stdout.readline().strip()}
    assert "ready" in words
    (pid,) = words - {"ready"}
    rank = psutil.Process(int(pid))
    assert rank.is_running()
    launcher.kill()
    launcher.communicate()
    wait_until(lambda: is_gone(rank))


def spec_of(ranks: int, path: Path) -> CohortSpec:
    return CohortSpec(
        artifact_dir=path, threads=1, compile=False, protocol=protocol_spec(), suites=(), runs=(), ranks=ranks
    )


def test_torchrun_starts_several_ranks_and_nothing_starts_one(tmp_path: Path) -> None:
    path = tmp_path / "spec.json"
    assert command_of(spec_of(1, tmp_path), path) == [sys.executable, "-m", "worker.cohorts.child", str(path)]
    several = command_of(spec_of(3, tmp_path), path)
    assert several[1:4] == ["-m", "torch.distributed.run", "--standalone"]
    assert several[several.index("--nproc-per-node") + 1] == "3"
    assert several[-3:] == ["-m", "worker.cohorts.child", str(path)]


def test_what_torchrun_says_is_read() -> None:
    assert launched_rank({}) == LaunchedRank()
    said = {"RANK": "5", "LOCAL_RANK": "1", "WORLD_SIZE": "8", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}
    assert launched_rank(said) == LaunchedRank(rank=5, local_rank=1, count=8, meeting_point="tcp://127.0.0.1:29500")


def test_torchruns_own_traceback_does_not_push_out_what_a_rank_said() -> None:
    said = "ValueError: the rank's own words"
    own = (
        'Traceback (most recent call last):\n  File "torch/distributed/run.py", line 1032, in <module>\n    main()\n'
        "torch.distributed.elastic.multiprocessing.errors.ChildFailedError: \n"
    )
    assert without_launcher(f"Traceback (most recent call last):\n  File x\n{said}\n{own}table\n") == (
        f"Traceback (most recent call last):\n  File x\n{said}\ntable\n"
    )


def test_each_rank_sees_a_gpu_of_its_own() -> None:
    second = LaunchedRank(rank=1, local_rank=1, count=2)
    assert own_gpu(second, None) == "1"
    assert own_gpu(second, "4, GPU-5f,6") == "GPU-5f"
    with pytest.raises(TooFewGpusError, match=r"rank 1 of 2 has no GPU.*'4'"):
        own_gpu(second, "4")


def test_the_ranks_of_a_worker_share_its_cores_and_a_batch_needs_a_row_for_each(
    both_settings: Settings, both_sessions: Sessions
) -> None:
    settings = both_settings.model_copy(update={"ranks": 4, "threads": 6})
    with session_scope(both_sessions) as session:
        protocol = add_protocol(session, protocol_spec())
        runs = add_runs(session, protocol, add_recipe(session))
        job_threads = child_environment(settings)["OMP_NUM_THREADS"]
        corpus = add_corpus(session, "web", Path("web.jsonl"))
        corpus.fingerprint, corpus.state = "0" * 32, State.FINISHED
        session.flush()
        spec = build_cohort_spec(session, runs, settings)
    assert (spec.ranks, spec.threads) == (2, 3)  # two sequences a batch
    environment = child_environment(settings, spec.ranks)
    assert (environment["OMP_NUM_THREADS"], job_threads) == ("3", "6")
