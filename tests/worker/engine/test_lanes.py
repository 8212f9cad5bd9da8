"""Lanes: as many at once as there are, and none lost with the process that had it."""

import os
import subprocess
import sys

import pytest
from sqlalchemy import select

from tests.worker.engine.rows import add_job, add_protocol, add_recipe, add_runs, protocol_spec
from worker import jobs, runs
from worker.devices import is_anything_claimable
from worker.lanes import taken_lane
from worker.leases import new_owner
from worker.settings import Settings
from worker.store.models import Job, Run, Tokenizer
from worker.store.sessions import Sessions, read_scope, session_scope
from worker.store.states import State

# A pool process inherits the file of the locks, so this is tried with forks of a process that has no threads.
PROGRAM = """
import os, signal, time
from worker.lanes import taken_lane

def fork(seconds):
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        with taken_lane(2) as lane:
            os.write(write, str(lane).encode())
            time.sleep(seconds)
        os._exit(0)
    print(os.read(read, 10).decode())
    return pid

first = fork(60)
with taken_lane(2) as lane:
    print(lane)
    os.waitpid(fork(0), 0)
os.waitpid(fork(0), 0)
os.kill(first, signal.SIGKILL)
os.waitpid(first, 0)
os.waitpid(fork(0), 0)
"""


def test_a_lane_is_one_processs_until_it_leaves_or_dies() -> None:
    said = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, timeout=60)
    assert said.stdout.split() == ["0", "1", "None", "1", "0"]


# Every lane is another process's while this one answers a bell.
BUSY = """
import os, signal, time
from worker.lanes import taken_desk, taken_lane
from worker.tasks import work

def fork(take):
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        with take() as taken:
            os.write(write, str(taken).encode())
            time.sleep(60)
    print(os.read(read, 10).decode())
    return pid

lane = fork(lambda: taken_lane(1))
work()
desk = fork(taken_desk)
with taken_desk() as is_free:
    print(is_free)
os.kill(desk, signal.SIGKILL)
os.waitpid(desk, 0)
with taken_desk() as is_free:
    print(is_free)
os.kill(lane, signal.SIGKILL)
"""


def test_what_people_wait_for_is_done_at_the_desk_while_every_lane_trains(
    settings: Settings, sessions: Sessions
) -> None:
    training = {"vocabulary": 300, "corpora": ["nowhere"], "sample_bytes": 1000}
    with session_scope(sessions) as session:
        session.add(Tokenizer(name="bpe", job_id=add_job(session, "train_tokenizer", dict(training)).id))
        (run,) = add_runs(session, add_protocol(session), add_recipe(session))
        add_job(session, "score_run", {"run_id": run.id, "suite_id": "any"})
    environment = {**os.environ, "FORETASTE_DATA_DIR": str(settings.data_dir), "FORETASTE_LANES": "1"}
    said = subprocess.run(
        [sys.executable, "-c", BUSY], capture_output=True, text=True, check=True, timeout=120, env=environment
    )
    assert said.stdout.split() == ["0", "True", "False", "True"]
    with read_scope(sessions) as session:
        states = {job.kind: job.state for job in session.scalars(select(Job))}
        assert states == {"train_tokenizer": State.FAILED, "score_run": State.QUEUED}
        assert session.scalars(select(Run)).one().state is State.QUEUED


def test_a_lane_is_free_again_after_an_error() -> None:
    with pytest.raises(ZeroDivisionError), taken_lane(1):
        raise ZeroDivisionError
    with taken_lane(1) as lane:
        assert lane == 0


def test_lanes_share_what_waits(both_sessions: Sessions, both_settings: Settings) -> None:
    settings = both_settings.model_copy(update={"lanes": 2, "cohort_runs": 64})
    with session_scope(both_sessions) as session:
        add_runs(session, add_protocol(session), add_recipe(session), count=5)
    sizes = []
    for _ in range(4):
        with session_scope(both_sessions) as session:
            sizes.append(len(runs.claim_cohort(session, new_owner(), settings)))
    assert sizes == [3, 2, 0, 0]


def test_what_other_hosts_hold_is_no_part_of_a_share(both_sessions: Sessions, both_settings: Settings) -> None:
    settings = both_settings.model_copy(update={"lanes": 2, "cohort_runs": 64})
    with session_scope(both_sessions) as session:
        add_runs(session, add_protocol(session), add_recipe(session), count=8)
    sizes = []
    for owner in ("elsewhere:1:a", new_owner(), new_owner()):
        with session_scope(both_sessions) as session:
            sizes.append(len(runs.claim_cohort(session, owner, settings)))
    assert sizes == [4, 2, 2]


def test_work_for_another_device_is_left_alone(both_sessions: Sessions, both_settings: Settings) -> None:
    on_cpu = both_settings.model_copy(update={"devices": "cpu"})
    on_gpu = both_settings.model_copy(update={"devices": "cuda"})
    with session_scope(both_sessions) as session:
        spec = protocol_spec().model_copy(update={"device_class": "cuda"})
        (run,) = add_runs(session, add_protocol(session, spec), add_recipe(session))
        score = add_job(session, "score_run", {"run_id": run.id, "suite_id": "any"}).id
        run_id = run.id
    with session_scope(both_sessions) as session:
        assert not is_anything_claimable(session, on_cpu)
        assert jobs.claim_job(session, new_owner(), on_cpu) is None
        assert runs.claim_cohort(session, new_owner(), on_cpu) == []
    with read_scope(both_sessions) as session:
        assert is_anything_claimable(session, on_gpu)
    with session_scope(both_sessions) as session:
        job = jobs.claim_job(session, new_owner(), on_gpu)
        assert job is not None
        assert job.id == score
        assert [one.id for one in runs.claim_cohort(session, new_owner(), on_gpu)] == [run_id]
