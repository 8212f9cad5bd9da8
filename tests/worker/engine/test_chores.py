"""Jobs done by real children: a corpus is read, a tokenizer learnt, and what cannot be read says why."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from sqlalchemy import select

from proxy.data.documents import DocumentTable
from tests.worker.engine.corpora import Laboratory, add_corpus, write_corpus, write_endless_corpus
from tests.worker.engine.rows import add_job
from worker.artifacts import documents_path, tokenizer_path
from worker.cohorts.child import ORPHANED
from worker.cohorts.messages import CorpusSpec, RegisterCorpusSpec
from worker.engine import work_until_idle
from worker.settings import Settings
from worker.store.models import Corpus, Job, Tokenizer
from worker.store.sessions import Sessions, read_scope, session_scope
from worker.store.states import State


def the_corpus(sessions: Sessions) -> Corpus:
    with read_scope(sessions) as session:
        return session.scalars(select(Corpus)).one()


def register(sessions: Sessions, settings: Settings, path: Path) -> Corpus:
    with session_scope(sessions) as session:
        add_corpus(session, "web", path)
    assert work_until_idle(sessions, settings) == 1
    return the_corpus(sessions)


def test_a_corpus_and_a_tokenizer_become_artifacts(sessions: Sessions, settings: Settings, tmp_path: Path) -> None:
    laboratory = Laboratory(settings=settings, sessions=sessions, folder=tmp_path)
    laboratory.register(web=40)
    corpus = the_corpus(sessions)
    assert (corpus.state, corpus.documents, corpus.error) == (State.FINISHED, 40, None)
    table = DocumentTable.load(documents_path(settings, laboratory.fingerprints["web"]))
    assert table.text_bytes.sum() == corpus.text_bytes
    assert tokenizer_path(settings, laboratory.tokenizer).exists()
    with read_scope(sessions) as session:
        tokenizer = session.scalars(select(Tokenizer)).one()
        assert (tokenizer.state, tokenizer.vocabulary) == (State.FINISHED, 300)
        assert {job.state for job in session.scalars(select(Job))} == {State.FINISHED}


def test_a_corpus_that_cannot_be_read_fails_with_the_reason(
    sessions: Sessions, settings: Settings, tmp_path: Path
) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text('{"text": "fine"}\n{"text": 3}\n')
    corpus = register(sessions, settings, path)
    assert corpus.state is State.FAILED
    assert "bad.jsonl:2" in (corpus.error or "")
    assert not (settings.artifact_dir / "documents").exists()


def test_a_corpus_moved_out_of_the_roots_after_it_was_asked_for_is_not_read(
    sessions: Sessions, settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / "inside").mkdir()
    outside = write_corpus(tmp_path / "web.jsonl", 3, 0)
    (tmp_path / "inside" / "web.jsonl").symlink_to(outside)
    narrow = settings.model_copy(update={"corpus_roots": (str(tmp_path / "inside"),)})
    corpus = register(sessions, narrow, tmp_path / "inside" / "web.jsonl")
    assert corpus.state is State.FAILED
    assert "lies outside of what may be read" in (corpus.error or "")


def test_a_job_whose_children_die_fails_after_its_attempts(
    sessions: Sessions, settings: Settings, tmp_path: Path
) -> None:
    with session_scope(sessions) as session:
        corpus = add_corpus(session, "web", write_corpus(tmp_path / "web.jsonl", 3, 0))
        corpus.text_field = "text"
    blocked = settings.artifact_dir / "documents"
    blocked.parent.mkdir(parents=True)
    blocked.write_text("a file where a folder should be")
    assert work_until_idle(sessions, settings) == settings.max_attempts
    assert the_corpus(sessions).state is State.FAILED
    assert "Error" in (the_corpus(sessions).error or "")


def test_a_job_that_speaks_of_nothing_fails_at_once(sessions: Sessions, settings: Settings) -> None:
    payload: dict[str, object] = {"vocabulary": 300, "corpora": ["nowhere"], "sample_bytes": 1000}
    with session_scope(sessions) as session:
        job = add_job(session, "train_tokenizer", payload)
        session.add(Tokenizer(name="bpe", job_id=job.id))
    assert work_until_idle(sessions, settings) == 1
    with read_scope(sessions) as session:
        tokenizer = session.scalars(select(Tokenizer)).one()
        assert tokenizer.state is State.FAILED
        assert "nowhere" in (tokenizer.error or "")


def test_a_worker_told_to_stop_puts_its_job_back(sessions: Sessions, settings: Settings, tmp_path: Path) -> None:
    with session_scope(sessions) as session:
        add_corpus(session, "web", write_endless_corpus(tmp_path))
    stop_at = time.monotonic() + 1
    work_until_idle(sessions, settings, lambda: time.monotonic() > stop_at)
    with read_scope(sessions) as session:
        job = session.scalars(select(Job)).one()
        assert (job.state, job.attempt) == (State.QUEUED, 0)


@pytest.fixture
def endless_spec(settings: Settings, tmp_path: Path) -> Path:
    """A specification whose job never ends by itself."""
    corpus = CorpusSpec(uri=str(write_endless_corpus(tmp_path)), text_field="text", fields=())
    spec = RegisterCorpusSpec(artifact_dir=settings.artifact_dir, threads=1, compile=False, job="job_1", corpus=corpus)
    path = tmp_path / "spec.json"
    path.write_text(spec.model_dump_json())
    return path


def test_a_child_exits_when_its_input_closes(endless_spec: Path) -> None:
    command = [sys.executable, "-m", "worker.cohorts.child", str(endless_spec)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin is not None
        child.stdin.write(b"cancel nothing\n")
        child.stdin.flush()
        time.sleep(0.5)
        assert child.poll() is None
        child.stdin.close()
        assert child.wait(30) == ORPHANED  # measuring coverage slows its end down


SUPERVISOR = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-m", "worker.cohorts.child", sys.argv[1]],
                         stdin=subprocess.PIPE, start_new_session=True)
print(child.pid, flush=True)
time.sleep(60)
"""


def test_a_child_does_not_survive_a_killed_supervisor(endless_spec: Path) -> None:
    command = [sys.executable, "-c", SUPERVISOR, str(endless_spec)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as supervisor:
        assert supervisor.stdout is not None
        child = psutil.Process(int(supervisor.stdout.readline()))
        time.sleep(0.5)
        assert child.is_running()
        supervisor.send_signal(signal.SIGKILL)
    _, alive = psutil.wait_procs([child], timeout=30)
    assert [process for process in alive if process.status() != psutil.STATUS_ZOMBIE] == []
