"""What recipes look like over HTTP; what is sent is `proxy.recipes.Recipe` itself."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session

from worker.retirements import retired_of
from worker.store.models import Recipe


class RecipeOut(BaseModel):
    """A registered recipe. `corpora` says which content each source's reference meant."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    name: str
    fingerprint: str
    spec: dict[str, Any]
    corpora: dict[str, str]
    retired: list[str] = Field(default=[], description="corpora of it that were retired since: when and why")
    created_at: datetime


class ValidationOut(BaseModel):
    """What a submission would be told."""

    name: str
    fingerprint: str
    recipe: dict[str, Any] = Field(description="as understood, with all defaults")
    sources: list[dict[str, Any]] = Field(description="what each step removes, tokens available and drawn, epochs")
    doubts: list[dict[str, Any]] = Field(description="sources that by estimate cannot supply their share")
    is_estimate: bool = Field(description="a corpus was sampled: its columns or tokens are not computed yet")
    token_budget: int | None = None
    training_flops: float | None = None
    device_seconds: float | None = Field(default=None, description="of one run, by recent runs; null without any")
    leaks: int | None = None


class DifferenceOut(BaseModel):
    """One thing that differs; null where a side has nothing there."""

    path: str = Field(description="e.g. sources/web/share")
    a: Any
    b: Any


class DiffOut(BaseModel):
    """Two recipes and what sets them apart."""

    a: RecipeOut
    b: RecipeOut
    differences: list[DifferenceOut]


def show(session: Session, row: Recipe) -> RecipeOut:
    """A row as people see it."""
    shown = RecipeOut.model_validate(row)
    return shown.model_copy(update={"retired": retired_of(session, row.corpora.values())})
