"""What schedules look like over HTTP."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from proxy.recipes import Name, Specification
from worker.schedules import Rule
from worker.store.models import Schedule, ScheduleSlot


class ScheduleIn(Specification):
    """A rule: when, and which recipes are evaluated again."""

    name: Name
    cron: str = Field(min_length=1, max_length=100, description="five fields, UTC")
    protocol: str = Field(description="by name: its newest version at each firing")
    suite: str = Field(description="by name: its newest version at each firing")
    seeds: int = Field(default=2, ge=1, le=100)
    tags: dict[str, str] = Field(default_factory=dict, description="only recipes that carry all of these")

    def rule(self) -> Rule:
        """As the use case takes it."""
        return Rule(**self.model_dump())


class ScheduleOut(BaseModel):
    """A stored rule."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    name: str
    cron: str
    protocol: str
    suite: str
    seeds: int
    tags: dict[str, str]
    is_enabled: bool
    created_at: datetime


class SlotOut(BaseModel):
    """One firing: evaluations it submitted, those that were already there, and recipes it could not submit."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    schedule_id: str
    slot: str
    submitted: list[str]
    reused: list[str]
    refused: list[dict[str, str]] = Field(description="recipes that can no longer be evaluated, and why")
    created_at: datetime


def show(row: Schedule) -> ScheduleOut:
    """A row as people see it."""
    return ScheduleOut.model_validate(row)


def show_slot(row: ScheduleSlot) -> SlotOut:
    """A row as people see it."""
    return SlotOut.model_validate(row)
