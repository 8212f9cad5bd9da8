"""What protocols look like over HTTP; what is sent is `proxy.protocols.Protocol` itself."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from proxy.recipes import Specification
from worker.store.models import Protocol


class AnchorsIn(Specification):
    """Which recipes' seed noise to keep with the protocol."""

    suite: str = Field(description="name (newest version), name@version, fingerprint or id")
    recipes: tuple[str, ...] = Field(min_length=1, description="name, fingerprint or id; each with at least two seeds")


class ProtocolOut(BaseModel):
    """One immutable version."""

    id: str
    name: str
    version: int
    fingerprint: str
    spec: dict[str, Any]
    rate_searches: list[str] = Field(description="ids of the searches that found its rate: they keep the evidence")
    created_at: datetime


def show(row: Protocol) -> ProtocolOut:
    """A row as people see it."""
    return ProtocolOut(
        id=row.id,
        name=row.name,
        version=row.version,
        fingerprint=row.fingerprint,
        spec=row.spec,
        rate_searches=[search.id for search in row.made_by],
        created_at=row.created_at,
    )
