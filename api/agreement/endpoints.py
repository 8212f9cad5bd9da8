"""How well a ranking agrees with registered references."""

from typing import Any

from fastapi import APIRouter

from api.agreement.schemas import PastAgreement, show_past
from api.dependencies import Reading
from api.pagination import Cursor, Limit, Page, paginate
from worker.agreement import list_history, read_agreement

router = APIRouter(prefix="/agreement", tags=["agreement"])


@router.get("")
def show(
    session: Reading, protocol: str | None = None, suite: str | None = None, reference_set: str | None = None
) -> dict[str, Any]:
    """The newest figures with their intervals (null where none is due), what chance gives, and the points."""
    return read_agreement(session, protocol, suite, reference_set)


@router.get("/history")
def show_history(
    session: Reading,
    protocol: str | None = None,
    suite: str | None = None,
    reference_set: str | None = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[PastAgreement]:
    """Every comparison that was made as references and evaluations arrived, the newest first."""
    return paginate(list_history(session, protocol, suite, reference_set), cursor, limit, show_past)
