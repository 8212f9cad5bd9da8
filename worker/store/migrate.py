"""Brings a database to the newest schema, from a checkout or an installed wheel alike."""

from importlib.util import find_spec

from alembic import command
from alembic.config import Config

from worker.settings import Settings


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
