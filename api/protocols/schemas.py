"""What protocols look like over HTTP; what is sent is `proxy.protocols.Protocol` itself."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

from worker.store.models import Protocol


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
