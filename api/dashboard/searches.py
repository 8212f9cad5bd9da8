"""The page of a rate search: read, drawn and rendered."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from api.dashboard.rate_ladder import view_equal_travel, view_ladder
from api.dashboard.rate_panels import RateLadder
from api.rate_searches.levels import drawn_level, has_cut_runs, order_of
from api.rate_searches.schemas import show
from proxy.errors import NotFoundError
from worker.rate_searches import get_search, list_searches

NEWEST = 20


@dataclass(frozen=True, kw_only=True)
class Middle:
    """One rate at one level of Σ rates; `problem` says why there are no numbers."""

    travel: float
    rate: float
    row: Mapping[str, Any] | None
    order: str = ""
    problem: str = ""


@dataclass(frozen=True, kw_only=True)
class EqualTravel:
    """A search at equal Σ rates: drawn at one level (None where no two rates are known at any), and all of them.
    `is_cut_short`: some numbers are of the middle of a run that no shorter one would have ended with."""

    drawing: RateLadder | None
    travel: float | None
    middles: tuple[Middle, ...]
    is_cut_short: bool


@dataclass(frozen=True, kw_only=True)
class SearchPage:
    """One search (the newest if none was asked for) as its JSON says it, and links to others."""

    body: Mapping[str, Any] | None
    drawing: RateLadder | None
    others: tuple[tuple[str, str], ...]
    problem: str = ""
    equal: EqualTravel | None = None


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
    if row.report is None:
        return SearchPage(body=body, drawing=None, others=others)
    return SearchPage(body=body, drawing=view_ladder(row.report), others=others, equal=view_equal(row.report))


def view_equal(report: Mapping[str, Any]) -> EqualTravel:
    """Everything that a report says at equal Σ rates, the highest level first."""
    level = drawn_level(report)
    return EqualTravel(
        drawing=view_equal_travel(report),
        travel=None if level is None else level["travel"],
        middles=tuple(one for part in reversed(report.get("equal_travel", ())) for one in _middles(part, report)),
        is_cut_short=any(has_cut_runs(part) for part in report.get("equal_travel", ())),
    )


def _middles(level: Mapping[str, Any], report: Mapping[str, Any]) -> Iterator[Middle]:
    for row in level.get("rates", ()):
        order = " · ".join(order_of(row, report["names"]))
        yield Middle(travel=level["travel"], rate=row["rate"], row=row, order=order)
    for rate, problem in level.get("missing", {}).items():
        yield Middle(travel=level["travel"], rate=float(rate), row=None, problem=problem)
