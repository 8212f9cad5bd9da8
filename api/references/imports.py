"""Tables of results: `POST /v1/references:import`. A row is what `POST /v1/references` takes, flat."""

from typing import Any, Literal

from pydantic import BaseModel, Field, ValidationError, model_validator

from api.errors import FieldError, json_safe
from api.references.schemas import ResultIn
from proxy.errors import FieldProblem
from proxy.recipes import Name
from proxy.results.scores import read_hyperparameters
from proxy.results.tables import Problems, Row, read_table, require_columns
from worker.imports import ImportReport
from worker.ledger import ImportedResult
from worker.parsing import problems_of

MOST_ROWS = 20_000  # some seconds in one transaction
REQUIRED = ("recipe", "metric", "direction", "value", "parameters", "tokens")
COLUMNS = (
    "Columns: kind (reference, or proxy for scores measured elsewhere), reference_set or proxy_set, recipe, metric, "
    "direction, value, unit, learning_rate, parameters, tokens, seed, source, date, stopped_early, axis; any further "
    "column is a hyperparameter."
)


class ResultRow(ResultIn):
    """One row. A row of proxy scores names a `proxy_set`, the others a `reference_set`."""

    kind: Literal["proxy", "reference"] = "reference"
    reference_set: Name | None = None
    proxy_set: Name | None = None

    @model_validator(mode="after")
    def _names_its_set(self) -> "ResultRow":
        if self.set_name is None:
            raise ValueError(f"a {self.kind} row needs a {self.kind}_set")
        return self

    @property
    def set_name(self) -> str | None:
        """The set of the row's kind."""
        return self.proxy_set if self.kind == "proxy" else self.reference_set


class ImportOut(BaseModel):
    """What an import did."""

    imported: int = Field(description="rows that were written")
    unchanged: int = Field(description="rows that were there already")
    refused: int = Field(description="rows with a fault; only a partial import has any")
    errors: list[FieldError] = Field(description="the faults, by row and column")


OWN_COLUMNS = tuple(name for name in ResultRow.model_fields if name != "hyperparameters")


def read_results(content: bytes, problems: Problems) -> list[ImportedResult]:
    """The rows without a fault of their own; every fault is added to the problems."""
    table = read_table(content, problems)
    require_columns(table, REQUIRED, problems)
    if len(table.rows) > MOST_ROWS:
        problems.stop(f"a table may have {MOST_ROWS:,} rows; split it", len(table.rows))
    others = [name for name in table.columns if name not in OWN_COLUMNS]
    sound = [row for row in table.rows if row.index not in problems.rows]
    results = [_read_row(row, others, problems) for row in sound]
    return [result for result in results if result is not None]


def show_report(report: ImportReport, problems: Problems) -> ImportOut:
    """Counts and faults as people see them."""
    return ImportOut(
        imported=report.imported,
        unchanged=report.unchanged,
        refused=report.refused,
        errors=[_show(problem) for problem in problems.shown()],
    )


def _show(problem: FieldProblem) -> FieldError:
    return FieldError(pointer=problem.pointer, detail=problem.message, value=json_safe(problem.value))


def _read_row(row: Row, others: list[str], problems: Problems) -> ImportedResult | None:
    said: dict[str, Any] = {name: text for name, text in row.cells.items() if name in OWN_COLUMNS and text}
    try:
        result = ResultRow.model_validate({**said, "hyperparameters": read_hyperparameters(row, others, problems)})
    except ValidationError as error:
        for problem in problems_of(error):
            column = problem.pointer.split("/")[1] if problem.pointer else _set_column(row)
            problems.add(row, column, problem.message)
        return None
    if row.index in problems.rows:
        return None
    values = result.model_dump(exclude={"kind", "reference_set", "proxy_set", "recipe"})
    assert result.set_name is not None
    return ImportedResult(row=row, kind=result.kind, set_name=result.set_name, recipe=result.recipe, values=values)


def _set_column(row: Row) -> str:
    return "proxy_set" if row.cells.get("kind") == "proxy" else "reference_set"
