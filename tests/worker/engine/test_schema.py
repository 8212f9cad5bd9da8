"""The migrated schema is the models' schema, on both databases."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, inspect

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


def test_references_keep_their_recipes_name_through_the_second_script(database_url: str, tmp_path: Path) -> None:
    config = make_alembic_config(database_url)
    command.upgrade(config, "0001")
    engine = make_engine(database_url)
    now = "2026-01-31 00:00:00"
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO recipes (id, name, fingerprint, spec, corpora, created_at)"
            f" VALUES ('rec_1', 'even', 'f', '{{}}', '{{}}', '{now}')"
        )
        connection.exec_driver_sql(
            "INSERT INTO reference_results (id, reference_set, recipe_id, metric, direction, unit, value,"
            " stopped_early, hyperparameters, parameters, tokens, source, request_key, created_at)"
            f" VALUES ('ref_1', 'big', 'rec_1', 'loss', 'lower', '', 0.9, false, '{{}}', 1, 1, '', 'k', '{now}')"
        )
    command.upgrade(config, "head")
    with engine.begin() as connection:
        found = connection.exec_driver_sql("SELECT recipe_name, recipe_id, date, value FROM reference_results")
        assert tuple(found.one()) == ("even", "rec_1", None, 0.9)
        connection.exec_driver_sql(
            "INSERT INTO reference_results (id, reference_set, recipe_name, metric, direction, unit, value,"
            " stopped_early, hyperparameters, parameters, tokens, source, request_key, created_at)"
            f" VALUES ('ref_2', 'big', 'theirs', 'loss', 'lower', '', 0.8, false, '{{}}', 1, 1, '', 'l', '{now}')"
        )
    command.downgrade(config, "0001")
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT id FROM reference_results").scalars().all() == ["ref_1"]
    engine.dispose()


def _insert_an_evaluation(connection: Connection) -> None:
    """With a run, in columns of any version."""
    now = "2026-01-31 00:00:00"
    rows = {
        "recipes": {"id": "rec_1", "name": "even", "fingerprint": "f", "spec": "{}", "corpora": "{}"},
        "protocols": {"id": "pro_1", "name": "small", "version": 1, "fingerprint": "f", "spec": "{}"}
        | {"cohort_key": "k", "learning_rate": 0.1},
        "suites": {"id": "sui_1", "name": "held", "version": 1, "fingerprint": "f", "spec": "{}"},
        "evaluations": {"id": "eva_1", "kind": "proxy", "recipe_id": "rec_1", "protocol_id": "pro_1"}
        | {"suite_id": "sui_1", "seeds": 2, "learning_rates": "[]", "replicate": 0, "request_key": "k"}
        | {"state": "finished"},
        "runs": {"id": "run_1", "fingerprint": "f", "recipe_id": "rec_1", "protocol_id": "pro_1", "cohort_key": "k"}
        | {"learning_rate": 0.1, "seed": 0, "replicate": 0, "state": "finished", "attempt": 1, "progress": "{}"},
    }
    for table, row in rows.items():
        values = ", ".join(repr(value) for value in (*row.values(), now))
        connection.exec_driver_sql(f"INSERT INTO {table} ({', '.join(row)}, created_at) VALUES ({values})")
    connection.exec_driver_sql("INSERT INTO evaluation_runs (evaluation_id, run_id) VALUES ('eva_1', 'run_1')")


def test_evaluations_of_before_begin_at_seed_zero_and_survive_the_way_back(database_url: str, tmp_path: Path) -> None:
    config = make_alembic_config(database_url)
    command.upgrade(config, "0011")
    engine = make_engine(database_url)
    with engine.begin() as connection:
        _insert_an_evaluation(connection)
    command.upgrade(config, "0012")
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT seeds, first_seed FROM evaluations").all() == [(2, 0)]
    command.downgrade(config, "0011")
    assert "first_seed" not in {column["name"] for column in inspect(engine).get_columns("evaluations")}
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT id, seeds FROM evaluations").all() == [("eva_1", 2)]
        assert connection.exec_driver_sql("SELECT run_id FROM evaluation_runs").scalars().all() == ["run_1"]
    command.upgrade(config, "head")
    engine.dispose()


def test_what_was_asked_for_before_it_was_noted_survives_the_way_there_and_back(database_url: str) -> None:
    config = make_alembic_config(database_url)
    command.upgrade(config, "0013")
    engine = make_engine(database_url)
    with engine.begin() as connection:
        _insert_an_evaluation(connection)
    command.upgrade(config, "0014")
    with engine.connect() as connection:
        found = connection.exec_driver_sql("SELECT id, is_requested FROM evaluations").all()
        assert [(one.id, bool(one.is_requested)) for one in found] == [("eva_1", False)]
    command.downgrade(config, "0013")
    assert "is_requested" not in {column["name"] for column in inspect(engine).get_columns("evaluations")}
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT run_id FROM evaluation_runs").scalars().all() == ["run_1"]
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
