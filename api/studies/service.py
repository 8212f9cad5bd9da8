"""The service a study runs on: one that answers at an address, or one that the command starts and keeps alive.

A study takes hours. A service that does not answer for a while (it is being restarted, or the whole machine was held
up) is waited for: nothing is lost by asking again, because every request of a study can be repeated.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from api.client import Client, ProblemError, Resource, UnreachableError
from api.connection import connect
from api.up import Stack, key_path, running_stack
from worker.settings import get_settings

PATIENCE_SECONDS = 600.0
PAUSE_SECONDS = 2.0
FROM_SERVER_ERRORS = 500
CONFLICT = 409

Answer = TypeVar("Answer")


@dataclass(frozen=True, kw_only=True)
class StudyService:
    """`lanes`: trainings at once, where it is ours; None for a service of somebody else. `patience_seconds`: how long
    in all it may fail to answer."""

    client: Client
    lanes: int | None = None
    stack: Stack | None = None
    patience_seconds: float = PATIENCE_SECONDS

    def get(self, path: str, **query: object) -> Resource:
        """One resource."""
        return self.patiently(lambda: self.client.get(path, **query))

    def post(self, path: str, body: object | None = None) -> Resource:
        """Creates or finds."""
        return self.patiently(lambda: self.client.post(path, body))

    def items(self, path: str, **query: object) -> list[Resource]:
        """A whole list."""
        return self.patiently(lambda: list(self.client.items(path, **query)))

    def wait(self, path: str, poll_seconds: float = 0.5) -> Resource:
        """Until a resource is final; ProblemError if it failed."""
        while (resource := self.get(path))["state"] in ("queued", "running"):
            self.sleep(poll_seconds)
        if resource["state"] == "failed":
            detail = f"{path} failed: {resource.get('error')}"
            raise ProblemError({"title": "Work failed", "detail": detail}, CONFLICT)
        return resource

    def sleep(self, seconds: float) -> None:
        """Meanwhile a part of our own service that died is started again."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self.tend()
            time.sleep(min(PAUSE_SECONDS, left))

    def tend(self) -> None:
        """Starts again what died of a service that is ours."""
        if self.stack is not None:
            self.stack.tend()

    def patiently(self, ask: Callable[[], Answer]) -> Answer:
        """Asks until there is an answer; what the service refuses is refused at once. Pauses are counted, not the
        clock: a machine that slept has not used up anybody's patience."""
        waited = 0.0
        while True:
            try:
                return ask()
            except (UnreachableError, ProblemError) as error:
                is_refused = isinstance(error, ProblemError) and error.status < FROM_SERVER_ERRORS
                if is_refused or waited >= self.patience_seconds:
                    raise
            self.sleep(PAUSE_SECONDS)
            waited += PAUSE_SECONDS


@contextmanager
def study_service(url: str | None, key: str | None, folder: Path) -> Iterator[StudyService]:
    """The service at `url`; without one, a service of our own with its data below `folder`."""
    if url is not None:
        with connect(url, key) as client:
            yield StudyService(client=client)
        return
    settings = get_settings().model_copy(update={"data_dir": folder / "service", "api_port": 0})
    with running_stack(settings) as stack:
        client = Client(stack.url, key_path(settings).read_text().strip(), timeout_seconds=120.0)
        yield StudyService(client=client, lanes=settings.resolved_lanes, stack=stack)
