"""What a GPU is promised to do; without one there is nothing to measure here.

A cohort of 24 runs of 10M parameters, stacked, against nanoGPT one at a time; and one GPT-2 of 124M parameters against
nanoGPT and against the device's bf16 peak (dense, as its maker states it).
"""

import statistics
from pathlib import Path

import torch

from proxy.protocols import Architecture
from tests.benchmarks.figures import Row, at_least, for_information, in_own_process
from tests.benchmarks.training.shapes import GPT2_ON_GPU, SMALL_ON_GPU, Shape
from tests.benchmarks.training.single import ROUNDS, found_peers, run_loop
from tests.benchmarks.training.stacked import measure

MEMBERS = 24
COHORT_SPEEDUP, LARGE_SPEEDUP, PEAK_SHARE = 8.0, 1.3, 0.45
TERA = 1e12
# Dense bf16 FLOP/s by what a device's name contains (NVIDIA's data sheets, SXM where there are several).
PEAKS = {"H200": 989 * TERA, "H100": 989 * TERA, "A100": 312 * TERA, "L40S": 362 * TERA, "L4": 121 * TERA}


def gpu_figures(peers: Path | None) -> list[Row]:
    """All rows; none without a CUDA device."""
    if not torch.cuda.is_available():
        return []
    return [*_cohort(peers), *_large(peers), *_graphs()]


def _graphs() -> list[Row]:
    """The step's launches recorded and replayed, against the same step without."""
    return [
        for_information(
            f"GPU, {shape.name}: ours with CUDA graphs ÷ without",
            _speed("ours-graphs", shape, []) / _speed("ours", shape, []),
        )
        for shape in (SMALL_ON_GPU, GPT2_ON_GPU)
    ]


def _cohort(peers: Path | None) -> list[Row]:
    found = in_own_process(measure, SMALL_ON_GPU.protocol(2000), (MEMBERS,))
    rows = [
        for_information(f"GPU, 10M: {MEMBERS} runs at once, tokens/s of all", found[MEMBERS]),
        for_information(f"GPU, 10M: {MEMBERS} runs at once ÷ ours one after the other", found[MEMBERS] / found[1]),
    ]
    if (peer := _nanogpt(SMALL_ON_GPU, peers)) is not None:
        figure = f"GPU, 10M: {MEMBERS} runs at once ÷ nanoGPT one at a time, compiled, bf16"
        rows.append(at_least(figure, found[MEMBERS] / peer, COHORT_SPEEDUP))
    return rows


def _large(peers: Path | None) -> list[Row]:
    ours = _speed("ours", GPT2_ON_GPU, [])
    rows = [for_information("GPU, 124M: ours, tokens/s", ours)]
    if (peer := _nanogpt(GPT2_ON_GPU, peers)) is not None:
        rows.append(at_least("GPU, 124M: ours ÷ nanoGPT, compiled, bf16", ours / peer, LARGE_SPEEDUP))
    name = torch.cuda.get_device_name()
    peak = next((flops for part, flops in PEAKS.items() if part in name), None)
    if peak is not None:
        share = ours * flops_a_token(GPT2_ON_GPU.protocol(1).architecture) / peak
        rows.append(at_least(f"GPU, 124M: model FLOP/s ÷ bf16 peak of {name}", share, PEAK_SHARE))
    return rows


def flops_a_token(architecture: Architecture) -> float:
    """6 a parameter and 12 × layers × width × context for attention, both ways (Chowdhery et al. 2022, B)."""
    attention = 12 * architecture.layers * architecture.width * architecture.context_tokens
    return 6.0 * architecture.parameters + attention


def _nanogpt(shape: Shape, peers: Path | None) -> float | None:
    options = found_peers(peers).get("nanogpt-bf16")
    return None if options is None else _speed("nanogpt-bf16", shape, options)


def _speed(name: str, shape: Shape, options: list[str]) -> float:
    answers = [run_loop(name, shape, options, threads=1) for _ in range(ROUNDS)]
    speeds: list[float] = [max(one["tokens_a_second"]) for one in answers]
    return statistics.median(speeds)
