"""Imports on both databases, and two at once."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import func, select

from api.references.imports import read_results
from proxy.results.tables import Problems, in_body
from worker.external import read_external_agreement
from worker.imports import ImportReport, import_results
from worker.settings import Settings
from worker.store.migrate import upgrade_database
from worker.store.models import Agreement, Recipe, Reference
from worker.store.sessions import Sessions, make_engine, make_sessions, read_scope, session_scope

HEADER = "kind,proxy_set,reference_set,recipe,metric,direction,value,parameters,tokens"


@pytest.fixture
def both_sessions(database_url: str, tmp_path: Path) -> Iterator[Sessions]:
    settings = Settings(_env_file=None, data_dir=tmp_path / "data", database_url=database_url, threads=1)
    upgrade_database(settings)
    engine = make_engine(settings.resolved_database_url)
    yield make_sessions(engine)
    engine.dispose()


def table_of(first: int, last: int) -> bytes:
    lines = [HEADER]
    for index in range(first, last):
        lines.append(f"proxy,past,,r{index},loss,lower,{index},1,1")
        lines.append(f"reference,,large,r{index},loss,lower,{index},9,9")
    return "\n".join(lines).encode()


def bring(sessions: Sessions, content: bytes) -> ImportReport:
    problems = Problems(place=in_body)
    with session_scope(sessions) as session:
        results = read_results(content, problems)
        return import_results(session, Settings(_env_file=None), results, problems, allow_unregistered=True)


def test_an_import_is_compared_and_again_unchanged(both_sessions: Sessions) -> None:
    assert bring(both_sessions, table_of(0, 8)) == ImportReport(imported=16, unchanged=0, refused=0)
    assert bring(both_sessions, table_of(4, 10)) == ImportReport(imported=4, unchanged=8, refused=0)
    with read_scope(both_sessions) as session:
        body = read_external_agreement(session, "past", "large")
        assert (body["n"], body["spearman"]) == (10, 1.0)
        assert session.scalar(select(func.count()).select_from(Agreement)) == 2


def test_what_was_imported_before_its_recipe_was_registered_is_the_same_recipe(both_sessions: Sessions) -> None:
    bring(both_sessions, table_of(0, 6))
    with session_scope(both_sessions) as session:
        session.add(Recipe(name="r0", fingerprint="f", spec={}, corpora={}))
    table = f"{HEADER},seed\nreference,,large,r0,loss,lower,10,9,9,1\nproxy,past,,r0,loss,lower,20,1,1,1".encode()
    assert bring(both_sessions, table).imported == 2
    with read_scope(both_sessions) as session:
        body = read_external_agreement(session, "past", "large")
    assert [(point["proxy"], point["reference"]) for point in body["points"] if point["recipe"] == "r0"] == [(10, 5)]


def test_of_two_imports_at_once_the_second_sees_both(both_sessions: Sessions) -> None:
    parts = [table_of(0, 20), table_of(20, 40)]
    threads = [threading.Thread(target=bring, args=(both_sessions, part)) for part in parts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with read_scope(both_sessions) as session:
        assert read_external_agreement(session, "past", "large")["n"] == 40
        assert session.scalar(select(func.count()).select_from(Reference)) == 40
