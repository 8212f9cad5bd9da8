"""`make bench-training [PEERS=<folder>]`: what training promises, measured and printed.

Writes var/bench/training.json, a list of {figure, value, must, holds}, and docs/benchmarks/training.md. The folder
holds clones of the peers (nanoGPT); those that are not there are left out, and so is what would be compared with them.
"""

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console

from tests.benchmarks.figures import Row
from tests.benchmarks.reports import measure_parts, write_reports
from tests.benchmarks.training.gpu import gpu_figures
from tests.benchmarks.training.job import job_figures
from tests.benchmarks.training.single import found_peers, single_figures
from tests.benchmarks.training.stacked import stacked_figures


def main(arguments: Sequence[str]) -> int:
    """0 if every figure that was measured holds."""
    peers = Path(arguments[0]) if arguments else None
    console = Console()
    names = [
        name
        for name in ("nanoGPT", "transformers")
        if any(loop.startswith(name.lower()) for loop in found_peers(peers))
    ]
    console.print("Peers found: " + (", ".join(names) or "none; PEERS=<folder with a clone of nanoGPT>"))
    parts: dict[str, Callable[[], list[Row]]] = {
        "One run": lambda: single_figures(peers),
        "Runs at once": stacked_figures,
        "The whole job": lambda: job_figures(peers),
        "A GPU": lambda: gpu_figures(peers),
    }
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
