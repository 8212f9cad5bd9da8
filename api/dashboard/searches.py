"""The page of a rate search: read, drawn and rendered."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from api.dashboard.rate_ladder import view_ladder
from api.dashboard.rate_panels import RateLadder
from api.rate_searches.schemas import show
from proxy.errors import NotFoundError
from worker.rate_searches import get_search, list_searches

NEWEST = 20


@dataclass(frozen=True, kw_only=True)
class SearchPage:
    """One search (the newest if none was asked for) as its JSON says it, and links to others."""

    body: Mapping[str, Any] | None
    drawing: RateLadder | None
    others: tuple[tuple[str, str], ...]
    problem: str = ""


def read_search_page(session: Session, search_id: str) -> SearchPage:
    """`problem` is set where there is no such search."""
    rows = list_searches(session)
    others = tuple(
        (row.id, f"{row.protocol.name}@{row.protocol.version} on {row.suite.name}@{row.suite.version}")
        for row in rows[:NEWEST]
    )
    if not search_id and not rows:
        return SearchPage(body=None, drawing=None, others=())
    try:
        row = get_search(session, search_id or rows[0].id)
    except NotFoundError as error:
        return SearchPage(body=None, drawing=None, others=others, problem=str(error))
    body = show(session, row).model_dump(mode="json")
    return SearchPage(body=body, drawing=None if row.report is None else view_ladder(row.report), others=others)
