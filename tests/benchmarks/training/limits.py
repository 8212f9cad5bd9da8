"""What bounds a training step here, and what was tried: python -m tests.benchmarks.training.limits PART SHAPE THREADS.

Parts: `step` (times of its parts and of the bare matrix products), `products` (each of these), `profile` (kernels by
their share of the time), `variants NAME…` (ways to compute the step against the present one, in alternating rounds of
one process: median and range of the ratio of their times), `vocabulary` (the loss over GPT-2's, whole and in chunks).
Milliseconds: of the processor with one thread, where what else the machine does counts less; of the clock with more, on
a machine that does nothing else.
"""

import statistics
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any
from unittest.mock import patch

import torch

from proxy.lm import losses
from proxy.lm.device import Device
from proxy.lm.trainer import Trainer
from tests.benchmarks.training.products import bare_products, products_of
from tests.benchmarks.training.shapes import BATCH_TOKENS, SHAPES, VOCABULARY, Shape
from tests.benchmarks.training.variants import PRESENT, VARIANTS, Variant, chunks_of

ROUNDS = 9
STEPS = {"1M": 20, "4M": 8}
WARM_UP_STEPS = 5


class Loop:
    """One variant of the step, compiled with what it changes; its changes hold while it runs, and only then."""

    def __init__(self, shape: Shape, threads: int, variant: Variant) -> None:
        self.variant = variant
        with variant.applied():
            device = Device(device=torch.device("cpu"), compute_dtype=torch.bfloat16, compile=True)
            torch.set_num_threads(threads)
            self.trainer = Trainer(shape.protocol(1000), device)
            variant.prepare(self.trainer)
            if variant.options:
                self.trainer._loss = torch.compile(self.trainer.model.loss, dynamic=False, options=variant.options)
            self.tokens_N = torch.randint(0, VOCABULARY, (BATCH_TOKENS + 1,), dtype=torch.int32)
            self.trainer.start(seat=0, seed=0)
        self.milliseconds(WARM_UP_STEPS)

    def milliseconds(self, steps: int) -> float:
        """Of a step, the mean of so many."""
        with self.variant.applied():
            return _milliseconds(lambda: self.trainer._step([self.tokens_N], [1e-3]), steps)


def compare(shape: Shape, threads: int, names: Sequence[str]) -> None:
    """Prints each variant's milliseconds and its ratio to the present step (below 1 is faster)."""
    chosen = [PRESENT, *(variant for variant in VARIANTS if variant.name in names)]
    loops = []
    for variant in chosen:
        try:
            loops.append(Loop(shape, threads, variant))
        except Exception as error:  # noqa: BLE001 - what cannot be compiled is a finding
            print(f"{variant.name}: {type(error).__name__}: {str(error)[:200]}")
    rounds = [[loop.milliseconds(STEPS[shape.name]) for loop in loops] for _ in range(ROUNDS)]
    print(f"{shape.name}, {threads} threads, {ROUNDS} rounds of {STEPS[shape.name]} steps")
    for index, loop in enumerate(loops):
        ratios = [row[index] / row[0] for row in rounds]
        print(
            f"{loop.variant.name:32s} {statistics.median(row[index] for row in rounds):8.2f} ms"
            f"  {statistics.median(ratios):.3f} ({min(ratios):.3f}–{max(ratios):.3f})",
            flush=True,
        )


def step_parts(shape: Shape, threads: int) -> None:
    """Prints forward with backward, update, and the products of a step run bare."""
    loop = Loop(shape, threads, PRESENT)
    trainer = loop.trainer
    inputs, targets = (part.view(1, 16, 128).long() for part in (loop.tokens_N[:-1], loop.tokens_N[1:]))
    state, scalars = trainer.state_of(0), torch.tensor([1e-3, 0.1, 0.1])
    products = bare_products(shape, threads)

    def update() -> None:
        vectors = (state.weights_P, trainer._gradients_EP[0], state.mean_P, state.square_P, trainer._decay_P, scalars)
        with torch.no_grad():
            trainer._update(*vectors)

    parts: dict[str, Callable[[], object]] = {
        "step": lambda: trainer._step([loop.tokens_N], [1e-3]),
        "forward and backward": lambda: trainer._accumulate(inputs, targets),
        "update": update,
        "bare products": lambda: products(1),
    }
    steps = STEPS[shape.name]
    taken: dict[str, list[float]] = {name: [] for name in parts}
    for _ in range(ROUNDS):
        for name, work in parts.items():
            taken[name].append(_milliseconds(work, steps))
    flops = sum(product.flops for product in products_of(shape.protocol(1).architecture))
    print(f"{shape.name}, {threads} threads: {flops / 1e9:.1f} GFLOP of products a step")
    for name, found in taken.items():
        middle = statistics.median(found)
        print(f"{name:24s} {middle:8.2f} ms ({min(found):.2f}–{max(found):.2f})  {flops / middle / 1e6:8.0f} GFLOP/s")


def each_product(shape: Shape, threads: int) -> None:
    """Prints the speed of each bare product, so that a slow shape or layout shows."""
    torch.set_num_threads(threads)
    for product in products_of(shape.protocol(1).architecture):
        left, right = product.operands()
        work = lambda left=left, right=right: torch.matmul(left, right)  # noqa: E731
        _milliseconds(work, 10)
        taken = min(_milliseconds(work, 20) for _ in range(5)) * product.count
        print(f"{product.what:24s} {taken:7.2f} ms a step  {product.flops / taken / 1e6:7.0f} GFLOP/s")


def vocabulary(threads: int) -> None:
    """Prints what the loss over 50,257 tokens of vocabulary costs with its gradients, by rows a chunk."""
    torch.set_num_threads(threads)
    hidden_NW = torch.randn(4096, 256, dtype=torch.bfloat16, requires_grad=True)
    output_VW = torch.randn(50_257, 256, requires_grad=True)
    targets_N = torch.randint(0, 50_257, (4096,))
    leaves = (hidden_NW, output_VW)
    for rows in (4096, 1024, 512, 256):
        with chunks_of(rows)() if rows < len(targets_N) else patch.object(losses, "WHOLE_LOGITS", {"cpu": 2**40}):
            loss: Any = torch.compile(lambda *given: losses.mean_nats(*given), dynamic=False)
            work: Any = lambda loss=loss: torch.autograd.grad(loss(*leaves, targets_N), leaves)  # noqa: E731
            began = time.perf_counter()
            work()
            first = time.perf_counter() - began
            taken = statistics.median(_milliseconds(work, 2) for _ in range(3))
            print(f"{rows} rows: {taken:.0f} ms; {first:.0f} s for the first call, which compiles", flush=True)


def _milliseconds(work: Callable[[], object], times: int) -> float:
    clock = time.perf_counter if torch.get_num_threads() > 1 else time.process_time
    began = clock()
    for _ in range(times):
        work()
    return (clock() - began) * 1e3 / times


def profile(shape: Shape, threads: int) -> None:
    """Prints the kernels of a step by their own time."""
    from torch._inductor import config

    with ExitStack() as stack:
        stack.enter_context(config.patch({"cpp.enable_kernel_profile": True, "cpp.descriptive_names": "inductor_node"}))
        loop = Loop(shape, threads, PRESENT)
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], record_shapes=True) as found:
            loop.milliseconds(10)
    print(
        found.key_averages(group_by_input_shape=True).table(
            sort_by="self_cpu_time_total", row_limit=45, max_name_column_width=90, max_shapes_column_width=60
        )
    )


def main() -> None:
    part, shape_name, threads, *names = sys.argv[1:]
    shape = next(shape for shape in SHAPES if shape.name == shape_name)
    torch._dynamo.config.recompile_limit = 64
    match part:
        case "step":
            step_parts(shape, int(threads))
        case "products":
            each_product(shape, int(threads))
        case "profile":
            profile(shape, int(threads))
        case "vocabulary":
            vocabulary(int(threads))
        case "variants":
            compare(shape, int(threads), names or [variant.name for variant in VARIANTS])


if __name__ == "__main__":
    main()
