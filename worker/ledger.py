"""What an import checks its rows against: what is stored of the sets it names, and its own earlier rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from proxy.ranking.tuning import Setting, SweepPoint, write_setting
from proxy.results.tables import Row
from worker.references import metric_problem, recipe_key, sweep_point, value_problem
from worker.store.models import ExternalScore, Recipe, Reference

Kind = Literal["proxy", "reference"]
Result = Reference | ExternalScore
SCALE = ("unit", "parameters", "tokens")
Identity = tuple[object, ...]  # set, recipe, setting, seed, metric and size: what has one value


@dataclass(frozen=True, kw_only=True)
class ImportedResult:
    """One row as its table says it. `values` are the columns that both kinds of rows have, by their names."""

    row: Row
    kind: Kind
    set_name: str
    recipe: str
    values: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Fault:
    """Why a row cannot be taken."""

    column: str
    message: str


@dataclass(kw_only=True)
class Ledger:
    """`values` are those stored; `lines`, `metrics` and `settings` grow with every row that is taken."""

    metrics: dict[tuple[Kind, str], dict[str, str]] = field(default_factory=dict)  # directions by metric
    scales: dict[tuple[Kind, str, str], dict[str, Any]] = field(default_factory=dict)  # of the values of a metric
    settings: dict[tuple[str, str], Setting] = field(default_factory=dict)
    values: dict[Identity, set[float | None]] = field(default_factory=dict)
    lines: dict[Identity, int] = field(default_factory=dict)

    def take(self, result: ImportedResult, recipe: str) -> bool | Fault:
        """True for a new result, False for one that is stored already, or the fault; `recipe` is a recipe's key."""
        values = result.values
        wrong = metric_problem(values["metric"], values["direction"])
        wrong = wrong or value_problem(values["value"], values["stopped_early"])
        if wrong is not None:
            return Fault(column=wrong.pointer.removeprefix("/"), message=wrong.message)
        point = _point(result, recipe)
        identity = _identify(result.kind, result.set_name, point, values)
        fault = self._contradiction(result, point, identity)
        if fault is not None:
            return fault
        self.metrics.setdefault((result.kind, result.set_name), {})[values["metric"]] = values["direction"]
        self.note_scale(result.kind, result.set_name, values)
        self.settings[result.set_name, recipe] = point.setting
        self.lines[identity] = result.row.line
        return identity not in self.values

    def _contradiction(self, result: ImportedResult, point: SweepPoint, identity: Identity) -> Fault | None:
        fault = self._other_metric(result)
        if fault is not None:
            return fault
        if identity in self.lines:
            message = f"line {self.lines[identity]} has the same recipe, seed and hyperparameters"
            return Fault(column="recipe", message=message)
        stored = self.values.get(identity)
        if stored is not None and result.values["value"] not in stored:
            shown = " and ".join(str(value) for value in stored)
            message = f"{shown} is stored for this recipe, seed and hyperparameters, and no result is overwritten"
            return Fault(column="value", message=message)
        setting = self.settings.get((result.set_name, point.recipe), point.setting)
        if result.kind == "proxy" and setting != point.setting:
            message = "this recipe has other hyperparameters in the set; a proxy has one setting, so name another set"
            return Fault(column="proxy_set", message=message)
        return None

    def _other_metric(self, result: ImportedResult) -> Fault | None:
        """A metric has one direction in a set. A proxy set has one metric; a reference set may have several."""
        known = self.metrics.get((result.kind, result.set_name), {})
        metric, direction = result.values["metric"], result.values["direction"]
        if known.get(metric, direction) != direction:
            return Fault(column="direction", message=f"in set {result.set_name} {known[metric]} is better")
        if result.kind == "proxy" and known and metric not in known:
            (other,) = known
            return Fault(column="metric", message=f"set {result.set_name} holds {other} ({known[other]} is better)")
        return self._other_scale(result)

    def _other_scale(self, result: ImportedResult) -> Fault | None:
        """Values of a metric in a set have one unit and one scale: those of other sizes are no seeds of each other."""
        if result.values["value"] is None:
            return None  # given up: it has seen fewer tokens
        metric = result.values["metric"]
        for name, value in self.scales.get((result.kind, result.set_name, metric), {}).items():
            if result.values[name] != value:
                message = f"set {result.set_name} holds {metric} with {name} {value!r}; name another set"
                return Fault(column=name, message=message)
        return None

    def note_scale(self, kind: Kind, name: str, values: Mapping[str, Any]) -> None:
        """Remembers the scale of a metric that has a value."""
        if values["value"] is not None:
            self.scales[kind, name, values["metric"]] = {part: values[part] for part in SCALE}


def read_ledger(session: Session, results: Sequence[ImportedResult]) -> Ledger:
    """All stored rows of the sets that are named."""
    ledger = Ledger()
    references = {result.set_name for result in results if result.kind == "reference"}
    proxies = {result.set_name for result in results if result.kind == "proxy"}
    for reference in session.scalars(select(Reference).where(Reference.reference_set.in_(references))):
        _enter(ledger, "reference", reference.reference_set, reference)
    for score in session.scalars(select(ExternalScore).where(ExternalScore.proxy_set.in_(proxies))):
        _enter(ledger, "proxy", score.proxy_set, score)
    return ledger


def read_recipes(session: Session, results: Sequence[ImportedResult]) -> dict[str, Recipe]:
    """Those that the rows name, by name (the newest), fingerprint or id."""
    wanted = {result.recipe for result in results}
    found: dict[str, Recipe] = {}
    for recipe in session.scalars(select(Recipe).order_by(Recipe.created_at, Recipe.id.desc())):
        found |= dict.fromkeys(wanted & {recipe.name, recipe.fingerprint, recipe.id}, recipe)
    return found


def _enter(ledger: Ledger, kind: Kind, name: str, row: Result) -> None:
    point = sweep_point(row)
    size = {"metric": row.metric, "parameters": row.parameters, "tokens": row.tokens}
    ledger.metrics.setdefault((kind, name), {})[row.metric] = row.direction
    ledger.note_scale(kind, name, {"value": row.value, "unit": row.unit, **size})
    ledger.values.setdefault(_identify(kind, name, point, size), set()).add(row.value)
    if kind == "proxy":
        ledger.settings[name, recipe_key(row)] = point.setting


def _point(result: ImportedResult, recipe: str) -> SweepPoint:
    values = result.values
    return SweepPoint(
        recipe=recipe,
        learning_rate=values["learning_rate"],
        value=values["value"],
        stopped_early=values["stopped_early"],
        seed=values["seed"],
        other=write_setting(values["hyperparameters"]),
    )


def _identify(kind: Kind, name: str, point: SweepPoint, values: dict[str, Any]) -> Identity:
    said = (values["metric"], values["parameters"], values["tokens"])
    return (kind, name, point.recipe, point.setting, point.seed, *said)
