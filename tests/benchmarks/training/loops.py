"""One training loop in a process of its own: seconds until its first step is done, then tokens a second.

Arguments: the loop (ours | nanogpt | nanogpt-bf16 | transformers | transformers-bf16), the shape's name, threads, steps
of a round, rounds, and for nanogpt the folder of its repository. Prints one JSON object. Tokens are random: a step
costs the same on any.
"""

import json
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch

from proxy.lm.device import detect
from proxy.lm.feeds import TokenFeed
from proxy.lm.logs import Log
from proxy.lm.trainer import CHECK_EVERY_STEPS, Lesson, Trainer
from tests.benchmarks.training.shapes import BATCH_SEQUENCES, BATCH_TOKENS, CONTEXT_TOKENS, SHAPES, VOCABULARY, Shape

STARTED = time.perf_counter()
WARM_UP_STEPS = 10

Steps = Callable[[int], None]  # trains that many steps


def ours(shape: Shape, threads: int, most_steps: int) -> Steps:
    """The product's trainer."""
    protocol = shape.protocol(most_steps)
    trainer = Trainer(protocol, detect("bf16", "cpu", threads, want_compile=True))
    tokens_N = np.random.default_rng(0).integers(0, VOCABULARY, protocol.token_budget + 1).astype(np.uint16)
    trainer.start(seat=0, seed=0)
    feed = TokenFeed(
        lambda start, count: tokens_N[start : start + count], BATCH_TOKENS, 0, most_steps, trainer.device.device
    )

    lesson = Lesson(seat=0, feed=feed, peak=1e-3, log=Log.empty(most_steps))

    def train(steps: int) -> None:
        for first in range(0, steps, CHECK_EVERY_STEPS):
            trainer.train([lesson], min(CHECK_EVERY_STEPS, steps - first))

    return train


def nanogpt(shape: Shape, threads: int, repository: str, *, is_bf16: bool) -> Steps:
    """nanoGPT's model and optimizer as its train.py drives them, compiled; in bf16 by autocast where asked for."""
    sys.path.insert(0, repository)
    from model import GPT, GPTConfig  # type: ignore[import-not-found]

    torch.set_num_threads(threads)
    config = GPTConfig(
        block_size=CONTEXT_TOKENS,
        vocab_size=VOCABULARY,
        n_layer=shape.layers,
        n_head=shape.heads,
        n_embd=shape.width,
        dropout=0.0,
        bias=False,
    )
    model = GPT(config)
    optimizer = model.configure_optimizers(0.1, 1e-3, (0.9, 0.95), "cpu")
    compiled = torch.compile(model)
    return _loop(model, optimizer, lambda x, y: compiled(x, y)[1], _autocast(is_bf16))


def transformers(shape: Shape, threads: int, *, is_bf16: bool) -> Steps:
    """A Llama of `transformers` in the loop that its Trainer runs: AdamW, clipping, compiled."""
    from transformers import LlamaConfig, LlamaForCausalLM  # type: ignore[import-not-found, unused-ignore]

    torch.set_num_threads(threads)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=shape.width,
        intermediate_size=shape.hidden,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        max_position_embeddings=CONTEXT_TOKENS,
        tie_word_embeddings=True,
        use_cache=False,
    )
    model = LlamaForCausalLM(config)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3, (0.9, 0.95), weight_decay=0.1)
    compiled = torch.compile(model)
    return _loop(model, optimizer, lambda x, _: compiled(input_ids=x, labels=x).loss, _autocast(is_bf16))


def _autocast(is_bf16: bool) -> Callable[[], AbstractContextManager[Any]]:
    return (lambda: torch.amp.autocast("cpu", torch.bfloat16)) if is_bf16 else nullcontext


def _loop(
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    loss_of: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    context: Callable[[], AbstractContextManager[Any]],
) -> Steps:
    tokens = torch.randint(0, VOCABULARY, (BATCH_SEQUENCES, CONTEXT_TOKENS + 1))
    inputs, targets = tokens[:, :-1].contiguous(), tokens[:, 1:].contiguous()

    def train(steps: int) -> None:
        for _ in range(steps):
            with context():
                loss = loss_of(inputs, targets)
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

    return train


def main() -> None:
    name, shape_name, threads, steps, rounds = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:6])
    shape = next(shape for shape in SHAPES if shape.name == shape_name)
    family, _, precision = name.partition("-")
    if family == "ours":
        train = ours(shape, threads, WARM_UP_STEPS + 1 + steps * rounds)
    elif family == "nanogpt":
        train = nanogpt(shape, threads, str(Path(sys.argv[6])), is_bf16=precision == "bf16")
    else:
        train = transformers(shape, threads, is_bf16=precision == "bf16")
    train(1)
    first = time.perf_counter() - STARTED
    train(WARM_UP_STEPS)
    speeds = []
    for _ in range(rounds):
        began = time.perf_counter()
        train(steps)
        speeds.append(steps * BATCH_TOKENS / (time.perf_counter() - began))
    print(json.dumps({"seconds_to_first_step": first, "tokens_a_second": speeds}))


if __name__ == "__main__":
    main()
