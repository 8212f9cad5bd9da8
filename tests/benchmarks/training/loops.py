"""One training loop in a process of its own: seconds until its first step is done, then tokens a second.

Arguments: the loop (ours | ours-graphs | products | nanogpt | nanogpt-eager | transformers | trainer, but for the first
three also with -bf16), the shape's name, threads, steps of a round, rounds, and for nanogpt the folder of its
repository. Prints one JSON object. Tokens are random: a step costs the same on any.
"""

import json
import sys
import time
from dataclasses import replace
from itertools import pairwise

import numpy as np

from proxy.lm.device import detect
from proxy.lm.feeds import TokenFeed
from proxy.lm.logs import Log
from proxy.lm.trainer import CHECK_EVERY_STEPS, Lesson, Trainer
from tests.benchmarks.training.peers import Loop, Steps, nanogpt, stepwise, trainer, transformers
from tests.benchmarks.training.products import bare_products
from tests.benchmarks.training.shapes import ALL_SHAPES, Shape

STARTED = time.perf_counter()
WARM_UP_STEPS = 10


def ours(shape: Shape, threads: int, most_steps: int, *, cuda_graphs: bool = False) -> Steps:
    """The product's trainer."""
    protocol = shape.protocol(most_steps)
    device = replace(detect("bf16", shape.device, threads, want_compile=True), cuda_graphs=cuda_graphs)
    trained = Trainer(protocol, device)
    tokens_N = np.random.default_rng(0).integers(0, shape.vocabulary, protocol.token_budget + 1).astype(np.uint16)
    trained.start(seat=0, seed=0)
    feed = TokenFeed(
        lambda start, count: tokens_N[start : start + count], shape.batch_tokens, 0, most_steps, trained.device.device
    )
    lesson = Lesson(seat=0, feed=feed, peak=1e-3, log=Log.empty(most_steps))

    def train(steps: int) -> None:
        for first in range(0, steps, CHECK_EVERY_STEPS):
            trained.train([lesson], min(CHECK_EVERY_STEPS, steps - first))

    return train


def loop_named(name: str, shape: Shape, threads: int, most_steps: int, options: list[str]) -> Loop:
    """The loop of that name; ValueError for another."""
    family, is_bf16 = name.removesuffix("-bf16"), name.endswith("-bf16")
    match family:
        case "ours":
            return stepwise(ours(shape, threads, most_steps))
        case "ours-graphs":
            return stepwise(ours(shape, threads, most_steps, cuda_graphs=True))
        case "products":
            return stepwise(bare_products(shape, threads))
        case "nanogpt" | "nanogpt-eager":
            return nanogpt(shape, threads, options[0], is_bf16=is_bf16, is_compiled=family == "nanogpt")
        case "transformers":
            return transformers(shape, threads, is_bf16=is_bf16)
        case "trainer":
            return trainer(shape, threads, is_bf16=is_bf16)
    raise ValueError(f"no loop is called {name!r}")


def main() -> None:
    name, shape_name, threads, steps, rounds = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:6])
    shape = next(shape for shape in ALL_SHAPES if shape.name == shape_name)
    start = 1 + WARM_UP_STEPS
    marks = [1, *(start + steps * done for done in range(rounds + 1))]
    first, *moments = loop_named(name, shape, threads, marks[-1], sys.argv[6:])(marks)
    speeds = [steps * shape.batch_tokens / (end - begin) for begin, end in pairwise(moments)]
    print(json.dumps({"seconds_to_first_step": first - STARTED, "tokens_a_second": speeds}))


if __name__ == "__main__":
    main()
