"""The migrated schema is the models' schema, on both databases."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect

from worker.settings import Settings
from worker.store.migrate import make_alembic_config, upgrade_database
from worker.store.models import Base
from worker.store.sessions import make_engine

UPGRADE = """
from worker.settings import get_settings
from worker.store.migrate import upgrade_database
upgrade_database(get_settings())
"""


def settings_for(database_url: str, tmp_path: Path) -> Settings:
    return Settings(_env_file=None, data_dir=tmp_path / "data", database_url=database_url)


def test_models_and_migrated_schema_do_not_differ(database_url: str, tmp_path: Path) -> None:
    upgrade_database(settings_for(database_url, tmp_path))
    engine = make_engine(database_url)
    with engine.connect() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), Base.metadata)
    engine.dispose()
    assert differences == []


def test_every_table_is_gone_after_a_downgrade(database_url: str, tmp_path: Path) -> None:
    upgrade_database(settings_for(database_url, tmp_path))
    command.downgrade(make_alembic_config(database_url), "base")
    engine = make_engine(database_url)
    assert set(inspect(engine).get_table_names()) == {"alembic_version"}
    engine.dispose()


def test_two_processes_that_start_together_upgrade_once(database_url: str, tmp_path: Path) -> None:
    environment = os.environ | {"FORETASTE_DATABASE_URL": database_url, "FORETASTE_DATA_DIR": str(tmp_path)}
    starters = [subprocess.Popen([sys.executable, "-c", UPGRADE], env=environment) for _ in range(2)]
    assert [starter.wait() for starter in starters] == [0, 0]


def test_the_upgrade_can_be_printed_as_sql(capsys: pytest.CaptureFixture[str]) -> None:
    config = make_alembic_config("postgresql+psycopg://nobody@127.0.0.1/nothing")
    command.upgrade(config, "head", sql=True)
    assert "CREATE TABLE runs" in capsys.readouterr().out


def test_the_scripts_are_found_without_a_configuration_file() -> None:
    config = make_alembic_config("sqlite://")
    folder = config.get_main_option("script_location")
    assert folder is not None
    assert (Path(folder) / "versions" / "0001_the_first_tables.py").exists()
