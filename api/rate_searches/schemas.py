"""What rate searches look like over HTTP."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field
from sqlalchemy.orm import Session

from api.runs.schemas import RecipeRef, VersionRef, refer_to_recipe, refer_to_version
from proxy.recipes import Specification
from proxy.seeds import MOST_FIRST_SEED
from worker.rate_searches import SearchRequest, progress_of
from worker.store.models import RateSearch, Recipe
from worker.store.states import State


class RateSearchIn(Specification):
    """Whose rate is searched, on which suite, over which anchors and rates."""

    protocol: str = Field(description="name (newest version), name@version, fingerprint or id")
    suite: str = Field(description="name (newest version), name@version, fingerprint or id")
    anchors: tuple[str, ...] = Field(description="at least 3 different recipes: name, fingerprint or id")
    rates: tuple[float, ...] = Field(
        default=(), description="at least 3; default: 4, 2, 1, 1/2, 1/4, 1/10, 1/30 and 1/100 of the standard rate"
    )
    seeds: int = Field(default=3, description="at least 2")
    first_seed: int = Field(
        default=0, ge=0, le=MOST_FIRST_SEED, description="the seeds are this one and those that follow it"
    )
    steps: int | None = Field(default=None, ge=1, description="budget of a run; default: the protocol's")

    def request(self) -> SearchRequest:
        """As the use case takes it."""
        return SearchRequest(**{name: getattr(self, name) for name in type(self).model_fields})


class EstimateOut(BaseModel):
    """What a search costs, one control on shuffled tokens included. Runs that have finished are not trained again."""

    runs: int
    runs_to_train: int
    tokens: int
    training_flops: float
    tokens_per_second: float | None = Field(description="of one run lately; null: nothing like it was trained here")
    device_seconds: float | None = Field(description="of all runs one after the other; null: the speed is unknown")


class PointOut(BaseModel):
    """One evaluation of the ladder, or of a control on shuffled tokens."""

    rate: float
    recipe: str
    protocol: str
    evaluation: str
    is_shuffled: bool = False


class RateSearchSummary(BaseModel):
    """A search without its evidence."""

    id: str
    state: State
    protocol: VersionRef
    suite: VersionRef
    rates: list[float]
    seeds: int
    first_seed: int
    steps: int
    outcome: str | None = Field(description="chosen, optimum at the edge, no rate low enough, nothing passes")
    rate: float | None = Field(description="the rate that was chosen")
    found: VersionRef | None = Field(description="the protocol's version that was made of it")
    conclusion: str | None
    error: str | None
    created_at: datetime
    finished_at: datetime | None


class RateSearchOut(RateSearchSummary):
    """A search, how far it is, and once it has ended everything that it was decided from."""

    anchors: list[RecipeRef]
    estimate: EstimateOut = Field(description="when it was submitted")
    progress: dict[str, Any]
    points: list[PointOut]
    report: dict[str, Any] | None


def summarise(row: RateSearch) -> RateSearchSummary:
    """A row as people see it in a list."""
    report = row.report or {}
    return RateSearchSummary(
        id=row.id,
        state=row.state,
        protocol=refer_to_version(row.protocol),
        suite=refer_to_version(row.suite),
        rates=row.rates,
        seeds=row.seeds,
        first_seed=row.first_seed,
        steps=row.steps,
        outcome=report.get("outcome"),
        rate=report.get("rate"),
        found=None if row.found is None else refer_to_version(row.found),
        conclusion=report.get("conclusion"),
        error=row.error,
        created_at=row.created_at,
        finished_at=row.finished_at,
    )


def show(session: Session, row: RateSearch) -> RateSearchOut:
    """A row with everything that belongs to it."""
    return RateSearchOut(
        **summarise(row).model_dump(),
        anchors=[refer_to_recipe(session.get_one(Recipe, anchor)) for anchor in row.anchors],
        estimate=EstimateOut.model_validate(row.estimate),
        progress=progress_of(session, row),
        points=[PointOut.model_validate(point) for point in row.points],
        report=row.report,
    )
