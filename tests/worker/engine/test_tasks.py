"""The Celery application and its thin tasks."""

from pathlib import Path

import pytest
import redis
from sqlalchemy import select

from tests.worker.engine.rows import BORN, add_job, add_protocol
from worker import tasks
from worker.app import app, make_app
from worker.queue import FIRE_SCHEDULES, RECONCILE, WORK
from worker.settings import Settings, get_settings
from worker.stopping import forget_stop, is_stopping
from worker.store.models import Job, Schedule, ScheduleSlot, Suite, Tokenizer
from worker.store.sessions import Sessions, read_scope, session_scope
from worker.store.states import State


@pytest.fixture
def environment(settings: Settings, valkey_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process's own settings are those of this test."""
    monkeypatch.setenv("FORETASTE_DATA_DIR", str(settings.data_dir))
    monkeypatch.setenv("FORETASTE_BROKER_URL", valkey_url)
    get_settings.cache_clear()
    tasks.sessions.cache_clear()


def bells(valkey_url: str) -> int:
    with redis.Redis.from_url(valkey_url) as client:
        return int(client.llen("celery"))


def test_messages_are_json_acknowledged_early_and_taken_one_by_one(tmp_path: Path) -> None:
    conf = make_app(Settings(_env_file=None, data_dir=tmp_path)).conf
    assert conf.accept_content == ["json"]
    assert conf.task_ignore_result
    assert not conf.task_acks_late
    assert conf.worker_prefetch_multiplier == 1
    assert conf.worker_soft_shutdown_timeout > 0


def test_beat_asks_for_the_reconciler_and_the_schedules(tmp_path: Path) -> None:
    rules = make_app(Settings(_env_file=None, data_dir=tmp_path, reconcile_seconds=7)).conf.beat_schedule
    assert {rule["task"] for rule in rules.values()} == {RECONCILE, FIRE_SCHEDULES}
    assert rules[RECONCILE]["schedule"] == 7


def test_every_task_name_is_a_task() -> None:
    assert {WORK, RECONCILE, FIRE_SCHEDULES} <= set(app.tasks)


@pytest.mark.usefixtures("environment")
def test_the_work_task_does_what_waits(sessions: Sessions) -> None:
    payload: dict[str, object] = {"vocabulary": 300, "corpora": ["nowhere"], "sample_bytes": 1000}
    with session_scope(sessions) as session:
        job = add_job(session, "train_tokenizer", payload)
        session.add(Tokenizer(name="bpe", job_id=job.id))
    tasks.work()
    with read_scope(sessions) as session:
        assert session.scalars(select(Job)).one().state is State.FAILED


@pytest.mark.usefixtures("environment")
def test_the_reconciler_task_rings_for_what_waits(sessions: Sessions, valkey_url: str) -> None:
    with session_scope(sessions) as session:
        add_job(session)
    tasks.look_for_forgotten_work()
    assert bells(valkey_url) == 1


@pytest.mark.usefixtures("environment")
def test_a_schedule_that_is_due_fires_once_and_rings(sessions: Sessions, valkey_url: str) -> None:
    tasks.fire_schedules()
    assert bells(valkey_url) == 0
    with session_scope(sessions) as session:
        protocol = add_protocol(session)
        session.add(Suite(name="s", version=1, fingerprint="s", spec={}))
        session.add(
            Schedule(name="often", cron="* * * * *", protocol=protocol.name, suite="s", seeds=1, created_at=BORN)
        )
    tasks.fire_schedules()
    assert bells(valkey_url) == 1
    with read_scope(sessions) as session:
        assert len(list(session.scalars(select(ScheduleSlot)))) == 1


@pytest.mark.usefixtures("environment")
def test_a_worker_that_starts_looks_around(valkey_url: str) -> None:
    tasks.look_around()
    assert bells(valkey_url) == 1


def test_a_shutdown_asks_for_the_work_back() -> None:
    try:
        tasks.put_work_back()
        assert is_stopping()
    finally:
        forget_stop()
