"""What suites look like over HTTP; what is sent is `proxy.suites.Suite` itself."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

from worker.store.models import Suite


class SuiteOut(BaseModel):
    """One immutable version."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    name: str
    version: int
    fingerprint: str
    spec: dict[str, Any]
    created_at: datetime


def show(row: Suite) -> SuiteOut:
    """A row as people see it."""
    return SuiteOut.model_validate(row)
