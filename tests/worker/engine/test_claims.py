"""Runs and jobs are claimed once, kept by heartbeat, and written only by their holder. On both databases."""

import threading
from collections import Counter
from datetime import timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from tests.worker.engine.rows import add_job, add_protocol, add_recipe, add_runs, protocol_spec
from worker import jobs, leases, runs
from worker.leases import claim_of, new_owner
from worker.settings import Settings
from worker.store.models import Job, Recipe, Run, RunScore, Suite, utc_now
from worker.store.sessions import Sessions, make_engine, read_scope, session_scope
from worker.store.states import State

pytestmark = pytest.mark.usefixtures("both_settings")


def add_some(sessions: Sessions, count: int, **options: object) -> list[str]:
    with session_scope(sessions) as session:
        rows = add_runs(session, add_protocol(session), add_recipe(session), count=count, **options)  # type: ignore[arg-type]
        return [row.id for row in rows]


def claim(sessions: Sessions, settings: Settings, **options: object) -> list[Run]:
    with session_scope(sessions) as session:
        return runs.claim_cohort(session, new_owner(), settings, **options)  # type: ignore[arg-type]


def stored(sessions: Sessions, run_id: str) -> Run:
    with read_scope(sessions) as session:
        return session.get_one(Run, run_id)


def finished(**changes: object) -> runs.Outcome:
    return runs.Outcome(**{"state": State.FINISHED, "result": {"final_loss": 1.0}, **changes})  # type: ignore[arg-type]


def test_the_same_run_is_never_claimed_twice(both_sessions: Sessions, both_settings: Settings) -> None:
    ids = add_some(both_sessions, 12)
    claimed: list[str] = []
    start = threading.Barrier(6)

    def work() -> None:
        start.wait()
        while mine := claim(both_sessions, both_settings):
            claimed.extend(run.id for run in mine)

    workers = [threading.Thread(target=work) for _ in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert Counter(claimed) == Counter(ids)


def test_the_same_job_is_never_claimed_twice(both_sessions: Sessions, both_settings: Settings) -> None:
    with session_scope(both_sessions) as session:
        ids = [add_job(session).id for _ in range(8)]
    claimed: list[str] = []
    start = threading.Barrier(4)

    def claim_one() -> Job | None:
        with session_scope(both_sessions) as session:
            return jobs.claim_job(session, new_owner(), both_settings)

    def work() -> None:
        start.wait()
        while mine := claim_one():
            claimed.append(mine.id)

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert Counter(claimed) == Counter(ids)


def test_a_sweep_is_never_split(both_sessions: Sessions, both_settings: Settings) -> None:
    with session_scope(both_sessions) as session:
        protocol, recipe = add_protocol(session), add_recipe(session)
        sweeps = [{run.id for run in add_runs(session, protocol, recipe, count=2, sweep=name)} for name in "abc"]
        large = {run.id for run in add_runs(session, protocol, recipe, count=5, sweep="large")}
    claimed: list[set[str]] = []
    start = threading.Barrier(3)

    def work() -> None:
        start.wait()
        while mine := claim(both_sessions, both_settings):
            claimed.append({run.id for run in mine})

    workers = [threading.Thread(target=work) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sorted(map(sorted, claimed)) == sorted(map(sorted, [*sweeps, large]))


def test_a_cohort_has_one_architecture_and_the_oldest_runs(both_sessions: Sessions, both_settings: Settings) -> None:
    with session_scope(both_sessions) as session:
        recipe = add_recipe(session)
        first = add_runs(session, add_protocol(session), recipe, count=1)
        other = add_runs(session, add_protocol(session, protocol_spec(width=32)), recipe, count=2)
        again = add_runs(session, add_protocol(session), recipe, count=4)
    cohorts = [claim(both_sessions, both_settings) for _ in range(4)]
    assert [[run.id for run in cohort] for cohort in cohorts] == [
        [run.id for run in [*first, *again[:2]]],
        [run.id for run in other],
        [run.id for run in again[2:]],
        [],
    ]


def test_an_expired_lease_is_claimed_again_and_the_old_result_refused(
    both_sessions: Sessions, both_settings: Settings
) -> None:
    (run_id,) = add_some(both_sessions, 1)
    (old,) = claim(both_sessions, both_settings)
    later = utc_now() + timedelta(seconds=both_settings.lease_seconds + 1)
    (new,) = claim(both_sessions, both_settings, now=later)
    assert (new.id, new.attempt) == (run_id, 2)
    with session_scope(both_sessions) as session:
        assert not runs.finish_run(session, claim_of(old), finished())
        assert not runs.retry_run(session, claim_of(old), both_settings, "late")
        assert runs.heartbeat(session, [claim_of(old)], both_settings) == set()
        assert runs.release(session, [claim_of(old)], both_settings) == set()
        assert not leases.record_progress(session, Run, claim_of(old), {"step": 1})
    assert stored(both_sessions, run_id).state is State.RUNNING
    with session_scope(both_sessions) as session:
        assert runs.finish_run(session, claim_of(new), finished())
    assert stored(both_sessions, run_id).result == {"final_loss": 1.0}


def test_a_heartbeat_keeps_the_lease(both_sessions: Sessions, both_settings: Settings) -> None:
    add_some(both_sessions, 1)
    (run,) = claim(both_sessions, both_settings)
    later = utc_now() + timedelta(seconds=both_settings.lease_seconds - 1)
    with session_scope(both_sessions) as session:
        assert runs.heartbeat(session, [claim_of(run)], both_settings, later) == {run.id}
    assert claim(both_sessions, both_settings, now=later + timedelta(seconds=2)) == []


def test_a_cancelled_run_is_no_longer_held(both_sessions: Sessions, both_settings: Settings) -> None:
    add_some(both_sessions, 2)
    gone, kept = claim(both_sessions, both_settings)
    with session_scope(both_sessions) as session:
        session.get_one(Run, gone.id).state = State.CANCELLED
    with session_scope(both_sessions) as session:
        held = runs.heartbeat(session, [claim_of(gone), claim_of(kept)], both_settings)
        assert not runs.finish_run(session, claim_of(gone), finished())
    assert held == {kept.id}
    assert stored(both_sessions, gone.id).state is State.CANCELLED


def test_a_released_run_is_queued_and_its_attempt_not_counted(both_sessions: Sessions, both_settings: Settings) -> None:
    (run_id,) = add_some(both_sessions, 1)
    for _ in range(both_settings.max_attempts + 1):
        (run,) = claim(both_sessions, both_settings)
        with session_scope(both_sessions) as session:
            assert runs.release(session, [claim_of(run)], both_settings) == {run_id}
    run = stored(both_sessions, run_id)
    assert (run.state, run.attempt, run.lease_owner, run.lease_expires_at) == (State.QUEUED, 0, None, None)


def test_a_release_does_not_revive_the_claim_before_it(both_sessions: Sessions, both_settings: Settings) -> None:
    add_some(both_sessions, 1)
    (old,) = claim(both_sessions, both_settings)
    with session_scope(both_sessions) as session:
        runs.release(session, [claim_of(old)], both_settings)
    (new,) = claim(both_sessions, both_settings)
    assert new.attempt == old.attempt
    with session_scope(both_sessions) as session:
        assert not runs.finish_run(session, claim_of(old), finished())


def test_the_last_broken_attempt_fails_the_run_with_its_error(both_sessions: Sessions, both_settings: Settings) -> None:
    (run_id,) = add_some(both_sessions, 1)
    seen = []
    for attempt in range(both_settings.max_attempts):
        (run,) = claim(both_sessions, both_settings)
        with session_scope(both_sessions) as session:
            assert runs.retry_run(session, claim_of(run), both_settings, f"broken {attempt}")
        run = stored(both_sessions, run_id)
        seen.append((run.state, run.error))
    assert seen == [(State.QUEUED, "broken 0"), (State.FAILED, "broken 1")]
    assert claim(both_sessions, both_settings) == []


def test_scores_are_stored_with_the_run_and_never_overwritten(both_sessions: Sessions, both_settings: Settings) -> None:
    with session_scope(both_sessions) as session:
        session.add(Suite(id="sui_1", name="s", version=1, fingerprint="s", spec={}))
    (run_id,) = add_some(both_sessions, 1)
    (run,) = claim(both_sessions, both_settings)
    score = runs.Score(suite_id="sui_1", score=2.0, sets={"a": 2.0}, gates=[], artifact="a.npz")
    with session_scope(both_sessions) as session:
        assert runs.finish_run(session, claim_of(run), finished(checkpoint="c", scores=[score]))
    with session_scope(both_sessions) as session:
        runs.record_score(session, run_id, runs.Score(suite_id="sui_1", score=9.0, sets={}, gates=[], artifact="b"))
    with read_scope(both_sessions) as session:
        (kept,) = session.scalars(select(RunScore))
        assert (kept.score, kept.artifact) == (2.0, "a.npz")


def test_expired_leases_are_freed_and_the_last_attempt_fails(both_sessions: Sessions, both_settings: Settings) -> None:
    (run_id,) = add_some(both_sessions, 1)
    now = utc_now()
    states = []
    for _ in range(both_settings.max_attempts):
        claim(both_sessions, both_settings, now=now)
        now += timedelta(seconds=both_settings.lease_seconds + 1)
        with session_scope(both_sessions) as session:
            assert [row.id for row in leases.free_expired(session, Run, both_settings, now)] == [run_id]
        states.append(stored(both_sessions, run_id).state)
    assert states == [State.QUEUED, State.FAILED]
    assert "fell silent" in (stored(both_sessions, run_id).error or "")


def claimed_job(session: Session, settings: Settings) -> Job:
    job = jobs.claim_job(session, new_owner(), settings)
    assert job is not None
    return job


def test_a_job_ends_once(both_sessions: Sessions, both_settings: Settings) -> None:
    with session_scope(both_sessions) as session:
        add_job(session)
        claim = claim_of(claimed_job(session, both_settings))
        assert jobs.heartbeat_jobs(session, [claim], both_settings) == {claim.id}
        assert jobs.release_job(session, claim, both_settings)
        claim = claim_of(claimed_job(session, both_settings))
        assert jobs.retry_job(session, claim, both_settings, "disk full")
        claim = claim_of(claimed_job(session, both_settings))
        assert jobs.finish_job(session, claim, {"documents": 3})
        assert not jobs.finish_job(session, claim, {"documents": 4})
        assert not jobs.fail_job(session, claim, "late")
        assert not jobs.retry_job(session, claim, both_settings, "late")
        assert not jobs.release_job(session, claim, both_settings)
        add_job(session)
        claim = claim_of(claimed_job(session, both_settings))
        assert jobs.fail_job(session, claim, "no such file")
    with read_scope(both_sessions) as session:
        done, failed = session.scalars(select(Job).order_by(Job.created_at))
        assert (done.state, done.result, done.error) == (State.FINISHED, {"documents": 3}, None)
        assert (failed.state, failed.error) == (State.FAILED, "no such file")


def test_a_postgresql_address_means_the_installed_driver() -> None:
    engine = make_engine("postgresql://somebody@127.0.0.1/nothing")
    assert engine.url.drivername == "postgresql+psycopg"
    engine.dispose()


def test_readers_do_not_wait_for_a_writer(both_sessions: Sessions) -> None:
    with session_scope(both_sessions) as writer:
        add_recipe(writer)
        with read_scope(both_sessions) as reader:
            assert list(reader.scalars(select(Run))) == []


def test_a_transaction_that_raises_leaves_nothing_behind(both_sessions: Sessions) -> None:
    def add_half() -> None:
        with session_scope(both_sessions) as session:
            add_recipe(session)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        add_half()
    with read_scope(both_sessions) as session:
        assert list(session.scalars(select(Recipe))) == []
