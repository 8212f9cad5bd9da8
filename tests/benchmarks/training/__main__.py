"""`make bench-training [PEERS=<folder>]`: what training promises, measured and printed.

Writes var/bench/training.json, a list of {figure, value, must, holds}, and docs/benchmarks/training.md. The folder
holds clones of the peers (nanoGPT); those that are not there are left out, and so is what would be compared with them.

`python -m tests.benchmarks.training [PEERS] --part single|stacked|job|gpu` measures one part and prints it. It writes
nothing: figures of another hour, and perhaps of other code, do not belong into one report.
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from rich.console import Console

from tests.benchmarks.figures import Row
from tests.benchmarks.reports import measure_parts, write_reports
from tests.benchmarks.training.gpu import gpu_figures
from tests.benchmarks.training.job import job_figures
from tests.benchmarks.training.single import found_peers, single_figures
from tests.benchmarks.training.stacked import stacked_figures

Measure = Callable[[Path | None], list[Row]]
PARTS: dict[str, tuple[str, Measure]] = {
    "single": ("One run", single_figures),
    "stacked": ("Runs at once", lambda _: stacked_figures()),
    "job": ("The whole job", job_figures),
    "gpu": ("A GPU", gpu_figures),
}


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.training")
    parser.add_argument("peers", type=Path, nargs="?", help="folder with clones of the peers")
    parser.add_argument("--part", choices=PARTS, help="measure this alone, and write nothing")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> int:
    """0 if every figure that was measured holds."""
    options = _options(arguments)
    peers: Path | None = options.peers
    console = Console()
    names = [
        name
        for name in ("nanoGPT", "transformers")
        if any(loop.startswith(name.lower()) for loop in found_peers(peers))
    ]
    console.print("Peers found: " + (", ".join(names) or "none; PEERS=<folder with a clone of nanoGPT>"))
    if options.part:
        title, measure = PARTS[options.part]
        found = measure_parts({title: lambda: measure(peers)}, console)
        return 0 if all(row["holds"] for row in found[title]) else 1
    parts = {title: partial(measure, peers) for title, measure in PARTS.values()}
    load = os.getloadavg()[0]
    return write_reports("training", _heading(names, load), measure_parts(parts, console), console)


def _heading(peers: Sequence[str], load: float) -> list[str]:
    return [
        "# What training promises, measured",
        "",
        f"Made by `make bench-training PEERS=<folder>`; peers that were there: {', '.join(peers) or 'none'}. Each loop"
        " runs in a process of its own, in alternating rounds; the same shape, batch of 16 sequences of 128 tokens and"
        f" vocabulary of 4,096. The load average was {load:.1f} on {len(os.sched_getaffinity(0))} cores before it."
        " Without an accelerator the rows for one are left out. What limits a step and the whole job is said in"
        " [training-limits.md](training-limits.md).",
    ]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
