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
    protocol: dict[str, Any] | None
    suite: dict[str, Any] | None
    leaderboard: str | None = Field(description="the ranking's snapshot; null for imported scores")
    proxy_set: str | None = Field(description="imported scores that stand where a ranking does otherwise")
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
    named = ("reference_set", "metric", "n", "is_evidence")
    perhaps = ("protocol", "suite", "leaderboard", "proxy_set", "references", "alarm")
    return PastAgreement(
        id=row.id,
        created_at=row.created_at,
        **{name: body[name] for name in named},
        **{name: body.get(name) for name in perhaps},
        figures={f"{name}{side}": body[f"{name}{side}"] for name in FIGURES for side in ("", "_low", "_high")},
    )
