"""What Celery calls. Thin: each task opens sessions and hands over."""

from functools import lru_cache
from typing import Any

from celery import signals

from worker.app import app
from worker.devices import is_anything_claimable
from worker.engine import work_at_desk, work_until_idle
from worker.lanes import taken_desk, taken_lane
from worker.queue import FIRE_SCHEDULES, RECONCILE, WORK, Bell, ring
from worker.reconciler import reconcile
from worker.schedules import fire_due
from worker.settings import get_settings
from worker.stopping import is_stopping, request_stop
from worker.store.models import utc_now
from worker.store.sessions import Sessions, make_engine, make_sessions, read_scope, session_scope


@lru_cache(maxsize=1)
def sessions() -> Sessions:
    """This process's sessions; opened after the fork, on the first task."""
    return make_sessions(make_engine(get_settings().resolved_database_url))


@app.task(name=WORK)  # type: ignore[untyped-decorator]
def work() -> None:
    """Claims and works until nothing is left, in a lane of its own; others are called for what it leaves waiting. Where
    every lane is taken it sits down at the desk, if that is free."""
    settings = get_settings()
    with taken_lane(settings.resolved_lanes) as lane:
        if lane is None:
            _work_at_desk()
            return
        work_until_idle(sessions(), settings, has_claimed=_call_others)
    if not is_stopping():
        _call_others()  # whoever was called in the last moment found no lane free


def _work_at_desk() -> None:
    with taken_desk() as is_free:
        if is_free:
            work_at_desk(sessions(), get_settings())


def _call_others() -> None:
    """Rings if something waits for a worker like this one."""
    with read_scope(sessions()) as session:
        is_waiting = is_anything_claimable(session, get_settings())
    if is_waiting:
        ring(Bell.RUNS, expires_seconds=get_settings().reconcile_seconds)


@app.task(name=RECONCILE)  # type: ignore[untyped-decorator]
def look_for_forgotten_work() -> None:
    """The reconciler's look."""
    reconcile(sessions(), get_settings())


@app.task(name=FIRE_SCHEDULES)  # type: ignore[untyped-decorator]
def fire_schedules() -> None:
    """Fires the rules that are due, and rings for what they submitted."""
    with session_scope(sessions()) as session:
        fired = fire_due(session, get_settings(), utc_now())
    if fired:
        ring(Bell.RUNS)


@signals.worker_ready.connect  # type: ignore[untyped-decorator]
def look_around(**_: Any) -> None:
    """A worker that starts looks for work at once: somebody may have rung while none was there."""
    ring(Bell.RUNS)


@signals.worker_shutting_down.connect  # type: ignore[untyped-decorator]
def put_work_back(**_: Any) -> None:
    """The pool process gives its runs back, so that the warm shutdown does not wait for a training."""
    request_stop()
