"""Models so small that a run takes milliseconds."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from proxy.data.validation import ScoringWindows
from proxy.lm.cohort import Member, MemberOutcome, train_cohort
from proxy.lm.device import Device
from proxy.lm.evaluation import ScoringSet
from proxy.lm.rescoring import rescore_by_step
from proxy.protocols import Architecture, Protocol, Schedule, Scoring

ARCHITECTURE = Architecture(layers=2, width=32, heads=2, hidden=48, context_tokens=16, vocabulary=300)
ONE_LAYER = ARCHITECTURE.model_copy(update={"layers": 1})  # half the time to compile
CPU = Device(device=torch.device("cpu"), compute_dtype=torch.float32, compile=False)


def protocol(steps: int = 40, **options: object) -> Protocol:
    """fp32 and short, scored once."""
    settings: dict[str, object] = {
        "name": "tiny",
        "architecture": ARCHITECTURE,
        "tokenizer": "none",
        "batch_sequences": 4,
        "steps": steps,
        "standard_rate": 1e-2,
        "precision": "fp32",
        "schedule": Schedule(warmup_steps=5),
        "scoring": Scoring(checkpoints=1),
    }
    return Protocol.model_validate(settings | options)


def stream(asked: Protocol, seed: int = 0) -> np.ndarray:
    """Tokens that can be learnt: each is its predecessor plus a small step."""
    draw = np.random.default_rng(seed)
    steps = draw.integers(0, 4, asked.token_budget + 1)
    return (np.cumsum(steps) % asked.architecture.vocabulary).astype(np.uint16)


def member(asked: Protocol, name: str, rate: float = 1e-2, seed: int = 0, sweep: str | None = None) -> Member:
    return Member(run_id=name, learning_rate=rate, seed=seed, read=reader(stream(asked, seed)), sweep=sweep)


def reader(tokens: np.ndarray) -> Callable[[int, int], np.ndarray]:
    """Reads tokens that are in memory."""
    return lambda start, count: tokens[start : start + count]


def scoring_set(documents: int = 5, windows: int = 7, seed: int = 3) -> ScoringSet:
    """Random windows; some belong to the same document, some targets are not scored."""
    draw = np.random.default_rng(seed)
    shape = (windows, ARCHITECTURE.context_tokens)
    targets = draw.integers(0, 300, shape)
    targets[:, -3:] = -1
    return ScoringSet(
        name="held-out",
        windows=ScoringWindows(
            inputs_WT=draw.integers(0, 300, shape), targets_WT=targets, document_W=np.arange(windows) % documents
        ),
        text_bytes=np.full(documents, 40),
        documents=documents,
    )


@dataclass(kw_only=True)
class Events:
    """Remembers progress; cancels what it is told to."""

    is_cancelled_when: Callable[[str, int], bool] = lambda run, step: False
    steps: dict[str, list[int]] = field(default_factory=dict)
    together: list[tuple[str, ...]] = field(default_factory=list)

    def progress(self, run_id: str, step: int, *figures: float) -> None:
        assert all(np.isfinite(figures))
        self.steps.setdefault(run_id, []).append(step)

    def is_cancelled(self, run_id: str) -> bool:
        return self.is_cancelled_when(run_id, len(self.steps.get(run_id, [])))

    def training(self, run_ids: Sequence[str]) -> None:
        self.together.append(tuple(run_ids))


def rescore(
    asked: Protocol, weights: dict[str, torch.Tensor], sets: dict[str, ScoringSet], threads: int
) -> dict[str, np.ndarray]:
    """Nats of each document of a stored run, averaged over its checkpoints."""
    scored = list(rescore_by_step(asked, weights, sets, threads).values())
    return {name: np.mean([one[name] for one in scored], axis=0) for name in scored[0]}


def train(
    asked: Protocol, *members: Member, events: Events | None = None, at_once: int = 0
) -> dict[str, MemberOutcome]:
    """Outcomes by run id, in fp32 and eagerly."""
    sets = {"held-out": scoring_set()}
    outcomes = train_cohort(asked, members, sets, events or Events(), threads=1, want_compile=False, at_once=at_once)
    return {outcome.run_id: outcome for outcome in outcomes}
