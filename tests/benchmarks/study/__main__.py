"""`make bench-study`: what rate search, replication and studies promise, measured and printed.

Writes var/bench/study.json, a list of {figure, value, must, holds}, and docs/benchmarks/study.md.
"""

import sys
from collections.abc import Callable

from rich.console import Console

from tests.benchmarks.figures import Row
from tests.benchmarks.reports import measure_parts, write_reports
from tests.benchmarks.study import adaptive, planted, small

HEADING = ("# What studies promise, measured", "", "Made by `make bench-study`.")


def main() -> int:
    """0 if every figure holds."""
    parts: dict[str, Callable[[], list[Row]]] = {
        "Adaptive replication against an even spread, simulated": adaptive.measure,
        "A small study, whole": small.measure,
        "Planted faults and the gates that must catch them, trained": planted.measure,
    }
    console = Console()
    return write_reports("study", HEADING, measure_parts(parts, console), console)


if __name__ == "__main__":
    sys.exit(main())
