"""What the history of an agreement looks like over HTTP."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from worker.store.models import Agreement

FIGURES = ("spearman", "kendall", "decision_accuracy", "regret_at_1")


class PastAgreement(BaseModel):
    """One comparison as it was made, and the versions it was made from; figures have `_low` and `_high`."""

    id: str
    created_at: datetime
    protocol: dict[str, Any]
    suite: dict[str, Any]
    leaderboard: str = Field(description="id of the ranking's snapshot")
    reference_set: str
    metric: str
    references: int | None = Field(description="rows of the reference set at that time")
    n: int
    figures: dict[str, float | None]
    is_evidence: bool
    alarm: str | None


def show_past(row: Agreement) -> PastAgreement:
    """A snapshot without its points."""
    body = row.body
    named = ("protocol", "suite", "leaderboard", "reference_set", "metric", "n", "is_evidence")
    return PastAgreement(
        id=row.id,
        created_at=row.created_at,
        **{name: body[name] for name in named},
        references=body.get("references"),
        figures={f"{name}{side}": body[f"{name}{side}"] for name in FIGURES for side in ("", "_low", "_high")},
        alarm=body.get("alarm"),
    )
