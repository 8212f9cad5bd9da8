"""The doorbell: tells workers that something may be waiting. The database says what.

A message carries no work, so it may be lost, late or doubled. A broker that does not answer is logged and not an
error: the reconciler rings again.
"""

import logging
from enum import StrEnum
from functools import lru_cache

from celery import Celery
from kombu.exceptions import OperationalError

from worker.settings import Settings, get_settings

logger = logging.getLogger(__name__)

WORK = "foretaste.work"
RECONCILE = "foretaste.reconcile"
FIRE_SCHEDULES = "foretaste.fire_schedules"
ANSWER_SECONDS = 2.0  # a broker on the same network answers in milliseconds; a request must not hang on it


class Bell(StrEnum):
    """What was added. One task looks for both, so a worker busy with one kind does not starve the other."""

    RUNS = "runs"
    JOBS = "jobs"


def ring(kind: Bell | str, settings: Settings | None = None, expires_seconds: float | None = None) -> bool:
    """Says that runs or jobs may be waiting; False (and a log line) if the broker does not answer.

    Call it after the commit. Raises ValueError for an unknown kind.
    """
    bell = Bell(kind)
    broker_url = (settings or get_settings()).broker_url
    try:
        _producer(broker_url).signature(WORK).apply_async(expires=expires_seconds, retry=False)
    except OperationalError as error:
        logger.warning("broker %s does not answer; %s wait for the reconciler: %s", broker_url, bell, error)
        return False
    return True


@lru_cache(maxsize=8)
def _producer(broker_url: str) -> Celery:
    """Only sends. `set_as_current=False` keeps it from shadowing the worker's own application."""
    producer = Celery("foretaste-bell", broker=broker_url, set_as_current=False)
    producer.conf.update(
        task_serializer="json",
        accept_content=["json"],
        task_ignore_result=True,
        broker_transport_options={
            "socket_connect_timeout": ANSWER_SECONDS,
            "socket_timeout": ANSWER_SECONDS,
            "max_retries": 0,
        },
    )
    return producer
