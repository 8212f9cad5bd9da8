"""How well a ranking agrees with registered references."""

from typing import Any

from fastapi import APIRouter

from api.dependencies import Reading
from worker.agreement import read_agreement

router = APIRouter(prefix="/agreement", tags=["agreement"])


@router.get("")
def show(
    session: Reading, protocol: str | None = None, suite: str | None = None, reference_set: str | None = None
) -> dict[str, Any]:
    """The newest figures with their intervals (null where none is due), what chance gives, and the points."""
    return read_agreement(session, protocol, suite, reference_set)
