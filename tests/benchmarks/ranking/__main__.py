"""`make bench-ranking [REFERENCES=<folder>]`: everything that the ranking promises, measured and printed.

Writes var/bench/ranking.json, a list of {figure, value, must, holds}, and docs/benchmarks/ranking.md. The folder holds
regmix_pile_cc.csv and dclm_core_v1.csv; without it the figures on published results are left out, and it says so.
"""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console

from tests.benchmarks.figures import Row
from tests.benchmarks.ranking import coverage, laws, nano_null, replays, speed, target_calibration
from tests.benchmarks.reports import measure_parts, write_reports

HEADING = ("# The ranking's promises, measured", "", "Made by `make bench-ranking REFERENCES=<folder>`.")


def main(arguments: Sequence[str]) -> int:
    """0 if every figure that was measured holds."""
    references = Path(arguments[0]) if arguments else None
    parts: dict[str, Callable[[], list[Row]]] = {
        "Intervals, false claims and agreement in simulation": coverage.measure,
        "Replicates of one recipe, trained": nano_null.measure,
        "Moderation and loss law against known answers": laws.measure,
        "Speed and memory": speed.measure,
    }
    appendix = ""
    if references is not None:
        parts["P(better at target) on RegMix"] = lambda: target_calibration.measure(references)
        parts["Published results replayed"] = lambda: replays.measure(references)
    console = Console()
    found = measure_parts(parts, console)
    if references is None:
        console.print("Left out: P(better at target) and replays, which need REFERENCES=<folder>.")
    else:
        reliability = target_calibration.reliability_table(references)
        appendix = f"## Reliability of P(better at target)\n\n{reliability}"
    return write_reports("ranking", HEADING, found, console, appendix)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
