"""What recipes look like over HTTP; what is sent is `proxy.recipes.Recipe` itself."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from worker.store.models import Recipe


class RecipeOut(BaseModel):
    """A registered recipe. `corpora` says which content each source's reference meant."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    name: str
    fingerprint: str
    spec: dict[str, Any]
    corpora: dict[str, str]
    created_at: datetime


class ValidationOut(BaseModel):
    """What a submission would be told."""

    name: str
    fingerprint: str
    sources: list[dict[str, Any]] = Field(description="documents and bytes before and after each source's steps")
    token_budget: int | None = None
    training_flops: float | None = None
    leaks: int | None = None


def show(row: Recipe) -> RecipeOut:
    """A row as people see it."""
    return RecipeOut.model_validate(row)
