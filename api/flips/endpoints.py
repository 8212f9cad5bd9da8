"""Whether an order of recipes holds over the learning rates that were tried."""

from typing import Annotated, Any

from fastapi import APIRouter, Query

from api.dependencies import Reading, SettingsOf
from worker.flips import read_flips

router = APIRouter(prefix="/flips", tags=["flips"])


@router.get("")
def show(
    session: Reading,
    settings: SettingsOf,
    protocol: str | None = None,
    suite: str | None = None,
    first: Annotated[str | None, Query(description="name, fingerprint or id of a recipe; default: all pairs")] = None,
    second: Annotated[str | None, Query(description="the recipe to compare it with")] = None,
) -> dict[str, Any]:
    """The flip certificate: pairs whose order is stable over the ladder of rates (all protocols that equal this one but
    for the rate), flips between two of them, or is unresolved, all claims together at `error_rate`; and the widest
    interval of rates around the protocol's own within which no pair flips. `refused`: why the leaderboard ranks nothing
    under this protocol, or null."""
    return read_flips(session, settings, protocol, suite, first, second)
