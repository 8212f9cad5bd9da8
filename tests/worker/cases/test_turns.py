"""Rows that take their turns: what fails in one holds up no other."""

import logging
from collections.abc import Iterator

import pytest
from sqlalchemy.orm import Session

from proxy.errors import ConflictError
from tests.worker.cases import searches
from tests.worker.cases.boards import forget_rows
from tests.worker.cases.conftest import Bureau
from worker.reconciler import reconcile
from worker.store.models import Study
from worker.store.sessions import read_scope, session_scope
from worker.store.states import State
from worker.turns import let_go_on

MISTAKES = (
    TypeError("no float"),
    AssertionError("it is None"),
    AttributeError("no such thing"),
    KeyError("rate"),
    ConflictError("another value is stored"),
    RuntimeError("set changed size during iteration"),
)


@pytest.fixture
def rows(bureau: Bureau) -> Iterator[list[str]]:
    """Ids of three open studies, oldest first."""
    ids = [f"stu_{place}" for place in ("first", "second", "third")]
    with session_scope(bureau.sessions) as session:
        for key in ids:
            session.add(Study(id=key, request_key=key, name=key, spec={}, protocols={}, estimate={}, points=[]))
            session.flush()
    yield ids
    with session_scope(bureau.sessions) as session:
        forget_rows(session, Study)


def rename(session: Session, row_id: str) -> bool:
    session.get_one(Study, row_id).name = "moved"
    session.flush()
    return True


def names(bureau: Bureau, rows: list[str]) -> list[str]:
    with read_scope(bureau.sessions) as session:
        return [session.get_one(Study, key).name for key in rows]


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: type(mistake).__name__)
def test_a_mistake_in_one_row_undoes_its_turn_and_holds_up_no_other(
    bureau: Bureau, rows: list[str], caplog: pytest.LogCaptureFixture, mistake: Exception
) -> None:
    def go_on(session: Session, row_id: str) -> bool:
        rename(session, row_id)
        if row_id == rows[0]:
            raise mistake
        return True

    with caplog.at_level(logging.ERROR, logger="worker.turns"):
        assert let_go_on(bureau.sessions, Study, lambda *_: True, go_on) == tuple(rows[1:])
    assert names(bureau, rows) == [rows[0], "moved", "moved"]
    (told,) = caplog.records
    assert "Study stu_first could not go on yet" in told.getMessage()
    assert told.exc_info is not None
    assert told.exc_info[1] is mistake
    assert let_go_on(bureau.sessions, Study, lambda *_: True, rename) == tuple(rows)  # tried again by the next


def test_a_row_of_which_nobody_can_tell_whether_it_is_due_holds_up_no_other(bureau: Bureau, rows: list[str]) -> None:
    def is_due(_: Session, row: Study) -> bool:
        if row.id == rows[1]:
            raise TypeError("no float")
        return True

    assert let_go_on(bureau.sessions, Study, is_due, rename) == (rows[0], rows[2])
    assert names(bureau, rows) == ["moved", rows[1], "moved"]


def test_what_has_ended_or_is_not_due_is_left_alone(bureau: Bureau, rows: list[str]) -> None:
    with session_scope(bureau.sessions) as session:
        session.get_one(Study, rows[0]).state = State.CANCELLED
    assert let_go_on(bureau.sessions, Study, lambda _, row: row.id != rows[1], rename) == (rows[2],)


def test_whoever_stops_the_process_is_heard(bureau: Bureau, rows: list[str]) -> None:
    def go_on(_: Session, row_id: str) -> bool:
        raise KeyboardInterrupt(row_id)

    with pytest.raises(KeyboardInterrupt, match=rows[0]):
        let_go_on(bureau.sessions, Study, lambda *_: True, go_on)


def test_a_rate_search_with_a_mistake_holds_up_no_study(
    bureau: Bureau, rows: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look of the reconciler takes searches first, then races, then studies."""

    def fail(*_: object) -> bool:
        raise AttributeError("no such thing")

    with session_scope(bureau.sessions) as session:
        searches.ask(session, bureau)
    monkeypatch.setattr("worker.rate_searches.conclusions._has_ended", fail)
    monkeypatch.setattr("worker.studies.advancing._is_due", lambda *_: True)
    monkeypatch.setattr("worker.studies.advancing.advance_study", lambda session, _, key: rename(session, key))
    monkeypatch.setattr("worker.reconciler.ring", lambda *_, **__: True)
    try:
        assert reconcile(bureau.sessions, bureau.settings).advanced == tuple(rows)
    finally:
        searches.forget(bureau)
