"""Lanes against one process with all cores: total tokens a second of the same small models, in pairs in one run.

`make bench-lanes` writes docs/benchmarks/lanes.md.
"""

import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from api.demo.machine import describe_machine
from proxy.protocols import Architecture, Protocol
from worker.cohorts.process import child_environment
from worker.settings import Settings

REPORT = Path(__file__).parents[2] / "docs" / "benchmarks" / "lanes.md"
PAIRS = 3
# Steps that take some seconds; layers, width, heads, hidden, context, vocabulary.
SHAPES = {
    "the demo's proxy": (2000, (3, 64, 2, 192, 64, 1024)),
    "the demo's reference": (800, (4, 128, 4, 352, 64, 1024)),
    "four million": (250, (6, 192, 6, 512, 128, 4096)),
}


def protocol_of(steps: int, shape: tuple[int, ...]) -> Protocol:
    names = ("layers", "width", "heads", "hidden", "context_tokens", "vocabulary")
    architecture = Architecture(**dict(zip(names, shape, strict=True)))
    return Protocol(
        name="lanes", architecture=architecture, tokenizer="none", batch_sequences=8, steps=steps, standard_rate=1e-3
    )


def tokens_a_second(protocol: Protocol, processes: int, threads: int, folder: Path) -> float:
    """Of all processes together, started at the same moment once each has compiled."""
    settings = Settings(_env_file=None, data_dir=folder, threads=processes * threads, lanes=processes)
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.one_lane", protocol.model_dump_json(), str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=child_environment(settings),
            text=True,
        )
        for _ in range(processes)
    ]
    for process in started:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    steps_a_second = []
    for process in started:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in started:
        out, _ = process.communicate()
        steps_a_second.append(float(out))
    return sum(steps_a_second) * protocol.batch_tokens


def as_report(rows: Sequence[tuple[str, Protocol, list[float], list[float]]], cores: int) -> str:
    lines = [
        "# Lanes: one training a core, or one with all cores",
        "",
        "Tokens a second of all trainings of a worker together, compiled, bf16 where it is fast, batch of 8 sequences;",
        f"medians of {PAIRS} pairs, each measured back to back. The baseline is one process with {cores} threads.",
        "",
        "Command: `make bench-lanes`",
        "",
        f"Machine: {describe_machine(cores)['processor']}, {cores} cores.",
        "",
        "| model | parameters | one process, all cores | a lane a core | ratio (lowest–highest pair) |",
        "|---|---|---|---|---|",
    ]
    for name, protocol, baseline, lanes in rows:
        ratios = [b / a for a, b in zip(baseline, lanes, strict=True)]
        lines.append(
            f"| {name} | {protocol.architecture.parameters / 1e6:.2f}M | {statistics.median(baseline):,.0f} |"
            f" {statistics.median(lanes):,.0f} |"
            f" **{statistics.median(ratios):.2f}** ({min(ratios):.2f}–{max(ratios):.2f}) |"
        )
    return "\n".join([*lines, ""])


@pytest.mark.benchmark
def test_lanes_train_more_tokens_than_threads(tmp_path: Path) -> None:
    cores = len(os.sched_getaffinity(0))
    rows = []
    for name, (steps, shape) in SHAPES.items():
        protocol = protocol_of(steps, shape)
        baseline, lanes = [], []
        for _ in range(PAIRS):
            baseline.append(tokens_a_second(protocol, 1, cores, tmp_path))
            lanes.append(tokens_a_second(protocol, cores, 1, tmp_path))
        rows.append((name, protocol, baseline, lanes))
    REPORT.write_text(as_report(rows, cores))
    assert all(statistics.median(lanes) > statistics.median(baseline) for _, _, baseline, lanes in rows)
