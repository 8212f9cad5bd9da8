"""`make bench-data [CORPORA=<folder>]`: everything that the data plane promises, measured and printed.

Writes var/bench/data.json, a list of {figure, value, must, holds}, and docs/benchmarks/data.md. The folder holds real
text, a corpus a file; without it the text of the Python installation stands in.
"""

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console

from tests.benchmarks.data import (
    dedup,
    fuzzing,
    planning,
    registering,
    same_stream,
    sampling,
    tokenising,
)
from tests.benchmarks.data.text import corpora_below
from tests.benchmarks.figures import Row
from tests.benchmarks.reports import measure_parts, write_reports


def main(arguments: Sequence[str]) -> int:
    """0 if every figure that was measured holds."""
    corpora = corpora_below(Path(arguments[0]) if arguments else None)
    parts: dict[str, Callable[[], list[Row]]] = {
        "Tokenising": lambda: tokenising.tokenising_figures(corpora),
        "Registering again": lambda: registering.registering_figures(corpora),
        "Batches against the trainer": lambda: sampling.sampling_figures(corpora),
        "Ten million documents": planning.planning_figures,
        "Near-duplicates that were planted": dedup.dedup_figures,
        "Statistics and signatures": lambda: dedup.speed_figures(corpora),
        "Same recipe, same stream": same_stream.same_stream_figures,
        "Broken recipes": fuzzing.fuzzing_figures,
    }
    load = os.getloadavg()[0]
    console = Console()
    return write_reports("data", _heading(len(corpora), load), measure_parts(parts, console), console)


def _heading(corpora: int, load: float) -> list[str]:
    text = f"{corpora} corpora of real text" if corpora else "the text of the Python installation"
    return [
        "# The data plane's promises, measured",
        "",
        f"Made by `make bench-data CORPORA=<folder>` on {text}. Speeds depend on what else the machine does: before"
        f" this began, its load average was {load:.1f} on {len(os.sched_getaffinity(0))} cores.",
    ]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
