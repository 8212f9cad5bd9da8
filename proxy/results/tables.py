"""CSV tables of results, read so that every fault has its line, column and value.

A table is UTF-8 text, comma-separated, with a header. Faults are collected, not raised one at a time: a file is
corrected once. Where a fault lies is written in two ways: by line for a file, as a JSON pointer for a request's body.
"""

import csv
import io
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NoReturn

from proxy.errors import FieldProblem, InvalidInputError

MOST_SHOWN = 50
BYTE_ORDER_MARKS = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}
HEADER_LINE = 1


@dataclass(frozen=True, kw_only=True)
class Row:
    """One record. `index` counts from 0, `line` is where it begins in the file; cells are stripped of blanks."""

    index: int
    line: int
    cells: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class Table:
    """Every record has every column; a record with too few or too many cells is among the problems."""

    columns: tuple[str, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True, kw_only=True)
class RowProblem:
    """`index` is None where the header or the whole table is at fault; `column` is empty where the record is."""

    index: int | None
    line: int
    column: str
    value: object
    message: str


Place = Callable[[RowProblem], FieldProblem]


def in_file(name: str) -> Place:
    """Faults as `scores.csv line 3, column value`."""

    def place(problem: RowProblem) -> FieldProblem:
        column = f", column {problem.column}" if problem.column else ""
        pointer = f"{name} line {problem.line}{column}"
        return FieldProblem(pointer=pointer, value=problem.value, message=problem.message)

    return place


def in_body(problem: RowProblem) -> FieldProblem:
    """Faults as `/rows/1/value` (records count from 0) with the line of the body in words."""
    root = "/header" if problem.index is None else f"/rows/{problem.index}"
    column = "/" + problem.column.replace("~", "~0").replace("/", "~1") if problem.column else ""
    message = f"line {problem.line}: {problem.message}"
    return FieldProblem(pointer=root + column, value=problem.value, message=message)


@dataclass(kw_only=True)
class Problems:
    """What is wrong with one table, in the order it was found."""

    place: Place
    found: list[RowProblem] = field(default_factory=list)

    def add(self, row: Row, column: str, message: str, value: object = None) -> None:
        """A fault of one record; the value is the cell's unless another is given."""
        shown = row.cells.get(column) if value is None else value
        self.found.append(RowProblem(index=row.index, line=row.line, column=column, value=shown, message=message))

    def stop(self, message: str, value: object, line: int = HEADER_LINE, column: str = "") -> NoReturn:
        """A fault that leaves nothing to read: raised at once, alone."""
        problem = RowProblem(index=None, line=line, column=column, value=value, message=message)
        raise InvalidInputError([self.place(problem)])

    @property
    def rows(self) -> frozenset[int]:
        """Indexes of the records at fault."""
        return frozenset(problem.index for problem in self.found if problem.index is not None)

    def shown(self) -> list[FieldProblem]:
        """In the order of the records; at most `MOST_SHOWN`, then how many more there are."""
        ordered = sorted(self.found, key=lambda problem: (problem.line, problem.column))
        shown = [self.place(problem) for problem in ordered[:MOST_SHOWN]]
        left = len(ordered) - len(shown)
        if left:
            last = shown[-1]
            shown.append(
                FieldProblem(pointer=last.pointer, value=left, message="is followed by more faults, not shown")
            )
        return shown

    def raise_any(self) -> None:
        """InvalidInputError with every fault, if there is one."""
        if self.found:
            raise InvalidInputError(self.shown())


def read_table(content: bytes, problems: Problems) -> Table:
    """Records that have the wrong number of cells are added to the problems; what is no table at all is raised."""
    lines = _lines(_decode(content, problems), problems)
    header = next(lines, None)
    if header is None:
        problems.stop("the file is empty; it needs a header such as recipe,value", "")
    columns = _header(header[1], problems)
    rows: list[Row] = []
    for line, cells in lines:
        padded = [*cells[: len(columns)], *[""] * (len(columns) - len(cells))]
        row = Row(index=len(rows), line=line, cells=dict(zip(columns, padded, strict=True)))
        rows.append(row)
        if len(cells) != len(columns):
            message = f"there are {len(cells)} cells where the header has {len(columns)}"
            problems.add(row, "", message, ",".join(cells)[:80])
    if not rows:
        problems.stop("there is a header and no record", ",".join(columns))
    return Table(columns=columns, rows=tuple(rows))


def require_columns(table: Table, wanted: tuple[str, ...], problems: Problems) -> None:
    """Raises for the columns that are not there, with those that are."""
    missing = [name for name in wanted if name not in table.columns]
    if missing:
        problems.stop(f"there is no column {', '.join(missing)}", ",".join(table.columns), column=missing[0])


def parse_number(text: str) -> float | None:
    """A finite number in usual notation; None for anything else (NaN, infinities, 1_000, a decimal comma)."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and "_" not in text else None


def is_odd_number(text: str) -> bool:
    """NaN, an infinity, or a number beyond what 64 bits hold."""
    try:
        return not math.isfinite(float(text))
    except ValueError:
        return False


def _decode(content: bytes, problems: Problems) -> str:
    named = BYTE_ORDER_MARKS.get(content[:2])
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        hint = f"it looks like {named}; " if named else ""
        value = content[error.start : error.start + 8]
        problems.stop(f"the encoding is not UTF-8 (byte {error.start}); {hint}save the table as UTF-8", value, line)
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        problems.stop("a NUL character is in the table", "\\0", line)
    return text


def _lines(text: str, problems: Problems) -> Iterator[tuple[int, list[str]]]:
    """Records with the line where each begins; blank lines are skipped."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            problems.stop(f"this is no CSV: {error}", text.splitlines()[line - 1][:80], line)
        if cells is None:
            return
        if any(cell.strip() for cell in cells):
            yield line, [cell.strip() for cell in cells]


def _header(cells: list[str], problems: Problems) -> tuple[str, ...]:
    if len(cells) == 1:
        for separator, name in ((";", "semicolons"), ("\t", "tabs")):
            if separator in cells[0]:
                problems.stop(f"cells are separated by {name}; separate them by commas", cells[0][:80])
    repeated = sorted({name for name in cells if cells.count(name) > 1})
    if repeated:
        problems.stop("column names repeat, or are empty", ",".join(cells), column=repeated[0])
    return tuple(cells)
