"""A service on a fresh SQLite database, called without a socket."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from api.main import create_app
from tests.api.dashboard import samples
from worker.settings import Settings
from worker.store.models import Protocol
from worker.store.sessions import Sessions, session_scope

Seed = Callable[[Callable[[Session], Any]], Any]


@pytest.fixture
def client(settings: Settings) -> Iterator[TestClient]:
    with TestClient(create_app(settings), base_url="http://service.test:8321") as made:
        yield made


@pytest.fixture
def seed(sessions: Sessions) -> Seed:
    """Runs a function in one committed transaction."""

    def run(function: Callable[[Session], Any]) -> Any:
        with session_scope(sessions) as session:
            return function(session)

    return run


@pytest.fixture
def ranked(seed: Seed) -> list[Protocol]:
    """The reduced and the standard protocol, ranked and compared with references."""
    protocols: list[Protocol] = seed(samples.add_rankings)
    return protocols
