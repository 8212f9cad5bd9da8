"""Tokenising in parts: any worker makes any span once, the last one wakes the job that joins them, and a kill, a fault
or a cancellation in the midst of it is survived."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from sqlalchemy import select

from proxy.data.corpora import CorpusLocation
from proxy.data.tokenizers import Tokenizer
from proxy.data.tokens import tokenise_corpus, verify_tokens
from proxy.data.tokens.spans import SHARD_BYTES
from proxy.errors import ConflictError, NotFoundError
from tests.worker.engine.corpora import Laboratory, add_corpus, write_corpus
from tests.worker.engine.rows import add_job
from tests.worker.engine.test_life import environment
from worker import jobs, leases, parts
from worker.artifacts import tokenizer_path, tokens_folder
from worker.cohorts.endings import settle_failed_job
from worker.corpora import find_corpus
from worker.engine import work_until_idle
from worker.jobs import JobKind
from worker.leases import claim_of, new_owner
from worker.reconciler import reconcile
from worker.settings import Settings
from worker.store.models import Job, utc_now
from worker.store.sessions import Sessions, read_scope, session_scope
from worker.store.states import State
from worker.tokenisings import tokenise

WORK = """
from worker.engine import work_until_idle
from worker.settings import get_settings
from worker.store.sessions import make_engine, make_sessions
settings = get_settings()
print("ready", flush=True)
work_until_idle(make_sessions(make_engine(settings.resolved_database_url)), settings)
"""


@pytest.fixture
def small(settings: Settings) -> Settings:
    """Shards of a few documents, and leases that run out while a test can wait for it."""
    changes = {
        "shard_bytes": 2_000,
        "lease_seconds": 2.0,
        "heartbeat_seconds": 0.3,
        "broker_url": "redis://127.0.0.1:1",
    }
    return settings.model_copy(update=changes)


@pytest.fixture
def laboratory(small: Settings, sessions: Sessions, tmp_path: Path) -> Laboratory:
    """A corpus of several spans."""
    made = Laboratory(settings=small, sessions=sessions, folder=tmp_path)
    made.register(web=60)
    return made


def queue(laboratory: Laboratory, corpus: str = "web") -> str:
    with session_scope(laboratory.sessions) as session:
        return tokenise(session, laboratory.settings, corpus, "bpe")[0].id


def job_of(laboratory: Laboratory, job_id: str) -> Job:
    with read_scope(laboratory.sessions) as session:
        return session.get_one(Job, job_id)


def parts_of(laboratory: Laboratory, job_id: str) -> list[Job]:
    with read_scope(laboratory.sessions) as session:
        return list(parts.parts_of(session, job_id))


def plan(laboratory: Laboratory, corpus: str = "web") -> str:
    """Queues the job and lets it plan its spans, and no more."""
    job_id = queue(laboratory, corpus)
    work_until_idle(laboratory.sessions, laboratory.settings, is_told_to_stop=after_jobs(1))
    assert (job_of(laboratory, job_id).state, job_of(laboratory, job_id).lease_owner) == (State.RUNNING, None)
    return job_id


def after_jobs(count: int) -> Callable[[], bool]:
    """Says stop when that many jobs were claimed and ended: asked between jobs by the main thread alone."""
    claimed = 0

    def is_told() -> bool:
        nonlocal claimed
        caller = sys._getframe(1).f_code.co_name
        if caller == "work_until_idle":
            claimed += 1
            return claimed > count
        return False

    return is_told


def files_of(folder: Path) -> dict[str, bytes]:
    """What is read of a store; the manifest names where the table of documents lies."""
    return {
        path.name: path.read_bytes()
        for path in folder.rglob("*")
        if path.suffix in (".tokens", ".npy") and "table" not in path.parts and "documents" not in path.parts
    }


def test_the_store_of_many_jobs_is_that_of_one_process(laboratory: Laboratory, tmp_path: Path) -> None:
    job_id = queue(laboratory)
    work_until_idle(laboratory.sessions, laboratory.settings)
    done = parts_of(laboratory, job_id)
    assert len(done) > 2
    assert {(part.kind, part.state, part.attempt) for part in done} == {("tokenise_span", State.FINISHED, 1)}
    job = job_of(laboratory, job_id)
    assert (job.state, job.error, (job.result or {})["documents"]) == (State.FINISHED, None, 60)
    assert files_of(tokens_folder(laboratory.settings)) == in_one_process(laboratory, tmp_path)
    assert queue(laboratory) == job_id


def in_one_process(laboratory: Laboratory, folder: Path) -> dict[str, bytes]:
    tokenise_corpus(
        CorpusLocation(uri=str(laboratory.folder / "web.jsonl"), fields=("page",)),
        laboratory.fingerprints["web"],
        Tokenizer.from_json(tokenizer_path(laboratory.settings, laboratory.tokenizer).read_text()),
        folder / "alone",
        shard_bytes=laboratory.settings.shard_bytes,
    )
    return files_of(folder / "alone")


def test_a_corpus_of_one_span_stays_one_job(laboratory: Laboratory) -> None:
    laboratory.settings = laboratory.settings.model_copy(update={"shard_bytes": SHARD_BYTES})
    assert Settings(_env_file=None).shard_bytes == SHARD_BYTES
    job_id = queue(laboratory)
    assert work_until_idle(laboratory.sessions, laboratory.settings) == 1
    assert job_of(laboratory, job_id).state is State.FINISHED
    assert parts_of(laboratory, job_id) == []


def test_progress_is_that_of_all_parts(laboratory: Laboratory) -> None:
    job_id = plan(laboratory)
    work_until_idle(laboratory.sessions, laboratory.settings, is_told_to_stop=after_jobs(2))
    with read_scope(laboratory.sessions) as session:
        job = session.get_one(Job, job_id)
        shown = parts.summed_progress(session, job, 6_000)
        finished = [part for part in parts.parts_of(session, job_id) if part.state == State.FINISHED]
    assert shown["parts_done"] == len(finished) == 2
    assert shown["documents"] == sum((part.result or {})["documents"] for part in finished) > 0
    assert 0 < shown["bytes"] < shown["of_bytes"]


def test_a_part_that_fails_fails_the_job_and_ends_the_others(laboratory: Laboratory) -> None:
    job_id = plan(laboratory)
    (laboratory.folder / "web.jsonl").unlink()
    work_until_idle(laboratory.sessions, laboratory.settings)
    job = job_of(laboratory, job_id)
    assert (job.state, "no file is there" in str(job.error)) == (State.FAILED, True)
    states = [part.state for part in parts_of(laboratory, job_id)]
    assert states.count(State.FAILED) == 1
    assert states.count(State.CANCELLED) == len(states) - 1


def test_a_corpus_that_changed_meanwhile_is_found_out_when_it_is_joined(laboratory: Laboratory) -> None:
    job_id = plan(laboratory)
    path = laboratory.folder / "web.jsonl"
    path.write_text(path.read_text().replace("claims", "claimS"))
    work_until_idle(laboratory.sessions, laboratory.settings)
    job = job_of(laboratory, job_id)
    assert (job.state, "no longer holds what was registered" in str(job.error)) == (State.FAILED, True)
    assert files_of(tokens_folder(laboratory.settings)) == {}


def test_cancelled_parts_leave_their_shards_and_the_next_job_uses_them(laboratory: Laboratory) -> None:
    job_id = plan(laboratory)
    work_until_idle(laboratory.sessions, laboratory.settings, is_told_to_stop=after_jobs(1))
    made = {path: path.stat().st_mtime_ns for path in tokens_folder(laboratory.settings).rglob("*.tokens")}
    assert made
    with session_scope(laboratory.sessions) as session:
        assert parts.cancel_job(session, job_id).state is State.CANCELLED
        part = parts.parts_of(session, job_id)[0]
        with pytest.raises(ConflictError, match=f"a part of job {job_id}"):
            parts.cancel_job(session, part.id)
        with pytest.raises(NotFoundError):
            parts.cancel_job(session, "job_none")
    assert work_until_idle(laboratory.sessions, laboratory.settings) == 0
    again = queue(laboratory)
    assert again != job_id
    work_until_idle(laboratory.sessions, laboratory.settings)
    assert job_of(laboratory, again).state is State.FINISHED
    assert {path: path.stat().st_mtime_ns for path in made} == made


def test_a_job_that_nobody_woke_is_woken_by_the_reconciler(laboratory: Laboratory) -> None:
    job_id = plan(laboratory)
    while parts_left(laboratory, job_id) > 0:
        work_until_idle(laboratory.sessions, laboratory.settings, is_told_to_stop=after_jobs(1))
    with session_scope(laboratory.sessions) as session:  # as if the last worker had been killed before it woke the job
        session.get_one(Job, job_id).state = State.RUNNING
    assert work_until_idle(laboratory.sessions, laboratory.settings) == 0
    reconcile(laboratory.sessions, laboratory.settings)
    assert work_until_idle(laboratory.sessions, laboratory.settings) == 1
    assert job_of(laboratory, job_id).state is State.FINISHED


def parts_left(laboratory: Laboratory, job_id: str) -> int:
    return sum(not part.state.is_final for part in parts_of(laboratory, job_id))


def test_the_last_of_two_parts_that_end_at_once_wakes_the_job(both_sessions: Sessions, both_settings: Settings) -> None:
    with session_scope(both_sessions) as session:
        add_job(session, "tokenise_corpus", {"corpus": "c", "tokenizer": "t"})
        job = jobs.claim_job(session, new_owner(), both_settings)
        assert job is not None
        assert parts.fan_out(session, claim_of(job), JobKind.TOKENISE_SPAN, [{"span": {"index": i}} for i in range(2)])
        job_id = job.id
    claims = []
    for _ in range(2):
        with session_scope(both_sessions) as session:
            part = jobs.claim_job(session, new_owner(), both_settings)
            assert part is not None
            assert part.parent_id == job_id
            claims.append(claim_of(part))
    with session_scope(both_sessions) as session:
        assert jobs.claim_job(session, new_owner(), both_settings) is None

    def end(index: int) -> None:
        with session_scope(both_sessions) as session:
            assert jobs.finish_job(session, claims[index], {"shards": []})
            session.flush()
            time.sleep(0.3)  # both have ended, and neither has said so, where the database lets them
            parts.settle_part(session, session.get_one(Job, claims[index].id))

    threads = [threading.Thread(target=end, args=(index,)) for index in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with session_scope(both_sessions) as session:
        woken = jobs.claim_job(session, new_owner(), both_settings)
        assert woken is not None
        assert (woken.id, woken.attempt) == (job_id, 1)


def test_a_part_that_was_given_up_fails_the_job(both_sessions: Sessions, both_settings: Settings) -> None:
    with session_scope(both_sessions) as session:
        add_job(session, "tokenise_corpus", {"corpus": "c", "tokenizer": "t"})
        job = jobs.claim_job(session, new_owner(), both_settings)
        assert job is not None
        parts.fan_out(session, claim_of(job), JobKind.TOKENISE_SPAN, [{"span": {"index": i}} for i in range(2)])
        job_id = job.id
    for _ in range(both_settings.max_attempts):
        with session_scope(both_sessions) as session:
            part = session.scalars(select(Job).where(Job.parent_id == job_id).order_by(Job.created_at, Job.id)).first()
            assert part is not None
            leases.take(part, new_owner(), both_settings, utc_now())
            session.flush()
            jobs.retry_job(session, claim_of(part), both_settings, "disk full")
            settle_failed_job(session, part.id)
    with read_scope(both_sessions) as session:
        found = session.get_one(Job, job_id)
        assert (found.state, found.error) == (State.FAILED, "disk full")


@pytest.mark.processes
def test_two_workers_share_the_spans_and_one_is_killed(laboratory: Laboratory, tmp_path: Path) -> None:
    path = write_corpus(laboratory.folder / "big.jsonl", 1500, 7)
    with session_scope(laboratory.sessions) as session:
        add_corpus(session, "big", path, ("page",))
    work_until_idle(laboratory.sessions, laboratory.settings)
    laboratory.settings = laboratory.settings.model_copy(update={"shard_bytes": 25_000})
    job_id = plan(laboratory, "big")
    command = [sys.executable, "-c", WORK]
    spoken = environment(laboratory.settings) | {"PYTHONPATH": os.getcwd()}
    workers = [subprocess.Popen(command, env=spoken, stdout=subprocess.PIPE) for _ in range(2)]
    try:
        wait_for(lambda: sum(part.state == State.RUNNING for part in parts_of(laboratory, job_id)) == 2)
        family = psutil.Process(workers[0].pid).children(recursive=True)
        workers[0].kill()
        assert workers[1].wait(60) == 0
        wait_for(lambda: not any(child.is_running() and child.status() != "zombie" for child in family))
        wait_for(lambda: bool(reconciled(laboratory)) or job_of(laboratory, job_id).state.is_final)
        work_until_idle(laboratory.sessions, laboratory.settings)
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate()
    job, done = job_of(laboratory, job_id), parts_of(laboratory, job_id)
    assert (job.state, job.error, (job.result or {})["documents"]) == (State.FINISHED, None, 1500)
    assert {part.state for part in done} == {State.FINISHED}
    assert sorted(part.attempt for part in done)[-2:] == [1, 2]  # the killed one's span was made again, and no other
    with read_scope(laboratory.sessions) as session:
        content = str(find_corpus(session, "big").fingerprint)
    assert verify_tokens(tokens_folder(laboratory.settings), content, laboratory.tokenizer) == []
    laboratory.fingerprints["web"] = content
    (laboratory.folder / "web.jsonl").write_bytes(path.read_bytes())
    alone = tmp_path / "alone" / content / laboratory.tokenizer
    in_one_process(laboratory, tmp_path)
    place = tokens_folder(laboratory.settings) / content / laboratory.tokenizer
    assert files_of(place) == files_of(alone)


def reconciled(laboratory: Laboratory) -> tuple[str, ...]:
    return reconcile(laboratory.sessions, laboratory.settings).freed_jobs


def wait_for(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 40
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.05)
