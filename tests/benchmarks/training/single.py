"""One run at a time, ours and the peers', each in a process of its own, in alternating rounds."""

import json
import os
import statistics
import subprocess
import sys
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tests.benchmarks.figures import Row, at_least, for_information
from tests.benchmarks.training.shapes import SHAPES, Shape

ROUNDS = 3
STEPS = {"1M": 60, "4M": 25, "10M-cuda": 100, "124M-cuda": 30}
MUST = {"nanogpt": 3.0, "nanogpt-bf16": 1.7}
IN_EVERY_ROUND = {"ours", "products", *MUST}  # the others are for information: one process each
WORDS = {
    "nanogpt": "nanoGPT, compiled, fp32",
    "nanogpt-bf16": "nanoGPT, compiled, bf16 autocast",
    "nanogpt-eager": "nanoGPT, eager, fp32",
    "nanogpt-eager-bf16": "nanoGPT, eager, bf16 autocast",
    "transformers": "transformers' Llama in a plain loop, compiled, fp32",
    "transformers-bf16": "transformers' Llama in a plain loop, compiled, bf16 autocast",
    "trainer": "transformers' Trainer, compiled, fp32",
    "trainer-bf16": "transformers' Trainer, compiled, bf16",
}


def found_peers(peers: Path | None) -> dict[str, list[str]]:
    """Loops that can be measured here, with what each needs beside its name."""
    found: dict[str, list[str]] = {}
    for name in ("nanoGPT", "nanogpt"):
        if peers is not None and (peers / name / "model.py").exists():
            found |= {loop: [str(peers / name)] for loop in WORDS if loop.startswith("nanogpt")}
    if find_spec("transformers") is not None:
        found |= {"transformers": [], "transformers-bf16": []}
        if find_spec("accelerate") is not None:
            found |= {"trainer": [], "trainer-bf16": []}
    return found


def run_loop(name: str, shape: Shape, options: list[str], threads: int) -> dict[str, Any]:
    """One process's answer: seconds to the first step, and tokens a second of each round."""
    command = [sys.executable, "-m", "tests.benchmarks.training.loops", name, shape.name, str(threads)]
    done = subprocess.run(
        [*command, str(STEPS[shape.name]), "3", *options], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{name} failed: {done.stderr[-2000:]}")
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


@lru_cache(maxsize=4)
def measure(shape: Shape, peers: Path | None) -> dict[str, dict[str, float]]:
    """By loop: tokens a second (median of its processes' best rounds) and seconds to the first step (median)."""
    threads = len(os.sched_getaffinity(0))
    loops = {"ours": [], "products": [], **found_peers(peers)}
    answers: dict[str, list[dict[str, Any]]] = {name: [] for name in loops}
    for turn in range(ROUNDS):
        for name, options in loops.items():
            if turn and name not in IN_EVERY_ROUND:
                continue
            answers[name].append(run_loop(name, shape, options, threads))
    return {
        name: {
            "speed": statistics.median(max(one["tokens_a_second"]) for one in found),
            "first": statistics.median(one["seconds_to_first_step"] for one in found),
        }
        for name, found in answers.items()
    }


def single_figures(peers: Path | None) -> list[Row]:
    """Tokens a second of one run with all cores, as ratios to each peer that is here."""
    rows = []
    for shape in SHAPES:
        found = measure(shape, peers)
        parameters = shape.protocol(1).architecture.parameters
        ours = found["ours"]["speed"]
        rows.append(for_information(f"{shape.name} ({parameters:,} parameters): ours, tokens/s", ours))
        flops = 6 * parameters * ours
        rows.append(for_information(f"{shape.name}: ours, GFLOP/s of 6 × parameters × tokens", flops / 1e9))
        bare = found["products"]["speed"]
        figure = f"{shape.name}: ours ÷ the step's matrix products alone, back to back in bf16"
        rows.append(for_information(figure, ours / bare))
        for name, words in WORDS.items():
            if name not in found:
                continue
            ratio, figure = ours / found[name]["speed"], f"{shape.name}: ours ÷ {words}"
            rows.append(at_least(figure, ratio, MUST[name]) if name in MUST else for_information(figure, ratio))
    return rows
