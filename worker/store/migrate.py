"""Brings a database to the newest schema, from a checkout or an installed wheel alike."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import make_url

from proxy.errors import ConflictError
from worker.settings import Settings
from worker.store.sessions import make_engine


def make_alembic_config(database_url: str) -> Config:
    """Alembic's configuration without a file: the scripts of the installed package and this database."""
    spec = find_spec("migrations")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    config = Config()
    config.set_main_option("script_location", next(iter(spec.submodule_search_locations)).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["database_url"] = database_url
    return config


def upgrade_database(settings: Settings) -> None:
    """Creates or upgrades every table, atomically; several processes may call it at once."""
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    command.upgrade(make_alembic_config(settings.resolved_database_url), "head")


@contextmanager
def at_newest_schema(database_url: str) -> Iterator[str]:
    """The database to read from: itself, or an upgraded copy where a service of an earlier version keeps it, which is
    left as it is. ConflictError where it cannot be copied (PostgreSQL)."""
    if not _is_older(database_url):
        yield database_url
        return
    source = make_url(database_url).database
    if make_url(database_url).get_backend_name() != "sqlite" or source is None:
        raise ConflictError("the database has an older schema; bring it to the newest with `foretaste migrate`")
    with TemporaryDirectory(prefix="foretaste-") as folder:
        copy = Path(folder) / "foretaste.db"
        with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(copy)) as new:
            old.backup(new)
        command.upgrade(make_alembic_config(f"sqlite:///{copy}"), "head")
        yield f"sqlite:///{copy}"


def _is_older(database_url: str) -> bool:
    """Whether this code's scripts know a way from there to the newest schema."""
    scripts = ScriptDirectory.from_config(make_alembic_config(database_url))
    engine = make_engine(database_url)
    try:
        with engine.connect() as connection:
            found = MigrationContext.configure(connection).get_current_revision()
    finally:
        engine.dispose()
    known = {script.revision for script in scripts.walk_revisions()}
    return found in known and found != scripts.get_current_head()
