"""Services to talk to: `empty` (a fresh database), `service` (corpora and a tokenizer), `ranked` (a leaderboard too).

What takes real children is done once a test process; every test gets a copy of the data folder.
"""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from api.main import create_app
from tests.api.service import Service, rank_two_recipes, register_corpora
from worker.keys import create_key
from worker.queue import Bell
from worker.settings import Settings
from worker.store.migrate import upgrade_database
from worker.store.sessions import session_scope

Start = Callable[[Settings], Service]


@contextmanager
def serving(settings: Settings) -> Iterator[Service]:
    """The application on the settings' database, its bell recorded instead of rung (there is no broker)."""
    rung: list[Bell] = []
    app = create_app(settings)
    sessions = app.state.sessions
    with session_scope(sessions) as session:
        _, key = create_key(session, "tests")
    with pytest.MonkeyPatch.context() as patch, TestClient(app, raise_server_exceptions=False) as http:
        patch.setattr("api.dependencies.ring", lambda bell, _: rung.append(bell))
        yield Service(http=http, app=app, settings=settings, sessions=sessions, key=key, rung=rung)


def settings_in(folder: Path) -> Settings:
    return Settings(_env_file=None, data_dir=folder, threads=1, compile=False)


@pytest.fixture(scope="session")
def migrated_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("migrated") / "data"
    upgrade_database(settings_in(folder))
    return folder


@pytest.fixture
def empty(migrated_folder: Path, tmp_path: Path) -> Iterator[Service]:
    with serving(settings_in(shutil.copytree(migrated_folder, tmp_path / "data"))) as service:
        yield service


@pytest.fixture(scope="session")
def registered_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("registered")
    settings = settings_in(folder / "data")
    upgrade_database(settings)
    with serving(settings) as service:
        register_corpora(service, folder)
    return folder / "data"


@pytest.fixture(scope="session")
def ranked_folder(registered_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ranked") / "data"
    shutil.copytree(registered_folder, folder)
    with serving(settings_in(folder)) as service:
        rank_two_recipes(service)
    return folder


@pytest.fixture
def service(registered_folder: Path, tmp_path: Path) -> Iterator[Service]:
    with serving(settings_in(shutil.copytree(registered_folder, tmp_path / "data"))) as service:
        yield service


@pytest.fixture
def ranked(ranked_folder: Path, tmp_path: Path) -> Iterator[Service]:
    with serving(settings_in(shutil.copytree(ranked_folder, tmp_path / "data"))) as service:
        yield service
