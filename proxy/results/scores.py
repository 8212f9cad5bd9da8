"""Scores of recipes out of a table: `recipe,value`, optionally `seed`, `axis`, `learning_rate`, and any further column.

Seeds of one setting are repetitions. Every column without a meaning of its own is a hyperparameter and belongs to the
setting. Columns that say what was measured (`metric`, `parameters`, …) must hold one value in the whole table: the
best over metrics or model sizes would be nonsense. Provenance (`source`, `date`) is read over.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from proxy.errors import InvalidInputError
from proxy.ranking.agreement import Direction
from proxy.ranking.metrics import known_direction
from proxy.ranking.tuning import SweepPoint, write_setting
from proxy.results.tables import (
    Problems,
    Row,
    Table,
    in_file,
    is_odd_number,
    parse_number,
    read_table,
    require_columns,
)

REQUIRED = ("recipe", "value")
OF_THE_TABLE = ("metric", "direction", "unit", "kind", "reference_set", "proxy_set", "parameters", "tokens")
OF_THE_ROW = (*REQUIRED, "seed", "axis", "learning_rate", "stopped_early")
PROVENANCE = ("source", "date")
TRUE_WORDS, FALSE_WORDS = ("true", "1", "yes"), ("false", "0", "no", "")


@dataclass(frozen=True, kw_only=True)
class Where:
    """Keeps the records whose cell is this value: as a number if both are, else as text."""

    column: str
    value: str

    def keeps(self, row: Row) -> bool:
        """True for a record that has the value."""
        cell = row.cells[self.column]
        number = parse_number(cell)
        return cell == self.value or (number is not None and number == parse_number(self.value))


@dataclass(frozen=True, kw_only=True)
class ScoreTable:
    """What one file says: a point a record, and the axis of the recipes that have one. `name` is the file's."""

    name: str
    points: tuple[SweepPoint, ...]
    lines: tuple[int, ...]
    axes: dict[str, str]


def parse_where(text: str) -> Where:
    """`column=value`; InvalidInputError for anything else."""
    column, separator, value = text.partition("=")
    if not separator or not column.strip():
        raise InvalidInputError.at("where", text, "a filter is written column=value")
    return Where(column=column.strip(), value=value.strip())


def read_scores(content: bytes, name: str, direction: Direction, where: Sequence[Where] = ()) -> ScoreTable:
    """The records that `where` keeps; InvalidInputError has every fault by file, line and column."""
    problems = Problems(place=in_file(name))
    table = read_table(content, problems)
    require_columns(table, REQUIRED, problems)
    kept = _filter(table, where, problems)
    _check_one_thing_was_measured(kept, direction, problems)
    points = [_read_point(row, table.columns, problems) for row in kept.rows]
    _check_repetitions(kept.rows, points, problems)
    axes = _read_axes(kept.rows, problems) if "axis" in table.columns else {}
    problems.raise_any()
    return ScoreTable(name=name, points=tuple(points), lines=tuple(row.line for row in kept.rows), axes=axes)


def read_hyperparameters(row: Row, columns: Sequence[str], problems: Problems) -> dict[str, float | str]:
    """The cells of these columns that are not empty, numbers as numbers, whole ones as written."""
    found: dict[str, float | str] = {}
    for column in columns:
        text = row.cells[column]
        if is_odd_number(text):
            problems.add(row, column, "must be a finite number or a word")
        elif text:
            number = parse_number(text)
            is_whole = number is not None and text.lstrip("-").isdecimal()
            found[column] = text if number is None else int(text) if is_whole else number
    return found


def _filter(table: Table, where: Sequence[Where], problems: Problems) -> Table:
    require_columns(table, tuple(part.column for part in where), problems)
    kept = tuple(row for row in table.rows if all(part.keeps(row) for part in where))
    if not kept:
        wanted = ", ".join(f"{part.column}={part.value}" for part in where)
        problems.stop("the filter keeps no record", wanted)
    refused = {row.index for row in table.rows} - {row.index for row in kept}
    problems.found[:] = [problem for problem in problems.found if problem.index not in refused]
    return Table(columns=table.columns, rows=kept)


def _check_one_thing_was_measured(table: Table, direction: Direction, problems: Problems) -> None:
    first = table.rows[0]
    for column in OF_THE_TABLE:
        if column not in table.columns:
            continue
        other = next((row for row in table.rows if row.cells[column] != first.cells[column]), None)
        if other is not None:
            expected = f"{first.cells[column]!r} is in line {first.line}"
            problems.add(other, column, f"a table is about one {column}, and {expected}; keep one with a filter")
    _check_direction(table, direction, problems)


def _check_direction(table: Table, direction: Direction, problems: Problems) -> None:
    first = table.rows[0]
    known = known_direction(first.cells.get("metric", ""))
    if known is not None and known != direction:
        problems.add(first, "metric", f"is better when {known}, and the direction given is {direction}")
    if first.cells.get("direction", direction) != direction:
        problems.add(first, "direction", f"contradicts the direction given, {direction}")


def _read_point(row: Row, columns: Sequence[str], problems: Problems) -> SweepPoint:
    """A record at fault becomes a point too; nobody sees it."""
    if not row.cells["recipe"]:
        problems.add(row, "recipe", "a record needs the name of its recipe")
    is_stopped = _read_flag(row, problems)
    others = [name for name in columns if name not in (*OF_THE_TABLE, *OF_THE_ROW, *PROVENANCE)]
    rate = _read_optional(row, "learning_rate", problems, lambda rate: rate > 0, "must be a positive number")
    seed = _read_optional(
        row, "seed", problems, lambda seed: seed >= 0 and seed.is_integer(), "must be a whole number from 0"
    )
    return SweepPoint(
        recipe=row.cells["recipe"],
        learning_rate=rate,
        value=_read_value(row, is_stopped, problems),
        stopped_early=is_stopped,
        seed=None if seed is None else int(seed),
        other=write_setting(read_hyperparameters(row, others, problems)),
    )


def _read_value(row: Row, is_stopped: bool, problems: Problems) -> float | None:
    text = row.cells["value"]
    if is_stopped:
        if text:
            problems.add(row, "value", "must be empty where stopped_early is true")
        return None
    value = parse_number(text)
    if value is None:
        problems.add(row, "value", "must be a finite number")
    return value


def _read_flag(row: Row, problems: Problems) -> bool:
    text = row.cells.get("stopped_early", "").lower()
    if text not in (*TRUE_WORDS, *FALSE_WORDS):
        problems.add(row, "stopped_early", "must be true or false")
    return text in TRUE_WORDS


def _read_optional(
    row: Row, column: str, problems: Problems, is_good: Callable[[float], bool], message: str
) -> float | None:
    """None for an empty cell, and for one at fault."""
    text = row.cells.get(column, "")
    if not text:
        return None
    value = parse_number(text)
    if value is None or not is_good(value):
        problems.add(row, column, message)
        return None
    return value


def _check_repetitions(rows: Sequence[Row], points: Sequence[SweepPoint], problems: Problems) -> None:
    """The same recipe, setting and seed twice is a copy or a contradiction, never more evidence."""
    seen: dict[tuple[object, ...], int] = {}
    for row, point in zip(rows, points, strict=True):
        line = seen.setdefault((point.recipe, point.setting, point.seed), row.line)
        if line != row.line and row.index not in problems.rows:
            problems.add(row, "recipe", f"line {line} has the same recipe, seed and hyperparameters")


def _read_axes(rows: Sequence[Row], problems: Problems) -> dict[str, str]:
    axes: dict[str, str] = {}
    for row in rows:
        recipe, axis = row.cells["recipe"], row.cells["axis"]
        if axis and axes.setdefault(recipe, axis) != axis:
            problems.add(row, "axis", f"recipe {recipe!r} is on axis {axes[recipe]!r} in another line")
    return axes
