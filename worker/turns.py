"""Rows that go on by themselves when what they wait for has ended: rate searches, replications and studies.

Whoever finds that one is due lets it take its turn: the worker that ended the last run, a post that sends it again, or
the reconciler.
"""

import logging
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
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
        rows = session.scalars(select(model).where(model.state.not_in(FINAL_STATES)).order_by(model.created_at))
        due = [row.id for row in rows if is_due(session, row)]
    moved = []
    for row_id in due:
        try:
            with session_scope(sessions) as session:
                if go_on(session, row_id):
                    moved.append(row_id)
        except (SQLAlchemyError, ArithmeticError, ValueError, LookupError):
            logger.exception("%s %s could not go on yet", model.__name__, row_id)
    return tuple(moved)
