"""What references look like over HTTP."""

import json
from datetime import date, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field, field_validator

from api.runs.schemas import RecipeRef, refer_to_recipe
from proxy.recipes import Name, Specification
from worker.references import LabelledReference, ReferenceFields
from worker.store.models import ExternalScore, Reference


def _parse_day(value: object) -> object:
    """Days as ISO 8601 writes them; Pydantic alone would take 20260131 for seconds since 1970."""
    if isinstance(value, str):
        try:
            return date.fromisoformat(value)
        except ValueError as error:
            raise ValueError("must be a day such as 2026-01-31") from error
    if value is None or type(value) is date:
        return value
    raise ValueError("must be a day such as 2026-01-31")


Day = Annotated[date, BeforeValidator(_parse_day)]


class ResultIn(Specification):
    """One measured result of a recipe, without the set it belongs to."""

    recipe: str = Field(min_length=1, description="name, fingerprint or id of a registered recipe")
    axis: str | None = Field(default=None, min_length=1, max_length=100, description="what the recipe varies")
    metric: str = Field(min_length=1, max_length=100, description="e.g. bits_per_byte, core_v1")
    direction: Literal["lower", "higher"] = Field(description="which values are better")
    unit: str = Field(default="", max_length=40)
    value: float | None = Field(default=None, allow_inf_nan=False)
    stopped_early: bool = Field(default=False, description="this setting was given up as hopeless; it has no value")
    learning_rate: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    hyperparameters: dict[str, Any] = Field(default_factory=dict, description="what else was tuned")
    seed: int | None = Field(default=None, ge=0, lt=2**31)
    parameters: int = Field(gt=0)
    tokens: int = Field(gt=0)
    source: str = Field(default="", description="where the figure comes from")
    date: Day | None = Field(default=None, description="when it was measured")

    @field_validator("hyperparameters")
    @classmethod
    def _numbers_are_finite(cls, value: dict[str, Any]) -> dict[str, Any]:
        try:
            json.dumps(value, allow_nan=False)
        except ValueError as error:
            raise ValueError("holds NaN or an infinity, which JSON cannot store") from error
        return value


class ReferenceIn(ResultIn):
    """One large-scale result at one setting of the hyperparameters."""

    reference_set: Name = Field(description="results that are compared with each other")
    evaluation: str | None = Field(default=None, description="if it was trained here")

    def fields(self) -> ReferenceFields:
        """As the use case takes it."""
        return ReferenceFields(**self.model_dump())


class ResultOut(BaseModel):
    """A result as it was registered, with the recipe it is of."""

    id: str
    recipe: RecipeRef | None = Field(description="null for a recipe that is not registered")
    recipe_name: str
    axis: str | None
    metric: str
    direction: str
    unit: str
    value: float | None
    stopped_early: bool
    learning_rate: float | None
    hyperparameters: dict[str, Any]
    seed: int | None
    parameters: int
    tokens: int
    source: str
    date: Day | None
    created_at: datetime


class ReferenceOut(ResultOut):
    """A registered result and the label that its recipe's sweep earned."""

    reference_set: str
    evaluation: str | None
    label: str = Field(description="computed: tuned | swept, at the edge | swept, unequal | single")
    is_best: bool = Field(description="this rate is the sweep's best")


class ProxyScoreOut(ResultOut):
    """A proxy score that was measured elsewhere."""

    proxy_set: str


def show(labelled: LabelledReference) -> ReferenceOut:
    """A row with its label as people see it."""
    row = labelled.row
    return ReferenceOut(
        **_show_result(row),
        reference_set=row.reference_set,
        evaluation=row.evaluation_id,
        label=labelled.label,
        is_best=labelled.is_best,
    )


def show_score(row: ExternalScore) -> ProxyScoreOut:
    """A score as people see it."""
    return ProxyScoreOut(**_show_result(row), proxy_set=row.proxy_set)


def _show_result(row: Reference | ExternalScore) -> dict[str, Any]:
    recipe = None if row.recipe is None else refer_to_recipe(row.recipe)
    kept = (name for name in ResultOut.model_fields if name != "recipe")
    return {"recipe": recipe, **{name: getattr(row, name) for name in kept}}
