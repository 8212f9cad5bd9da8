"""What evaluations look like over HTTP."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field
from sqlalchemy.orm import Session

from api.runs.schemas import RecipeRef, RunOut, VersionRef, refer_to_recipe, refer_to_version, show_run
from proxy.recipes import Specification
from proxy.seeds import MOST_FIRST_SEED
from worker.evaluation_runs import scores_of_runs
from worker.evaluations import Request
from worker.retirements import contents_of_suite, retired_of
from worker.store.models import Evaluation
from worker.store.states import State
from worker.survival import standing_of_evaluation


class EvaluationIn(Specification):
    """What to evaluate. References may name the rates of their sweep; a proxy trains at its protocol's rate."""

    recipe: str | dict[str, Any] = Field(description="name, fingerprint or id of a recipe, or the recipe itself")
    protocol: str = Field(description="name (newest version), name@version, fingerprint or id")
    suite: str = Field(description="name (newest version), name@version, fingerprint or id")
    kind: Literal["proxy", "reference"] = "proxy"
    seeds: int = Field(default=1, ge=1, le=100)
    first_seed: int = Field(
        default=0, ge=0, le=MOST_FIRST_SEED, description="the seeds are this one and those that follow it"
    )
    learning_rates: tuple[float, ...] = Field(default=(), description="the grid of a reference's sweep")
    replicate: int = Field(
        default=0,
        ge=0,
        lt=2**31,
        description="above 0: a repetition that draws its own documents, kept out of the ranking",
    )

    def request(self) -> Request:
        """As the use case takes it."""
        return Request(**{name: getattr(self, name) for name in type(self).model_fields})


class EvaluationSummary(BaseModel):
    """An evaluation without its runs."""

    id: str
    kind: str
    state: State
    recipe: RecipeRef
    protocol: VersionRef
    suite: VersionRef
    seeds: int
    first_seed: int
    learning_rates: list[float]
    replicate: int
    created_at: datetime
    finished_at: datetime | None


class EvaluationOut(EvaluationSummary):
    """An evaluation with its runs and their scores on its suite."""

    error: str | None = Field(description="what its failed runs said")
    standing: dict[str, Any] | None = Field(
        description="once finished: valid, bridgeable or stale after newer suites, protocols or corpora, with reasons"
    )
    retired: list[str] = Field(description="corpora of its recipe or suite that were retired since: when and why")
    runs: list[RunOut]


def summarise(row: Evaluation) -> EvaluationSummary:
    """A row as people see it in a list."""
    return EvaluationSummary(
        id=row.id,
        kind=row.kind,
        state=row.state,
        recipe=refer_to_recipe(row.recipe),
        protocol=refer_to_version(row.protocol),
        suite=refer_to_version(row.suite),
        seeds=row.seeds,
        first_seed=row.first_seed,
        learning_rates=row.learning_rates,
        replicate=row.replicate,
        created_at=row.created_at,
        finished_at=row.finished_at,
    )


def show(session: Session, row: Evaluation) -> EvaluationOut:
    """A row with everything that belongs to it."""
    errors = [f"seed {run.seed}, rate {run.learning_rate:g}: {run.error}" for run in row.runs if run.error]
    return EvaluationOut(
        **summarise(row).model_dump(),
        error="; ".join(errors) or None,
        standing=standing_of_evaluation(session, row) if row.state == State.FINISHED else None,
        retired=retired_of(session, {*row.recipe.corpora.values(), *contents_of_suite(row.suite)}),
        runs=show_runs(session, row),
    )


def show_runs(session: Session, row: Evaluation) -> list[RunOut]:
    """Its runs, scored on its suite alone."""
    scores = scores_of_runs(session, [run.id for run in row.runs], row.suite_id)
    return [show_run(run, scores.get(run.id, [])) for run in row.runs]
