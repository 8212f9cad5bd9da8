"""`foretaste up` leaves nothing behind, however impatiently it is told to stop."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import psutil
import pytest

from api.up import free_port

pytestmark = pytest.mark.processes


def test_impatient_signals_leave_no_process_behind(tmp_path: Path) -> None:
    port = free_port()
    environment = os.environ | {"FORETASTE_DATA_DIR": str(tmp_path), "FORETASTE_COMPILE": "false"}
    command = [sys.executable, "-m", "api.cli", "up", "--port", str(port)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as up:
        wait_until_ready(port)
        started = psutil.Process(up.pid).children(recursive=True)
        assert len(started) >= 4  # broker, API, worker, beat
        for _ in range(3):
            up.send_signal(signal.SIGTERM)
            time.sleep(0.2)
        up.send_signal(signal.SIGINT)
        output, _ = up.communicate(timeout=60)
    gone, alive = psutil.wait_procs(started, timeout=5)
    assert alive == []
    assert len(gone) == len(started)
    assert b"Stopping." in output


def wait_until_ready(port: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"http://127.0.0.1:{port}/readyz").is_success:
                time.sleep(1)  # until it says so itself
                return
        except httpx.TransportError:
            time.sleep(0.2)
    raise AssertionError("the service did not become ready")
