"""The Celery application: `celery -A worker.app worker --pool=prefork` and `celery -A worker.app beat`.

Early acknowledgement and no results: a message is only a bell, and our tables hold the truth, so Redis's visibility
timeout never delivers a long run twice. The pool has a process a lane, one at the desk (lanes.py) and one for
everything else.
"""

from celery import Celery

from worker.queue import FIRE_SCHEDULES, RECONCILE
from worker.settings import Settings, get_settings

FIRE_SECONDS = 30.0  # cron rules have a resolution of one minute
SOFT_SHUTDOWN_SECONDS = 10.0
BESIDE_LANES = 2  # processes of the pool: the desk's, and one for the reconciler and the schedules


def make_app(settings: Settings) -> Celery:
    """An application on the settings' broker, with the beat rules of the reconciler and the schedules."""
    app = Celery("foretaste", broker=settings.broker_url, include=["worker.tasks"])
    app.conf.update(
        task_serializer="json",
        accept_content=["json"],
        task_ignore_result=True,
        task_acks_late=False,
        worker_prefetch_multiplier=1,
        worker_concurrency=settings.resolved_lanes + BESIDE_LANES,
        worker_soft_shutdown_timeout=SOFT_SHUTDOWN_SECONDS,
        worker_enable_soft_shutdown_on_idle=False,
        worker_hijack_root_logger=False,
        broker_connection_retry_on_startup=True,
        timezone="UTC",
        beat_schedule_filename=str(settings.data_dir.resolve() / "celerybeat-schedule"),
        beat_schedule=_beat_rules(settings),
    )
    return app


def _beat_rules(settings: Settings) -> dict[str, dict[str, object]]:
    """Each message expires when the next is due: a busy worker finds one waiting, not a hundred."""
    rules = {RECONCILE: settings.reconcile_seconds, FIRE_SCHEDULES: FIRE_SECONDS}
    return {
        name: {"task": name, "schedule": seconds, "options": {"expires": max(1, int(seconds))}}
        for name, seconds in rules.items()
    }


app = make_app(get_settings())
