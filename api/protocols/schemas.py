"""What protocols look like over HTTP; what is sent is `proxy.protocols.Protocol` itself."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from proxy.recipes import Specification
from worker.store.models import Protocol


class AnchorsIn(Specification):
    """Which recipes' seed noise to keep with the protocol."""

    suite: str = Field(description="name (newest version), name@version, fingerprint or id")
    recipes: tuple[str, ...] = Field(min_length=1, description="name, fingerprint or id; each with at least two seeds")


class ProtocolOut(BaseModel):
    """One immutable version."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    name: str
    version: int
    fingerprint: str
    spec: dict[str, Any]
    created_at: datetime


def show(row: Protocol) -> ProtocolOut:
    """A row as people see it."""
    return ProtocolOut.model_validate(row)
