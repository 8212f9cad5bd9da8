"""A benchmark's parts, measured one after the other: printed as they come, then written as JSON and Markdown.

`var/bench/<name>.json` is a list of {figure, value, must, holds}; `docs/benchmarks/<name>.md` the same to read.
"""

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from api.demo.machine import describe_machine
from tests.benchmarks.figures import Row

ROOT = Path(__file__).parents[2]

Found = dict[str, list[Row]]


def measure_parts(parts: Mapping[str, Callable[[], list[Row]]], console: Console) -> Found:
    """The rows of each part by its title."""
    found = {}
    for title, measure in parts.items():
        began = time.monotonic()
        found[title] = measure()
        console.print(as_table(f"{title} ({time.monotonic() - began:.0f} s)", found[title]))
    return found


def write_reports(name: str, heading: Sequence[str], found: Found, console: Console, appendix: str = "") -> int:
    """Writes both; 0 if every figure holds, else 1. `heading` are the report's first lines."""
    json_path, report = ROOT / "var" / "bench" / f"{name}.json", ROOT / "docs" / "benchmarks" / f"{name}.md"
    rows = [row for part in found.values() for row in part]
    json_path.parent.mkdir(parents=True, exist_ok=True)
    json_path.write_text(json.dumps(rows, indent=2) + "\n")
    report.write_text(as_report(heading, found, appendix))
    failed = [row for row in rows if not row["holds"]]
    console.print(f"{len(rows) - len(failed)} of {len(rows)} figures hold. Written: {json_path}, {report}")
    return 1 if failed else 0


def as_table(title: str, rows: Sequence[Row]) -> Table:
    """One row a figure, what fails in red."""
    table = Table(title=title, title_justify="left")
    for words in ("figure", "value", "must", "holds"):
        table.add_column(words, overflow="fold")
    for row in rows:
        style = None if row["holds"] else "red"
        table.add_row(str(row["figure"]), shown(row["value"]), str(row["must"]), shown(row["holds"]), style=style)
    return table


def as_report(heading: Sequence[str], found: Found, appendix: str) -> str:
    """The same as Markdown."""
    machine = describe_machine(len(os.sched_getaffinity(0)))
    facts = "; ".join(f"{name.replace('_', ' ')}: {value}" for name, value in machine.items()) + "."
    lines = [*heading, "", facts]
    for title, rows in found.items():
        lines += ["", f"## {title}", "", "| figure | value | must | holds |", "| --- | --- | --- | --- |"]
        lines += [
            f"| {row['figure']} | {shown(row['value'])} | {row['must']} | {shown(row['holds'])} |" for row in rows
        ]
    return "\n".join([*lines, *(["", appendix.strip()] if appendix else []), ""])


def shown(value: object) -> str:
    """Numbers with four digits, truth in words."""
    if isinstance(value, bool):
        return "yes" if value else "**no**"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
