"""Is the process alive, and can it do its work?"""

from fastapi import APIRouter
from sqlalchemy import text

from api.dependencies import Reading

router = APIRouter(tags=["health"])


@router.get("/healthz")
def is_alive() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok"}


@router.get("/readyz")
def is_ready(session: Reading) -> dict[str, str]:
    """The database answers and has its tables. A broker that is down only delays work, so it is not asked."""
    session.execute(text("SELECT 1 FROM runs LIMIT 1"))
    return {"status": "ready"}
