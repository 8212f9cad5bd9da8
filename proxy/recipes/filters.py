"""Steps that keep some of a source's documents. They apply in the order in which they are written.

A filter reads one number or value a document: its length, a field that came with it, or a statistic of its text
(proxy/data/statistics). So a filter never reads text twice, and its thresholds can be varied at no cost.
"""

import math
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag, WithJsonSchema, model_validator

from proxy.data.heuristics import find_heuristic
from proxy.data.statistics import find_statistic
from proxy.recipes.specification import Specification, as_fault, fault


def _scalar(value: Any) -> Any:
    """As documents hold it: 1.0 is 1."""
    if value is None:
        return None
    if not isinstance(value, bool | int | float | str) or value != value or value in (math.inf, -math.inf):
        raise ValueError("must be text, a finite number, true or false")
    return int(value) if isinstance(value, float) and value.is_integer() else value


Scalar = Annotated[Any, AfterValidator(_scalar), WithJsonSchema({"type": ["string", "number", "boolean"]})]
Finite = Annotated[float, Field(allow_inf_nan=False)]
FieldName = Annotated[str, Field(min_length=1, max_length=200)]

PREDICATES = ("equals", "any_of", "glob", "minimum", "maximum", "since", "before")


class Measure(Specification):
    """One number a document: a `field` that came with the corpus, or a `statistic` of the text; exactly one of them."""

    field: FieldName | None = None
    statistic: FieldName | None = None

    @model_validator(mode="after")
    def _one_of_the_two(self) -> "Measure":
        if (self.field is None) == (self.statistic is None):
            raise fault("/field", self.field, "exactly one of field and statistic is needed")
        if self.statistic is not None:
            check_statistic(self.statistic)
        return self


class LengthFilter(Specification):
    """Keeps documents whose text has between `minimum` and `maximum` characters, both included."""

    kind: Literal["length"] = "length"
    minimum: int = Field(default=0, ge=0)
    maximum: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _bounds_are_ordered(self) -> "LengthFilter":
        _check_order(self.minimum, self.maximum)
        return self


class FieldFilter(Specification):
    """A slice of a corpus: documents whose `field` meets every condition that is given.

    `minimum` and `maximum` are numbers, both included; `since` (included) and `before` (not) compare ISO 8601 dates or
    other text; `glob` matches text (`*.gov/*`). A document without the field meets none. `exclude` keeps the others.
    """

    kind: Literal["field"] = "field"
    field: FieldName
    equals: Scalar = None
    any_of: tuple[Scalar, ...] | None = Field(default=None, min_length=1, max_length=100_000)
    glob: str | None = Field(default=None, min_length=1, max_length=1000)
    minimum: Finite | None = None
    maximum: Finite | None = None
    since: str | None = Field(default=None, min_length=1, max_length=100)
    before: str | None = Field(default=None, min_length=1, max_length=100)
    exclude: bool = False

    @model_validator(mode="after")
    def _has_ordered_conditions(self) -> "FieldFilter":
        if all(getattr(self, name) is None for name in PREDICATES):
            raise fault("", self.model_dump(exclude_none=True), f"has no condition; known are {', '.join(PREDICATES)}")
        _check_order(self.minimum, self.maximum)
        if self.since is not None and self.before is not None and self.before <= self.since:
            raise fault("/before", self.before, f"is not after since {self.since!r}")
        return self


class StatisticFilter(Specification):
    """Keeps documents whose statistic lies between `minimum` and `maximum`, both included."""

    kind: Literal["statistic"] = "statistic"
    statistic: FieldName
    minimum: Finite | None = None
    maximum: Finite | None = None

    @model_validator(mode="after")
    def _has_ordered_limits(self) -> "StatisticFilter":
        check_statistic(self.statistic)
        if self.minimum is None and self.maximum is None:
            raise fault("/minimum", None, "is missing; a minimum or a maximum is needed")
        _check_order(self.minimum, self.maximum)
        return self


class HeuristicFilter(Specification):
    """A published set of rules by name, with its published limits; `limits` changes some of them by rule name."""

    kind: Literal["heuristic"] = "heuristic"
    heuristic: FieldName
    limits: dict[str, Finite] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _is_published(self) -> "HeuristicFilter":
        with as_fault():
            find_heuristic(self.heuristic, self.limits)
        return self


class QuantileFilter(Measure):
    """Keeps the documents between two quantiles of a measure, of those that reach this step.

    Documents are ranked by (measure, content), so that [0, 0.5] and [0.5, 1] share none and leave none out.
    """

    kind: Literal["quantile"] = "quantile"
    low: float = Field(ge=0, lt=1, allow_inf_nan=False)
    high: float = Field(gt=0, le=1, allow_inf_nan=False)

    @model_validator(mode="after")
    def _bounds_are_ordered(self) -> "QuantileFilter":
        check_quantiles(self.low, self.high)
        return self


def check_statistic(name: str) -> None:
    """A fault at /statistic for a name that is unknown."""
    with as_fault():
        find_statistic(name, "/statistic")


def check_quantiles(low: float, high: float) -> None:
    """A fault at /high unless low lies below it."""
    if high <= low:
        raise fault("/high", high, f"is not above low {low:g}")


def _check_order(minimum: float | None, maximum: float | None) -> None:
    if minimum is not None and maximum is not None and maximum < minimum:
        raise fault("/maximum", maximum, f"is below minimum {minimum}")


KINDS: dict[str, type[Specification]] = {
    "length": LengthFilter,
    "field": FieldFilter,
    "statistic": StatisticFilter,
    "heuristic": HeuristicFilter,
    "quantile": QuantileFilter,
}


def _kind(value: Any) -> str | None:
    """The tag of a filter; brackets mark it as no part of a pointer. Without a kind it is a length filter."""
    kind = value.get("kind", "length") if isinstance(value, dict) else getattr(value, "kind", None)
    return f"({kind})" if isinstance(kind, str) and kind in KINDS else None


def _known(value: Any) -> Any:
    if isinstance(value, dict) and _kind(value) is None:
        raise fault("/kind", value["kind"], f"must be one of {', '.join(KINDS)}")
    return value


Filter = Annotated[
    Annotated[LengthFilter, Tag("(length)")]
    | Annotated[FieldFilter, Tag("(field)")]
    | Annotated[StatisticFilter, Tag("(statistic)")]
    | Annotated[HeuristicFilter, Tag("(heuristic)")]
    | Annotated[QuantileFilter, Tag("(quantile)")],
    Discriminator(_kind, custom_error_type="no_filter", custom_error_message="is no filter"),
    BeforeValidator(_known),
]
