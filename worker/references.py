"""References: large-scale results of recipes, one hyperparameter setting a row. Labels are computed from all rows of
a set, never declared (statistics.md, section 5)."""

import datetime
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from proxy.errors import ConflictError, FieldProblem, InvalidInputError, NotFoundError
from proxy.fingerprints import fingerprint
from proxy.ranking.metrics import known_direction
from proxy.ranking.tuning import SweepPoint, TuningLabel, label_sweeps, write_setting
from worker.lookup import find_or_add
from worker.recipes import find_recipe
from worker.store.models import Evaluation, ExternalScore, Recipe, Reference

DIRECTIONS = ("lower", "higher")


@dataclass(frozen=True, kw_only=True)
class ReferenceFields:
    """One result as a user reports it; `value` is None where the rate was given up early."""

    reference_set: str
    recipe: str
    metric: str
    direction: str
    value: float | None
    parameters: int
    tokens: int
    unit: str = ""
    stopped_early: bool = False
    learning_rate: float | None = None
    hyperparameters: dict[str, Any] = field(default_factory=dict)
    seed: int | None = None
    source: str = ""
    evaluation: str | None = None
    date: datetime.date | None = None
    axis: str | None = None


@dataclass(frozen=True, kw_only=True)
class LabelledReference:
    """A row and what its recipe's sweep earned."""

    row: Reference
    label: str
    is_best: bool

    @property
    def id(self) -> str:
        """The row's."""
        return self.row.id


def register_reference(session: Session, reported: ReferenceFields) -> tuple[Reference, bool]:
    """The row and True if it is new; agreement with it is the caller's next step (worker.agreement)."""
    recipe = find_recipe(session, reported.recipe)
    _check(session, reported)
    content = {name: value for name, value in vars(reported).items() if name != "recipe"}
    key = request_key(content, recipe.fingerprint)

    def find() -> Reference | None:
        exact = session.scalars(select(Reference).where(Reference.request_key == key)).first()
        return exact or _same_run(session, reported, recipe)

    def make() -> Reference:
        columns = {name: value for name, value in content.items() if name != "evaluation"}
        return Reference(
            recipe_id=recipe.id,
            recipe_name=recipe.name,
            evaluation_id=reported.evaluation,
            request_key=key,
            **columns,
        )

    return find_or_add(session, find, make)


def _same_run(session: Session, reported: ReferenceFields, recipe: Recipe) -> Reference | None:
    """The stored result of the same setting and seed, whoever reported it. ConflictError if it has another value."""
    other = write_setting(reported.hyperparameters)
    asked = SweepPoint(recipe=recipe.id, learning_rate=reported.learning_rate, value=reported.value, other=other)
    for row in rows_of(session, reported.reference_set, reported.metric):
        is_same = row.recipe_id == recipe.id and row.seed == reported.seed and sweep_point(row).setting == asked.setting
        if is_same and row.value != reported.value:
            raise ConflictError(
                f"{row.value} is stored for recipe {recipe.name} with these hyperparameters and seed {row.seed}, and no"
                " result is overwritten; give each run its seed"
            )
        if is_same:
            return row
    return None


def request_key(content: Mapping[str, Any], recipe: str) -> str:
    """Names one reported result: the same again is the same row. `recipe` is a fingerprint."""
    # the younger columns count only where they are used, so that older keys stay what they were
    said = {name: value for name, value in content.items() if name not in ("axis", "date") or value is not None}
    if "date" in said:
        said["date"] = said["date"].isoformat()
    return fingerprint({**said, "recipe": recipe})


def metric_problem(metric: str, direction: str) -> FieldProblem | None:
    """What is wrong with a direction on its own, or against a metric whose name says the opposite."""
    if direction not in DIRECTIONS:
        return FieldProblem(pointer="/direction", value=direction, message="must be lower or higher")
    known = known_direction(metric)
    if known is not None and known != direction:
        return FieldProblem(pointer="/direction", value=direction, message=f"{metric} is better when {known}")
    return None


def value_problem(value: float | None, stopped_early: bool) -> FieldProblem | None:
    """A result has a value, or says that its setting was given up."""
    if (value is None) == stopped_early:
        return None
    message = "must be there unless stopped_early is true, and only then"
    return FieldProblem(pointer="/value", value=value, message=message)


def scale_problem(rows: Iterable[Reference | ExternalScore], reported: Mapping[str, Any]) -> FieldProblem | None:
    """A set compares one metric at one scale and in one unit: values of other sizes are no seeds of each other.
    Settings that were given up have seen fewer tokens, and have no value."""
    for row in rows:
        for name in ("unit", "parameters", "tokens"):
            is_value = row.value is not None and reported["value"] is not None
            if (is_value or name == "unit") and getattr(row, name) != reported[name]:
                message = f"the set holds {row.metric} with {name} {getattr(row, name)!r}; name another set"
                return FieldProblem(pointer=f"/{name}", value=reported[name], message=message)
    return None


def _check(session: Session, reported: ReferenceFields) -> None:
    found = (metric_problem(reported.metric, reported.direction), value_problem(reported.value, reported.stopped_early))
    problems = [problem for problem in found if problem is not None]
    if problems:
        raise InvalidInputError(problems[:1])
    if reported.evaluation is not None and session.get(Evaluation, reported.evaluation) is None:
        raise InvalidInputError.at("/evaluation", reported.evaluation, "no such evaluation")
    rows = rows_of(session, reported.reference_set, reported.metric)
    if rows and rows[0].direction != reported.direction:
        message = f"in set {reported.reference_set}, {rows[0].metric} is better when {rows[0].direction}"
        raise InvalidInputError.at("/direction", reported.direction, message)
    fault = scale_problem(rows, vars(reported))
    if fault is not None:
        raise InvalidInputError([fault])


def list_references(
    session: Session, reference_set: str | None = None, recipe: str | None = None
) -> list[LabelledReference]:
    """Rows with their labels, in order of registration. `recipe` narrows what is shown, not what labels see."""
    query = select(Reference).order_by(Reference.created_at, Reference.id)
    if reference_set is not None:
        query = query.where(Reference.reference_set == reference_set)
    rows = session.scalars(query).all()
    wanted = None if recipe is None else _wanted_key(session, rows, recipe)
    by_metric: dict[tuple[str, str], list[Reference]] = defaultdict(list)
    for row in rows:
        by_metric[row.reference_set, row.metric].append(row)
    labels = {key: label_rows(part) for key, part in by_metric.items()}
    return [
        _labelled(row, labels[row.reference_set, row.metric][recipe_key(row)])
        for row in rows
        if wanted is None or recipe_key(row) == wanted
    ]


def _wanted_key(session: Session, rows: Sequence[Reference], recipe: str) -> str:
    unregistered = {row.recipe_name: recipe_key(row) for row in rows if row.recipe_id is None}
    return unregistered.get(recipe) or find_recipe(session, recipe).id


def get_reference(session: Session, reference_id: str) -> LabelledReference:
    """By id, with its label. NotFoundError if there is none."""
    row = session.get(Reference, reference_id)
    if row is None:
        raise NotFoundError(f"no reference {reference_id!r}")
    return next(part for part in list_references(session, row.reference_set) if part.id == reference_id)


def recipe_key(row: Reference | ExternalScore) -> str:
    """Which recipe a row is about: the id of a registered one, else its name behind a mark that no id has."""
    return row.recipe_id or f"name:{row.recipe_name}"


def label_rows(rows: Sequence[Reference]) -> dict[str, TuningLabel]:
    """What each recipe earned by one metric of a set, by `recipe_key`. Rows of other seeds count towards the mean of
    their setting."""
    return label_sweeps(points_of(rows), "lower" if rows[0].direction == "lower" else "higher") if rows else {}


def points_of(rows: Sequence[Reference]) -> list[SweepPoint]:
    """Rows as labels and noise are computed from."""
    return [sweep_point(row) for row in rows]


def sweep_point(row: Reference | ExternalScore) -> SweepPoint:
    """As labels see it."""
    return SweepPoint(
        recipe=recipe_key(row),
        learning_rate=row.learning_rate,
        value=row.value,
        stopped_early=row.stopped_early,
        seed=row.seed,
        other=write_setting(row.hyperparameters),
    )


def _labelled(row: Reference, label: TuningLabel) -> LabelledReference:
    is_best = row.value is not None and sweep_point(row).setting == label.best_setting
    return LabelledReference(row=row, label=label.label, is_best=is_best)


def reference_metrics(session: Session) -> list[tuple[str, str]]:
    """Every set with each of its metrics."""
    columns = select(Reference.reference_set, Reference.metric).distinct()
    rows = session.execute(columns.order_by(Reference.reference_set, Reference.metric))
    return [(reference_set, metric) for reference_set, metric in rows]


def rows_of(session: Session, reference_set: str, metric: str) -> Sequence[Reference]:
    """All results of a set by one metric, in an order that does not depend on their arrival."""
    query = select(Reference).where(Reference.reference_set == reference_set, Reference.metric == metric)
    return session.scalars(query.order_by(Reference.request_key)).all()
