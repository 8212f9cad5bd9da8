"""Runs at once against one after the other: the same trainer, one thread, with one seat and with several."""

import time
from collections.abc import Sequence

import numpy as np
import torch

from proxy.lm.device import detect
from proxy.lm.feeds import TokenFeed
from proxy.lm.logs import Log
from proxy.lm.trainer import CHECK_EVERY_STEPS, Lesson, Trainer
from proxy.protocols import Architecture, Protocol
from tests.benchmarks.figures import Row, for_information, in_own_process
from tests.benchmarks.training.shapes import SHAPES

ROUNDS, MOST_STEPS = 5, 2000
MOST_RECOMPILATIONS = 64  # of one function: each number of seats is one
SEATS = {"cpu": (2, 4), "cuda": (24,)}

Course = tuple[Trainer, list[Lesson]]


def stacked_figures() -> list[Row]:
    """For each shape, tokens a second of so many seats as a ratio to one."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    rows = []
    for name, protocol in _protocols(device).items():
        found = in_own_process(measure, protocol, SEATS[device])
        batch = f"{name}, {protocol.batch_tokens:,} tokens a step"
        rows.append(for_information(f"{batch}: one after the other on a {device}, tokens/s", found[1]))
        rows += [
            for_information(f"{batch}: {seats} runs at once ÷ one", found[seats] / found[1])
            for seats in found
            if seats > 1
        ]
    return rows


def _protocols(device: str) -> dict[str, Protocol]:
    small = Architecture(layers=2, width=64, heads=2, hidden=192, context_tokens=128, vocabulary=1024)
    tiny = {"architecture": small, "batch_sequences": 2}
    return {
        f"0.2M ({small.parameters:,} parameters)": SHAPES[0]
        .protocol(MOST_STEPS)
        .model_copy(update={**tiny, "device_class": device}),
        **{
            f"{shape.name} ({shape.protocol(1).architecture.parameters:,} parameters)": shape.protocol(
                MOST_STEPS
            ).model_copy(update={"device_class": device})
            for shape in SHAPES
        },
    }


def measure(protocol: Protocol, several: Sequence[int]) -> dict[int, float]:
    """Tokens a second (best of alternating rounds) by the number of seats."""
    torch._dynamo.config.recompile_limit = MOST_RECOMPILATIONS
    courses = {seats: _course(protocol, seats) for seats in (1, *several)}
    speeds: dict[int, float] = dict.fromkeys(courses, 0.0)
    for _ in range(ROUNDS):
        for seats, (trainer, lessons) in courses.items():
            steps = max(CHECK_EVERY_STEPS, 2 * CHECK_EVERY_STEPS // seats)
            began = time.perf_counter()
            for _ in range(steps // CHECK_EVERY_STEPS):
                trainer.train(lessons, CHECK_EVERY_STEPS)
            seconds = time.perf_counter() - began
            speeds[seats] = max(speeds[seats], steps * seats * protocol.batch_tokens / seconds)
    for _, lessons in courses.values():
        for lesson in lessons:
            lesson.feed.close()
    return speeds


def _course(protocol: Protocol, seats: int) -> Course:
    """A warm trainer with a run in each seat."""
    trainer = Trainer(protocol, detect(protocol.precision, protocol.device_class, 1, want_compile=True), seats)
    vocabulary = protocol.architecture.vocabulary
    tokens_N = np.random.default_rng(0).integers(0, vocabulary, protocol.token_budget + 1).astype(np.uint16)
    lessons = []
    for seat in range(seats):
        trainer.start(seat, seed=seat)
        feed = TokenFeed(
            lambda start, count: tokens_N[start : start + count],
            protocol.batch_tokens,
            0,
            MOST_STEPS,
            trainer.device.device,
        )
        lessons.append(Lesson(seat=seat, feed=feed, peak=1e-3, log=Log.empty(MOST_STEPS)))
    trainer.train(lessons, CHECK_EVERY_STEPS)
    return trainer, lessons
