"""`make bench-ranking [REFERENCES=<folder>]`: everything that the ranking promises, measured and printed.

Writes var/bench/ranking.json, a list of {figure, value, must, holds}, and docs/benchmarks/ranking.md. The folder holds
regmix_pile_cc.csv and dclm_core_v1.csv; without it the figures on published results are left out, and it says so.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from api.demo.machine import describe_machine
from tests.benchmarks.ranking import coverage, laws, nano_null, replays, speed, target_calibration
from tests.benchmarks.ranking.coverage import Row

ROOT = Path(__file__).parents[3]
JSON, REPORT = ROOT / "var" / "bench" / "ranking.json", ROOT / "docs" / "benchmarks" / "ranking.md"


def main(arguments: Sequence[str]) -> int:
    """0 if every figure that was measured holds."""
    references = Path(arguments[0]) if arguments else None
    parts: dict[str, Callable[[], list[Row]]] = {
        "Intervals, false claims and agreement in simulation": coverage.measure,
        "Replicates of one recipe, trained": nano_null.measure,
        "Moderation and loss law against known answers": laws.measure,
        "Speed and memory": speed.measure,
    }
    if references is not None:
        parts["P(better at target) on RegMix"] = lambda: target_calibration.measure(references)
        parts["Published results replayed"] = lambda: replays.measure(references)
    console, found = Console(), {}
    for title, measure in parts.items():
        began = time.monotonic()
        found[title] = measure()
        console.print(as_table(f"{title} ({time.monotonic() - began:.0f} s)", found[title]))
    rows = [row for part in found.values() for row in part]
    JSON.parent.mkdir(parents=True, exist_ok=True)
    JSON.write_text(json.dumps(rows, indent=2) + "\n")
    calibration = None if references is None else target_calibration.reliability_table(references)
    REPORT.write_text(as_report(found, calibration))
    failed = [row for row in rows if not row["holds"]]
    console.print(f"{len(rows) - len(failed)} of {len(rows)} figures hold. Written: {JSON}, {REPORT}")
    if references is None:
        console.print("Left out: P(better at target) and replays, which need REFERENCES=<folder>.")
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


def as_report(found: dict[str, list[Row]], calibration: str | None) -> str:
    """The same as Markdown."""
    machine = describe_machine(len(os.sched_getaffinity(0)))
    lines = [
        "# The ranking's promises, measured",
        "",
        "Made by `make bench-ranking REFERENCES=<folder>`.",
        "",
        "; ".join(f"{name.replace('_', ' ')}: {value}" for name, value in machine.items()) + ".",
    ]
    for title, rows in found.items():
        lines += ["", f"## {title}", "", "| figure | value | must | holds |", "| --- | --- | --- | --- |"]
        lines += [
            f"| {row['figure']} | {shown(row['value'])} | {row['must']} | {shown(row['holds'])} |" for row in rows
        ]
    if calibration is not None:
        lines += ["", "## Reliability of P(better at target)", "", calibration.strip()]
    return "\n".join([*lines, ""])


def shown(value: object) -> str:
    """Numbers with four digits, truth in words."""
    if isinstance(value, bool):
        return "yes" if value else "**no**"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
