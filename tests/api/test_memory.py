"""What the HTTP process is made of, and that it keeps moving when many ask at once."""

import asyncio
import json
import subprocess
import sys
import time

import httpx2
import pytest

from api.dependencies import READS_AT_ONCE, WRITES_AT_ONCE, Slots
from tests.api.service import Service

HEAVY = ("torch", "scipy", "pyarrow", "matplotlib")
LARGEST_RESIDENT_BYTES = 150_000_000
LOOK = f"""
import json, sys, psutil
from api.main import create_app
from worker.settings import Settings
app = create_app(Settings(_env_file=None))
app.openapi()
resident = psutil.Process().memory_info().rss
print(json.dumps([[name for name in {HEAVY} if name in sys.modules], resident]))
"""


def test_the_process_is_light_and_loads_nothing_heavy() -> None:
    loaded, resident = json.loads(subprocess.check_output([sys.executable, "-c", LOOK], text=True))
    assert loaded == []
    assert resident < LARGEST_RESIDENT_BYTES


async def _ask(service: Service, count: int) -> list[int]:
    transport = httpx2.ASGITransport(app=service.app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://service.test", timeout=60) as client:
        headers = {"X-API-Key": service.key}
        asked = [
            client.get("/v1/recipes") if index % 4 else client.post("/v1/keys", json={"name": "k"}, headers=headers)
            for index in range(count)
        ]
        return [answer.status_code for answer in await asyncio.gather(*asked)]


def test_more_requests_than_connections_wait_for_each_other(empty: Service) -> None:
    empty.app.state.slots = Slots()
    began = time.monotonic()
    statuses = asyncio.run(_ask(empty, 120))
    assert set(statuses) == {200, 201}
    assert time.monotonic() - began < 20  # without slots they wait for the pool's timeout of 30 s


def test_slots_are_fewer_than_connections(empty: Service) -> None:
    pool = empty.sessions.kw["bind"].pool
    assert pool.size() + pool._max_overflow > READS_AT_ONCE + WRITES_AT_ONCE


def test_the_interface_describes_itself(empty: Service) -> None:
    answer = empty.get("/openapi.json").json()
    operations = [
        (path, method, operation) for path, methods in answer["paths"].items() for method, operation in methods.items()
    ]
    assert len(operations) > 30
    assert [(path, method) for path, method, one in operations if not (one["summary"] and one["description"])] == []
    assert len({one["operationId"] for _, _, one in operations}) == len(operations)


@pytest.mark.parametrize("path", ["/", "/static/dashboard.css", "/openapi.json"])
def test_pages_are_served(empty: Service, path: str) -> None:
    assert empty.get(path).status_code == 200
