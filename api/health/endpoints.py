"""Is the process alive, and can it do its work?"""

from fastapi import APIRouter
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from api.dependencies import Reading
from proxy.errors import ForetasteError


class NotReadyError(ForetasteError):
    """The process runs but cannot do its work yet."""

    status = 503
    title = "Not ready"


router = APIRouter(tags=["health"])


@router.get("/healthz")
def is_alive() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok"}


@router.get("/readyz")
def is_ready(session: Reading) -> dict[str, str]:
    """The database answers and has its tables. A broker that is down only delays work, so it is not asked."""
    try:
        session.execute(text("SELECT 1 FROM runs LIMIT 1"))
    except ProgrammingError as error:  # PostgreSQL's word for a missing table; SQLite's is an OperationalError
        raise NotReadyError("the database has no tables yet: run `foretaste migrate`") from error
    return {"status": "ready"}
