"""Lists in pages. The cursor names the last item seen, so a page never repeats or skips what was there before."""

from collections.abc import Callable, Sequence
from typing import Annotated, Generic, Protocol, TypeVar

from fastapi import Query
from pydantic import BaseModel, Field

from proxy.errors import InvalidInputError

LARGEST_PAGE = 500


class HasId(Protocol):
    """Anything with a stable identifier."""

    @property
    def id(self) -> str: ...


Row = TypeVar("Row", bound=HasId)
Item = TypeVar("Item", bound=BaseModel)

Limit = Annotated[int, Query(ge=1, le=LARGEST_PAGE, description="most items on the page")]
Cursor = Annotated[str | None, Query(description="`next_cursor` of the page before")]


class Page(BaseModel, Generic[Item]):
    """One page of a list."""

    items: list[Item]
    next_cursor: str | None = Field(description="pass it as `cursor` for the next page; null on the last")


def paginate(rows: Sequence[Row], cursor: str | None, limit: int, show: Callable[[Row], Item]) -> Page[Item]:
    """The page after `cursor`. InvalidInputError for a cursor that names nothing in the list."""
    start = 0
    if cursor is not None:
        ids = [row.id for row in rows]
        if cursor not in ids:
            raise InvalidInputError.at("/cursor", cursor, "names no item of this list")
        start = ids.index(cursor) + 1
    shown = rows[start : start + limit]
    has_more = start + limit < len(rows)
    return Page(items=[show(row) for row in shown], next_cursor=shown[-1].id if has_more else None)
