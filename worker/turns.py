"""Rows that go on by themselves when what they wait for has ended: rate searches, replications and studies.

Whoever finds that one is due lets it take its turn: the worker that ended the last run, a post that sends it again, or
the reconciler.
"""

import logging
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import select
from sqlalchemy.orm import Session

from worker.store.models import RateSearch, Replication, Study
from worker.store.sessions import Sessions, read_scope, session_scope
from worker.store.states import FINAL_STATES

Row = TypeVar("Row", RateSearch, Replication, Study)

logger = logging.getLogger(__name__)


def let_go_on(
    sessions: Sessions,
    model: type[Row],
    is_due: Callable[[Session, Row], bool],
    go_on: Callable[[Session, str], bool],
) -> tuple[str, ...]:
    """Lets every open row that is due go on, oldest first, each in a transaction of its own; the ids of those that did.

    What fails for a mistake of ours is logged, and tried again by the next who looks.
    """
    with read_scope(sessions) as session:
        rows = select(model.id).where(model.state.not_in(FINAL_STATES)).order_by(model.created_at, model.id)
        open_rows = session.scalars(rows).all()
    moved = []
    for row_id in open_rows:
        try:
            if _is_due(sessions, model, row_id, is_due) and _goes_on(sessions, row_id, go_on):
                moved.append(row_id)
        except Exception:
            # Whatever it is, it is this row's alone. Its transaction is undone, so it is as it was; the rows after it,
            # and those of other kinds, would else wait for a mistake that none of them made.
            logger.exception("%s %s could not go on yet", model.__name__, row_id)
    return tuple(moved)


def _is_due(sessions: Sessions, model: type[Row], row_id: str, is_due: Callable[[Session, Row], bool]) -> bool:
    """Only reads: most rows are not due, and a transaction that may write would make others wait."""
    with read_scope(sessions) as session:
        row = session.get(model, row_id)
        return row is not None and not row.state.is_final and is_due(session, row)


def _goes_on(sessions: Sessions, row_id: str, go_on: Callable[[Session, str], bool]) -> bool:
    with session_scope(sessions) as session:
        return go_on(session, row_id)
