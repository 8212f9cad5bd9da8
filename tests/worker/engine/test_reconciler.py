"""What nobody rang for is found."""

from datetime import timedelta

import redis
from sqlalchemy import select

from tests.worker.engine.rows import add_job, add_protocol, add_recipe, add_runs
from worker import jobs, runs
from worker.leases import new_owner
from worker.queue import Bell
from worker.reconciler import reconcile
from worker.settings import Settings
from worker.store.models import Corpus, Evaluation, Job, Run, Suite, utc_now
from worker.store.sessions import Sessions, read_scope, session_scope
from worker.store.states import State


def on_valkey(settings: Settings, valkey_url: str) -> Settings:
    return settings.model_copy(update={"broker_url": valkey_url, "max_attempts": 2})


def test_nothing_waiting_rings_no_bell(sessions: Sessions, settings: Settings, valkey_url: str) -> None:
    findings = reconcile(sessions, on_valkey(settings, valkey_url))
    assert (findings.freed_runs, findings.freed_jobs, findings.rang) == ((), (), ())


def test_work_of_silent_workers_is_freed_and_a_bell_rings(
    sessions: Sessions, settings: Settings, valkey_url: str
) -> None:
    settings = on_valkey(settings, valkey_url)
    with session_scope(sessions) as session:
        (run,) = add_runs(session, add_protocol(session), add_recipe(session))
        job = add_job(session)
        session.add(Corpus(name="web", revision=1, uri="nowhere", job_id=job.id, state=State.RUNNING))
        runs.claim_cohort(session, new_owner(), settings)
        jobs.claim_job(session, new_owner(), settings)
    later = utc_now() + timedelta(seconds=settings.lease_seconds + 1)
    findings = reconcile(sessions, settings, later)
    assert (findings.freed_runs, findings.freed_jobs) == ((run.id,), (job.id,))
    assert findings.rang == (Bell.RUNS, Bell.JOBS)
    with redis.Redis.from_url(valkey_url) as client:
        assert client.llen("celery") == 2
    with read_scope(sessions) as session:
        assert {row.state for row in session.scalars(select(Run))} == {State.QUEUED}
        assert {row.state for row in session.scalars(select(Job))} == {State.QUEUED}
        assert session.scalars(select(Corpus)).one().state is State.QUEUED


def test_work_in_good_hands_is_left_alone(sessions: Sessions, settings: Settings, valkey_url: str) -> None:
    settings = on_valkey(settings, valkey_url)
    with session_scope(sessions) as session:
        add_runs(session, add_protocol(session), add_recipe(session))
        runs.claim_cohort(session, new_owner(), settings)
    findings = reconcile(sessions, settings)
    assert (findings.freed_runs, findings.rang) == ((), ())


def test_an_evaluation_nobody_concluded_is_concluded(sessions: Sessions, settings: Settings, valkey_url: str) -> None:
    settings = on_valkey(settings, valkey_url)
    with session_scope(sessions) as session:
        protocol, recipe = add_protocol(session), add_recipe(session)
        suite = Suite(
            name="s", version=1, fingerprint="s", spec={"name": "s", "sets": [{"name": "a", "corpus": "web"}]}
        )
        session.add(suite)
        session.flush()
        rows = add_runs(session, protocol, recipe, count=2)
        for row in rows:
            row.state, row.error = State.FAILED, "diverged"
        session.add(
            Evaluation(
                id="eva_1",
                kind="proxy",
                recipe_id=recipe.id,
                protocol_id=protocol.id,
                suite_id=suite.id,
                seeds=2,
                learning_rates=[],
                request_key="r",
                runs=rows,
            )
        )
    findings = reconcile(sessions, settings)
    assert findings.concluded == ("eva_1",)
    with read_scope(sessions) as session:
        assert session.scalars(select(Evaluation)).one().state is State.FAILED
