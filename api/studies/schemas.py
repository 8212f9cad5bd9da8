"""What studies look like over HTTP."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field
from sqlalchemy.orm import Session

from api.runs.schemas import RecipeRef, VersionRef, refer_to_recipe, refer_to_version
from worker.store.models import Protocol, Recipe, Study, Suite
from worker.store.states import State
from worker.studies import progress_of
from worker.studies.plans import trained_of


class PartCost(BaseModel):
    """Proxies, or references. Runs that have ended are not trained again."""

    parameters: int
    runs: int
    runs_to_train: int
    tokens_a_run: int
    tokens: int = Field(description="to train")
    tokens_per_second: float | None = Field(description="of runs alike lately; null: nothing like it was trained here")
    device_seconds: float | None = Field(description="of one device, one run after the other")


class StudyEstimate(BaseModel):
    """About what a study costs: sweeps are counted as if no rate were given up; more seeds at one more rate, where they
    move the best one, are not."""

    proxies: PartCost
    references: PartCost
    recipes_given: int = Field(0, description="whose references somebody registered: they are taken as they are")
    runs: int
    runs_to_train: int
    tokens: int
    device_seconds: float | None


class KindProgress(BaseModel):
    """Evaluations of one kind; `failed` are those among the ended that failed or were cancelled."""

    evaluations: int
    ended: int
    failed: int


class RunsProgress(BaseModel):
    """Runs by how far they are; one that several suites share counts once."""

    ended: int
    running: int
    queued: int


class StudyProgress(BaseModel):
    """How far a study is."""

    proxies: KindProgress
    sweeps: KindProgress
    more_seeds: KindProgress = Field(
        description="of references; asked for when a recipe's sweep has ended, and again where they move its best rate"
    )
    recipes_waiting_for_more_seeds: int = Field(description="whose sweep has not ended")
    runs: RunsProgress
    device_seconds_left: float | None = Field(description="at the estimate's speeds; null: they are not known")


class StudySummary(BaseModel):
    """A study without its evaluations."""

    id: str
    name: str
    description: str
    state: State
    suites: list[VersionRef]
    recipes: int
    proxies: dict[str, Any] = Field(description="rates and seeds, from first_seed on")
    references: dict[str, Any] = Field(description="rates, and seeds at the best rate, from first_seed on")
    error: str | None
    created_at: datetime
    finished_at: datetime | None


class StudyRecipeOut(BaseModel):
    """A recipe and its part in the study."""

    recipe: RecipeRef
    name: str
    axis: str
    kind: str | None
    has_references: bool


class RungOut(BaseModel):
    """A rate of the ladder and the protocol that proxies are trained under at it."""

    rate: float
    protocol: VersionRef


class StudyPoint(BaseModel):
    """One evaluation of the study."""

    kind: str = Field(description="proxies, sweeps or more_seeds")
    recipe: str
    suite: str
    protocol: str
    evaluation: str


class StudyOut(StudySummary):
    """A study and how far it is. The tables are its report."""

    parts: list[StudyRecipeOut]
    reference_sets: list[str] = Field(description="one a suite, in their order")
    ladder: list[RungOut]
    reference_protocol: VersionRef
    estimate: StudyEstimate = Field(description="when it was submitted")
    progress: StudyProgress
    points: list[StudyPoint]


def summarise(session: Session, row: Study) -> StudySummary:
    """A row as people see it in a list."""
    return StudySummary(
        description=row.spec["description"],
        suites=[refer_to_version(session.get_one(Suite, suite["id"])) for suite in row.spec["suites"]],
        recipes=len(row.spec["recipes"]),
        proxies=trained_of(row, "proxies"),
        references=trained_of(row, "references"),
        **{name: getattr(row, name) for name in ("id", "name", "state", "error", "created_at", "finished_at")},
    )


def show(session: Session, row: Study) -> StudyOut:
    """A row with everything that belongs to it."""
    return StudyOut(
        **summarise(session, row).model_dump(),
        parts=[_part(session, part) for part in row.spec["recipes"]],
        reference_sets=[suite["reference_set"] for suite in row.spec["suites"]],
        ladder=[
            RungOut(rate=step["rate"], protocol=_protocol(session, step["protocol"]))
            for step in row.protocols["ladder"]
        ],
        reference_protocol=_protocol(session, row.protocols["reference"]),
        estimate=StudyEstimate.model_validate(row.estimate),
        progress=StudyProgress.model_validate(progress_of(session, row)),
        points=[StudyPoint.model_validate(point) for point in row.points],
    )


def _part(session: Session, part: dict[str, Any]) -> StudyRecipeOut:
    return StudyRecipeOut(
        recipe=refer_to_recipe(session.get_one(Recipe, part["id"])),
        name=part["name"],
        axis=part["axis"],
        kind=part["kind"],
        has_references=part["is_referenced"],
    )


def _protocol(session: Session, protocol_id: str) -> VersionRef:
    return refer_to_version(session.get_one(Protocol, protocol_id))
