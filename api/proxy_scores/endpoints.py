"""Proxy scores that were measured elsewhere; they come in by `/v1/references:import`."""

from fastapi import APIRouter

from api.dependencies import Reading
from api.pagination import Cursor, Limit, Page, paginate
from api.references.schemas import ProxyScoreOut, show_score
from worker.external import list_scores

router = APIRouter(prefix="/proxy-scores", tags=["proxy scores"])


@router.get("")
def show_all(
    session: Reading, proxy_set: str | None = None, limit: Limit = 100, cursor: Cursor = None
) -> Page[ProxyScoreOut]:
    """Imported scores, oldest first."""
    return paginate(list_scores(session, proxy_set), cursor, limit, show_score)
