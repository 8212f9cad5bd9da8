"""What replications look like over HTTP."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field
from sqlalchemy import select
from sqlalchemy.orm import Session

from api.runs.schemas import RecipeRef, VersionRef, refer_to_recipe, refer_to_version
from proxy.recipes import Specification
from worker.replications import ReplicationRequest, conclusion_of, error_spent, progress_of
from worker.store.models import Recipe, Replication
from worker.store.states import State


class ReplicationIn(Specification):
    """Which recipes race, what is to be resolved, and how much may be spent."""

    resolve: str = Field(description="top-<number>, best, or pairs (the order of all)")
    recipes: tuple[str, ...] = Field(
        default=(),
        description="name, fingerprint or id; default: those of the newest race by the same rules in which all that "
        "are ranked took part, else all that the newest ranking has",
    )
    protocol: str | None = Field(default=None, description="any reference; default: the newest ranking's")
    suite: str | None = Field(default=None, description="any reference; default: the newest ranking's")
    budget: str | None = Field(
        default=None, description="training time of the whole race: 2h, 90m, 1h30m; scoring and compilation come on top"
    )
    max_runs: int | None = Field(default=None, description="most runs to train; with a budget, the smaller counts")
    error_rate: float = Field(default=0.05, description="α: the chance that anything said at any time is wrong")
    most_seeds: int = Field(default=16, description="of one recipe; fixes the looks: 2, 3, 4, 6, 8, 12, 16")

    def request(self) -> ReplicationRequest:
        """As the use case takes it."""
        return ReplicationRequest(**{name: getattr(self, name) for name in type(self).model_fields})


class ReplicationEstimate(BaseModel):
    """What a replication costs. Runs that have finished are not trained again."""

    recipes: int
    looks: list[int] = Field(description="numbers of seeds at which recipes are compared")
    runs_until_first_look: int
    runs_to_train_until_first_look: int
    most_runs: int = Field(description="if every recipe stayed open to the last look")
    seconds_per_run: float | None = Field(
        description="training alone, on one device; null: nothing like it was trained here"
    )
    budget_runs: int | None = Field(description="what the budget comes to; null: known once one run has been trained")
    most_device_seconds: float | None = Field(description="training of all runs one after the other")


class ReplicationForecast(ReplicationEstimate):
    """What a replication would cost, and what it would be of: protocol and suite may be the newest ranking's."""

    protocol: VersionRef
    suite: VersionRef
    replication: str | None = Field(
        description="the race that it is again; null: a new one, with an error rate of its own"
    )


class PlacedRecipe(BaseModel):
    """One recipe of the race."""

    recipe: RecipeRef
    place: Literal["best", "rest", "open", "ordered", "failed"] = Field(
        description="known to be among the best, known not to be, open; ordered: its order to all others is known"
    )
    seeds: int
    score: float | None = Field(description="bits per byte, mean over its seeds; order rests on shared seeds alone")
    better_than: list[str] = Field(description="ids of recipes that are known to be worse")
    reason: str | None = Field(description="why it failed")


class LookOut(BaseModel):
    """One look, taken once: what was known after it."""

    seeds: int
    best: list[str]
    rest: list[str]
    open: list[str]
    resolved_pairs: int
    error_spent: float
    runs_used: int
    taken_at: datetime


class ReplicationSummary(BaseModel):
    """A replication without its recipes."""

    id: str
    state: State
    outcome: str | None = Field(description="resolved, budget_spent, seeds_spent, no_noise, failures; null: not ended")
    conclusion: str | None
    resolve: str
    protocol: VersionRef
    suite: VersionRef
    error_rate: float
    error_spent: float = Field(description="the part of the error rate that the looks so far have used")
    most_seeds: int
    budget: str | None
    max_runs: int | None
    budget_runs: int | None = Field(description="what budget and max_runs come to")
    runs_used: int
    error: str | None
    created_at: datetime
    finished_at: datetime | None


class PointOut(BaseModel):
    """One evaluation of the race."""

    recipe: str
    seeds: int
    evaluation: str


class ReplicationOut(ReplicationSummary):
    """A replication, how far it is, and what is known."""

    recipes: list[PlacedRecipe]
    resolved_pairs: int
    estimate: ReplicationEstimate = Field(description="when it was submitted")
    seconds_per_run: float | None
    progress: dict[str, Any]
    looks: list[LookOut]
    points: list[PointOut]


def summarise(session: Session, row: Replication) -> ReplicationSummary:
    """A row as people see it in a list."""
    return ReplicationSummary(
        conclusion=conclusion_of(row, {key: recipe.name for key, recipe in _recipes(session, row).items()}),
        protocol=refer_to_version(row.protocol),
        suite=refer_to_version(row.suite),
        error_spent=error_spent(row),
        **{name: getattr(row, name) for name in PLAIN},
    )


PLAIN = (
    "id state outcome resolve error_rate most_seeds budget max_runs budget_runs runs_used error created_at finished_at"
).split()


def show(session: Session, row: Replication) -> ReplicationOut:
    """A row with everything that belongs to it."""
    return ReplicationOut(
        **summarise(session, row).model_dump(),
        recipes=_placed(session, row),
        resolved_pairs=0 if row.report is None else row.report["resolved_pairs"],
        estimate=ReplicationEstimate.model_validate(row.estimate),
        seconds_per_run=row.seconds_per_run,
        progress=progress_of(session, row),
        looks=[LookOut.model_validate(look) for look in row.looks],
        points=[PointOut.model_validate(point) for point in row.points],
    )


def _placed(session: Session, row: Replication) -> list[PlacedRecipe]:
    """As the last look placed them, those that failed last; before the first look all are open."""
    recipes = _recipes(session, row)
    known = [] if row.report is None else [one for one in row.report["recipes"] if one["recipe"] not in row.failed]
    unseen = {"place": "open", "seeds": 0, "score": None, "better_than": []}
    seen = {one["recipe"] for one in known}
    known += [unseen | {"recipe": key} for key in recipes if key not in seen and key not in row.failed]
    known += [unseen | {"recipe": key, "place": "failed"} for key in row.failed]
    return [
        PlacedRecipe.model_validate(
            one
            | {
                "recipe": refer_to_recipe(recipes[one["recipe"]]),
                "reason": row.failed.get(one["recipe"], {}).get("reason"),
            }
        )
        for one in known
    ]


def _recipes(session: Session, row: Replication) -> dict[str, Recipe]:
    found = {recipe.id: recipe for recipe in session.scalars(select(Recipe).where(Recipe.id.in_(row.recipes)))}
    return {key: found[key] for key in row.recipes}
