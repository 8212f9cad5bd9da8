"""What keeps the service from starting is told with the setting's name; what dies is started again."""

import os
import socket
import sys
import time
from pathlib import Path

import pytest

from api import up
from api.up import Service, ServiceStartError, Stack, free_port, key_path, migrate_database, running_stack
from tests.api.service import wait_for
from worker.settings import Settings


def settings_in(folder: Path, **changes: object) -> Settings:
    return Settings(_env_file=None, data_dir=folder, broker_url="redis://127.0.0.1:1/0", **changes)  # type: ignore[arg-type]


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with (
            pytest.raises(ServiceStartError, match=rf"FORETASTE_API_PORT 127.0.0.1:{port} cannot be used"),
            running_stack(settings_in(tmp_path / "data", api_port=port)),
        ):
            pass
    assert not (tmp_path / "data").exists()


def test_a_data_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(ServiceStartError, match=r"FORETASTE_DATA_DIR .*file/data cannot be made: Not a directory"),
        running_stack(settings_in(tmp_path / "file" / "data", api_port=0)),
    ):
        pass


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://me:secret@127.0.0.1:1/none", r"postgresql://me:\*\*\*@127.0.0.1:1/none"),
        ("nonsense", r"\(not an address\)"),
        ("sqlite:////nowhere/at/all.db", "sqlite:////nowhere/at/all.db"),
    ],
)
def test_a_database_that_cannot_be_used_is_named_without_its_password(tmp_path: Path, url: str, shown: str) -> None:
    with pytest.raises(ServiceStartError, match=f"FORETASTE_DATABASE_URL {shown} cannot be used") as caught:
        migrate_database(settings_in(tmp_path, database_url=url))
    assert "secret" not in str(caught.value)


def test_a_database_newer_than_this_code_is_refused(settings: Settings) -> None:
    import sqlite3

    with sqlite3.connect(settings.data_dir / "foretaste.db") as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
    database.close()
    with pytest.raises(ServiceStartError, match=r"\(SQLite\) cannot be used: .*9999"):
        migrate_database(settings)


def test_a_part_that_ends_at_once_is_told_with_its_last_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(up, "ROLES", ("nonsense",))
    settings = settings_in(tmp_path, api_port=0)
    with pytest.raises(ServiceStartError, match="nonsense ended at once") as caught, running_stack(settings):
        pass
    assert "No such command" in str(caught.value)
    assert key_path(settings).stat().st_mode & 0o777 == 0o600


def test_a_service_that_never_answers_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(up, "READY_SECONDS", 0.3)
    log = tmp_path / "api.log"
    log.write_text("still thinking\n")
    service = Service(role="api", log_path=log, environment={})
    stack = Stack(
        settings=settings_in(tmp_path), url=f"http://127.0.0.1:{free_port()}", new_key=None, services=(service,)
    )
    with pytest.raises(ServiceStartError, match=r"did not answer within 0 s(?s:.*)still thinking"):
        up._wait_until_ready(stack)


def test_the_address_is_one_that_can_be_opened(tmp_path: Path) -> None:
    assert up._url(settings_in(tmp_path, api_host="0.0.0.0", api_port=80)) == "http://127.0.0.1:80"
    assert up._url(settings_in(tmp_path, api_host="10.0.0.1", api_port=80)) == "http://10.0.0.1:80"


@pytest.fixture
def sleeper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Service:
    """A service whose program only sleeps, whatever its role."""
    script = tmp_path / "sleep"
    script.write_text("#!/bin/sh\necho awake\nexec sleep 60\n")
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(script))
    return Service(role="worker", log_path=tmp_path / "logs" / "worker.log", environment=dict(os.environ))


def test_what_died_is_started_again_after_a_pause(sleeper: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    stack = Stack(settings=Settings(_env_file=None), url="", new_key=None, services=(sleeper,))
    assert stack.tend() == []
    sleeper.stop()
    sleeper.start()
    assert sleeper.process is not None
    assert stack.tend() == []
    sleeper.process.kill()
    wait_for(sleeper.has_died)
    assert stack.tend() == []
    began = time.monotonic()
    monkeypatch.setattr(up.time, "monotonic", lambda: began + 1.5)
    assert stack.tend() == ["worker"]
    monkeypatch.undo()
    assert stack.service("worker").restarts == 1
    wait_for(lambda: "awake" in sleeper.last_words())
    sleeper.stop()
    assert sleeper.has_died()
    sleeper.stop()


def test_what_does_not_listen_is_killed(sleeper: Service, tmp_path: Path) -> None:
    sleeper.patience_seconds = 0.1
    (tmp_path / "sleep").write_text("#!/bin/sh\ntrap '' TERM\necho awake\nsleep 60\nsleep 60\n")
    sleeper.start()
    wait_for(lambda: "awake" in sleeper.last_words())
    sleeper.stop()
    assert sleeper.has_died()
