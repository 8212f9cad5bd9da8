"""The doorbell rings on a real Valkey, and is silent without one."""

import json
import logging
import subprocess
import sys
import time

import pytest
import redis

from worker.queue import WORK, Bell, ring
from worker.settings import Settings


def test_a_bell_is_one_json_message_without_work(valkey_url: str) -> None:
    assert ring("runs", Settings(_env_file=None, broker_url=valkey_url))
    with redis.Redis.from_url(valkey_url) as client:
        (message,) = client.lrange("celery", 0, -1)
    content = json.loads(message)
    assert content["headers"]["task"] == WORK
    assert content["content-type"] == "application/json"


def test_a_broker_that_is_down_is_logged_and_not_an_error(caplog: pytest.LogCaptureFixture) -> None:
    began = time.monotonic()
    with caplog.at_level(logging.WARNING):
        assert not ring(Bell.JOBS, Settings(_env_file=None, broker_url="redis://127.0.0.1:1/0"))
    assert time.monotonic() - began < 5
    assert "redis://127.0.0.1:1/0 does not answer" in caplog.text


def test_an_unknown_bell_is_refused() -> None:
    with pytest.raises(ValueError, match="lunch"):
        ring("lunch")


def test_ringing_reaches_neither_torch_nor_the_tasks() -> None:
    code = "import sys, worker.queue; print([m for m in ('torch', 'worker.tasks', 'numpy') if m in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"
