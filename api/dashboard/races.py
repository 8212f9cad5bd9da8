"""The page of a replication, and what the ranking says of the newest one."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from api.replications.schemas import show, summarise
from proxy.errors import NotFoundError
from worker.replications import get_replication, list_replications

NEWEST = 20
PLACES = {
    "best": ("among the best", "is-good"),
    "rest": ("not among them", "is-open"),
    "open": ("open", "is-warning"),
    "ordered": ("in order", "is-good"),
    "failed": ("failed", "is-bad"),
}


@dataclass(frozen=True, kw_only=True)
class RacePage:
    """One replication (the newest if none was asked for) as its JSON says it, and links to others."""

    body: Mapping[str, Any] | None
    others: tuple[tuple[str, str], ...]
    problem: str = ""


@dataclass(frozen=True, kw_only=True)
class RaceBadge:
    """One line under a ranking."""

    id: str
    words: str
    tone: str
    conclusion: str | None


def read_race_page(session: Session, replication_id: str) -> RacePage:
    """`problem` is set where there is no such replication."""
    rows = list_replications(session)
    others = tuple(
        (row.id, f"{row.resolve} of {len(row.recipes)} under {row.protocol.name}@{row.protocol.version}")
        for row in rows[:NEWEST]
    )
    if not replication_id and not rows:
        return RacePage(body=None, others=())
    try:
        row = get_replication(session, replication_id or rows[0].id)
    except NotFoundError as error:
        return RacePage(body=None, others=others, problem=str(error))
    return RacePage(body=show(session, row).model_dump(mode="json"), others=others)


def read_badge(session: Session, protocol_id: str, suite_id: str) -> RaceBadge | None:
    """Of the newest replication of a ranking; None if there is none."""
    rows = list_replications(session, protocol_id=protocol_id, suite_id=suite_id)
    if not rows:
        return None
    newest = summarise(session, rows[0])
    is_resolved = newest.outcome == "resolved"
    what = f"{newest.resolve}: {newest.outcome.replace('_', ' ') if newest.outcome else newest.state}"
    return RaceBadge(
        id=newest.id, words=what, tone="is-good" if is_resolved else "is-open", conclusion=newest.conclusion
    )
