"""A cohort's rows while its child works: what is heard becomes rows, and what is not ours is left alone."""

import threading
import time
from pathlib import Path

import pytest
from sqlalchemy import select

from tests.worker.engine.corpora import Laboratory
from tests.worker.engine.rows import add_job, add_protocol, add_recipe, add_runs, protocol_spec
from worker import jobs, runs
from worker.cohorts.messages import (
    CohortSpec,
    CorpusSpec,
    JobEnded,
    JobProgress,
    RegisterCorpusSpec,
    RunEnded,
    RunProgress,
    RunsTraining,
)
from worker.cohorts.work import CohortWork, JobWork
from worker.engine import work_until_idle
from worker.leases import claim_of, new_owner
from worker.settings import Settings
from worker.store.models import Job, Run, RunScore
from worker.store.sessions import Sessions, read_scope, session_scope
from worker.store.states import State


@pytest.fixture
def work(sessions: Sessions, settings: Settings) -> CohortWork:
    """Three claimed runs and nobody training them."""
    with session_scope(sessions) as session:
        add_runs(session, add_protocol(session), add_recipe(session), count=3)
        claims = [claim_of(run) for run in runs.claim_cohort(session, new_owner(), settings)]
    spec = CohortSpec(
        artifact_dir=settings.artifact_dir, threads=1, compile=False, protocol=protocol_spec(), suites=(), runs=()
    )
    return CohortWork(spec, claims, sessions, settings)


def rows(sessions: Sessions) -> list[Run]:
    with read_scope(sessions) as session:
        return list(session.scalars(select(Run).order_by(Run.created_at)))


def ids(sessions: Sessions) -> list[str]:
    return [run.id for run in rows(sessions)]


def states(sessions: Sessions) -> list[tuple[State, int]]:
    return [(run.state, run.attempt) for run in rows(sessions)]


def test_progress_is_stored_when_it_is_shown(work: CohortWork, sessions: Sessions) -> None:
    first = ids(sessions)[0]
    work.hear(RunProgress(run=first, step=1, steps=4, loss=5.5))
    work.hear(RunProgress(run=first, step=2, steps=4, loss=5.0))
    assert rows(sessions)[0].progress == {}
    work.show_progress()
    work.show_progress()
    shown = rows(sessions)[0].progress
    assert (shown["step"], shown["loss"], shown["phase"]) == (2, 5.0, "training")
    assert "documents" not in shown


def test_what_is_read_for_a_run_is_part_of_its_progress(work: CohortWork, sessions: Sessions) -> None:
    reading = {"corpus": "web.jsonl", "documents": 7, "bytes": 70, "of_bytes": 700, "megabytes_a_second": 0.5}
    line = RunProgress(
        run=ids(sessions)[0], phase="preparing", activity="computing columns", seconds_left=2.0, **reading
    )
    work.hear(line)
    work.show_progress()
    shown = rows(sessions)[0].progress
    assert reading.items() <= shown.items()
    assert (shown["activity"], shown["phase"], shown["seconds_left"]) == ("computing columns", "preparing", 2.0)


def test_a_run_that_fails_keeps_its_error(work: CohortWork, sessions: Sessions) -> None:
    first = ids(sessions)[0]
    work.hear(RunEnded(run=first, state="failed", error="the training loss became nan at step 3"))
    assert first not in work.pending()
    assert rows(sessions)[0].error == "the training loss became nan at step 3"
    assert states(sessions)[0] == (State.FAILED, 1)


def test_a_fault_of_the_machine_earns_another_attempt(work: CohortWork, sessions: Sessions) -> None:
    work.hear(RunEnded(run=ids(sessions)[0], state="failed", error="OSError: disk full", is_retryable=True))
    assert states(sessions)[0] == (State.QUEUED, 1)


def test_a_crash_is_blamed_on_the_run_that_was_training(work: CohortWork, sessions: Sessions) -> None:
    work.hear(RunProgress(run=ids(sessions)[1], step=1))
    work.break_off("killed by signal SIGKILL")
    assert states(sessions) == [(State.QUEUED, 0), (State.QUEUED, 1), (State.QUEUED, 0)]
    assert work.pending() == frozenset()


def test_a_crash_of_runs_that_train_at_once_is_blamed_on_those_that_had_not_ended(
    work: CohortWork, sessions: Sessions
) -> None:
    first, second, _ = ids(sessions)
    work.hear(RunsTraining(runs=(first, second)))
    work.hear(RunProgress(run=first, step=1))
    work.hear(RunProgress(run=second, step=1))
    work.hear(RunEnded(run=first, state="failed", error="diverged"))
    work.break_off("killed by signal SIGKILL")
    assert states(sessions) == [(State.FAILED, 1), (State.QUEUED, 1), (State.QUEUED, 0)]


def test_a_crash_before_any_training_is_blamed_on_all(work: CohortWork, sessions: Sessions) -> None:
    work.hear(RunProgress(run=ids(sessions)[1], phase="preparing"))
    work.break_off("killed by signal SIGKILL")
    assert states(sessions) == [(State.QUEUED, 1)] * 3


def test_a_late_result_is_refused(work: CohortWork, sessions: Sessions) -> None:
    first = ids(sessions)[0]
    with session_scope(sessions) as session:
        session.get_one(Run, first).attempt = 2
    work.hear(RunEnded(run=first, state="failed", error="late"))
    assert rows(sessions)[0].state is State.RUNNING
    assert first not in work.pending()


def test_words_about_a_run_that_is_ours_no_more_are_ignored(work: CohortWork, sessions: Sessions) -> None:
    first = ids(sessions)[0]
    with session_scope(sessions) as session:
        session.get_one(Run, first).state = State.CANCELLED
    assert work.beat() == {first}
    work.hear(RunProgress(run=first, step=1))
    work.hear(RunEnded(run=first, state="cancelled"))
    work.show_progress()
    assert states(sessions)[0] == (State.CANCELLED, 1)


def test_a_run_that_only_its_child_gave_up_is_queued_again(work: CohortWork, sessions: Sessions) -> None:
    work.hear(RunEnded(run=ids(sessions)[0], state="cancelled"))
    assert states(sessions)[0] == (State.QUEUED, 0)


@pytest.fixture
def job_work(sessions: Sessions, settings: Settings) -> JobWork:
    """A claimed job and nobody doing it."""
    with session_scope(sessions) as session:
        add_job(session)
        job = jobs.claim_job(session, new_owner(), settings)
        assert job is not None
    corpus = CorpusSpec(uri="nowhere", text_field="text", fields=())
    spec = RegisterCorpusSpec(artifact_dir=settings.artifact_dir, threads=1, compile=False, job=job.id, corpus=corpus)
    return JobWork(spec, claim_of(job), sessions, settings)


def the_job(sessions: Sessions) -> Job:
    with read_scope(sessions) as session:
        return session.scalars(select(Job)).one()


def test_a_jobs_progress_is_stored_when_it_is_shown(job_work: JobWork, sessions: Sessions) -> None:
    job_work.hear(JobProgress(job=the_job(sessions).id, progress={"documents": 7}))
    job_work.show_progress()
    assert the_job(sessions).progress == {"documents": 7}
    assert job_work.beat() == frozenset()


def test_a_job_that_was_cancelled_is_ours_no_more(job_work: JobWork, sessions: Sessions) -> None:
    with session_scope(sessions) as session:
        session.scalars(select(Job)).one().state = State.CANCELLED
    assert job_work.beat() == {the_job(sessions).id}
    assert job_work.beat() == frozenset()
    job_work.hear(JobEnded(job=the_job(sessions).id, result={}))
    job_work.show_progress()
    job_work.give_back()
    job_work.break_off("late")
    assert the_job(sessions).state is State.CANCELLED


@pytest.mark.parametrize("end", [{"error": "late"}, {"result": {}}])
def test_a_jobs_late_end_is_refused(job_work: JobWork, sessions: Sessions, end: dict[str, object]) -> None:
    with session_scope(sessions) as session:
        session.scalars(select(Job)).one().attempt = 2
    job_work.hear(JobEnded(job=the_job(sessions).id, **end))
    assert the_job(sessions).state is State.RUNNING
    assert job_work.pending() == frozenset()


def test_a_jobs_machine_fault_earns_another_attempt(job_work: JobWork, sessions: Sessions) -> None:
    job_work.hear(JobEnded(job=the_job(sessions).id, error="OSError: disk full", is_retryable=True))
    assert (the_job(sessions).state, the_job(sessions).attempt) == (State.QUEUED, 1)


def test_runs_of_a_corpus_that_is_gone_fail_with_its_fingerprint(sessions: Sessions, settings: Settings) -> None:
    with session_scope(sessions) as session:
        add_runs(session, add_protocol(session), add_recipe(session, fingerprint="f" * 32), count=2)
    assert work_until_idle(sessions, settings) == 1
    assert states(sessions) == [(State.FAILED, 1)] * 2
    assert "f" * 32 in (rows(sessions)[0].error or "")


def test_one_member_is_cancelled_while_the_others_train_on(
    sessions: Sessions, settings: Settings, tmp_path: Path
) -> None:
    settings = settings.model_copy(update={"heartbeat_seconds": 0.2})
    laboratory = Laboratory(settings=settings, sessions=sessions, folder=tmp_path)
    laboratory.register(web=100, held=4)
    with session_scope(sessions) as session:
        protocol = laboratory.add_protocol(session, protocol_spec(steps=1500))
        suite = laboratory.add_suite(session, "held")
        evaluation = laboratory.add_evaluation(session, protocol, suite, {"web": 1.0}, count=2, max_epochs=100)
        first, second = (run.id for run in evaluation.runs)
    worker = threading.Thread(target=work_until_idle, args=(sessions, settings))
    worker.start()
    while any(run.state != State.RUNNING for run in rows(sessions)):  # long before the last step on any machine
        assert worker.is_alive()
        time.sleep(0.02)
    with session_scope(sessions) as session:
        session.get_one(Run, first).state = State.CANCELLED
    worker.join()
    assert dict(zip(ids(sessions), states(sessions), strict=True)) == {
        first: (State.CANCELLED, 1),
        second: (State.FINISHED, 1),
    }
    with read_scope(sessions) as session:
        assert [score.run_id for score in session.scalars(select(RunScore))] == [second]
