"""A migrated database of each kind, with sessions on it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from worker.settings import Settings
from worker.store.migrate import upgrade_database
from worker.store.sessions import Sessions, make_engine, make_sessions


@pytest.fixture
def both_settings(database_url: str, tmp_path: Path) -> Settings:
    """A small worker's settings on SQLite and on PostgreSQL."""
    made = Settings(
        _env_file=None,
        data_dir=tmp_path / "data",
        database_url=database_url,
        threads=1,
        compile=False,
        cohort_runs=3,
        max_attempts=2,
    )
    upgrade_database(made)
    return made


@pytest.fixture
def both_sessions(both_settings: Settings) -> Iterator[Sessions]:
    """Sessions on the database of `both_settings`."""
    engine = make_engine(both_settings.resolved_database_url)
    yield make_sessions(engine)
    engine.dispose()
