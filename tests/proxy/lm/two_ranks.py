"""One of two processes that train together: `python -m tests.proxy.lm.two_ranks RANK FOLDER` does every case of CASES
and leaves what became of each in FOLDER, for test_ranks to read."""

import itertools
import pickle
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

from proxy.errors import InvalidInputError
from proxy.lm import ranks as ranks_module
from proxy.lm import trainer as trainer_module
from proxy.lm.cohort import train_cohort
from proxy.lm.members import Member, MemberOutcome
from proxy.lm.optimizer import make_update
from proxy.lm.ranks import Ranks
from proxy.lm.saving import Safe, Saving, StoppedError
from proxy.lm.trainer import Trainer
from proxy.protocols import Protocol, Schedule, Scoring
from tests.proxy.lm.small import Events, member, protocol, reader, scoring_set, stream

COUNT = 2
STEPS = 24
Outcomes = dict[str, MemberOutcome]
Case = Callable[[Ranks, Path], Outcomes]


def asked(**options: object) -> Protocol:
    return protocol(STEPS, schedule=Schedule(kind="cosine", warmup_steps=2), scoring=Scoring(checkpoints=2), **options)


UNEVEN = {"batch_sequences": 5}
MICRO = {"batch_sequences": 6, "micro_batch_sequences": 2}
SWEPT = {"slow": 1e-6, "good": 3e-2, "also": 2.9e-2}


def swept(one: Protocol) -> list[Member]:
    return [member(one, name, rate, sweep="s") for name, rate in SWEPT.items()]


def train(
    one: Protocol, *members: Member, ranks: Ranks, events: Events | None = None, saving: Saving | None = None
) -> Outcomes:
    sets = {"held-out": scoring_set()}
    outcomes = train_cohort(
        one,
        members,
        sets,
        events or Events(),
        threads=1,
        want_compile=False,
        saving=saving or Saving(),
        at_once=1 if ranks.count == 1 else len(members),  # which several ranks do not heed
        ranks=ranks,
    )
    return {outcome.run_id: outcome for outcome in outcomes}


def cancelled(ranks: Ranks, _: Path) -> Outcomes:
    """Only the first hears of it."""
    events = Events(is_cancelled_when=lambda run, told: run == "a" and told > 0 and ranks.is_first)
    one = asked()
    return train(one, member(one, "a"), member(one, "b"), ranks=ranks, events=events)


def diverging(ranks: Ranks, _: Path) -> Outcomes:
    one = asked()
    return train(one, member(one, "wild", rate=1e6), member(one, "b"), ranks=ranks)


def short(one: Protocol, name: str, steps: int) -> Member:
    return replace(member(one, name), read=reader(stream(one)[: steps * one.batch_tokens + 1]))


def ending(ranks: Ranks, _: Path) -> Outcomes:
    """One stream ends for both, one for the second rank alone."""
    one = asked()
    members = [short(one, "both", 8), short(one, "second", 8) if ranks.rank else member(one, "second")]
    return train(one, *members, member(one, "b"), ranks=ranks)


def failing(work: Callable[..., Any], ranks: Ranks, at: int) -> Callable[..., Any]:
    """The same work, but on the second rank memory runs out at that call of it, once."""
    calls = itertools.count(1)

    def maybe_fail(*given: object) -> object:
        if ranks.rank == 1 and next(calls) == at:
            raise torch.OutOfMemoryError("CUDA out of memory, they say")
        return work(*given)

    return maybe_fail


def exhausted(ranks: Ranks, _: Path) -> Outcomes:
    """Memory runs out on the second rank alone: in a batch, in an update and while a checkpoint is scored."""
    one = asked()
    found: Outcomes = {}
    for name, at in (("_accumulate", 5), ("score", 1)):
        whole = getattr(Trainer, name)
        with patch.object(Trainer, name, failing(whole, ranks, at)):
            found |= train(one, member(one, name), ranks=ranks)
    update = failing(make_update(one.optimizer), ranks, 5)
    with patch.object(trainer_module, "make_update", lambda _: update):
        return found | train(one, member(one, "update"), ranks=ranks)


def stopped(ranks: Ranks, folder: Path) -> Outcomes:
    """The first alone is told to stop, and the second sees no clock; then both go on."""
    one = asked()
    events, safe = Events(), Safe(folder=folder / "states", identity="a")
    saving = Saving(
        seconds=3600,
        safes={"a": safe},
        is_stopping=lambda: ranks.is_first and len(events.steps.get("a", [])) > 0,
    )
    try:
        train(one, member(one, "a"), ranks=ranks, events=events, saving=saving)
    except StoppedError:
        saving = Saving(seconds=3600, safes={"a": replace(safe, attempt=2)})
        return train(one, member(one, "a"), ranks=ranks, saving=saving)
    return {}


def too_few_rows(ranks: Ranks, _: Path) -> Outcomes:
    one = asked(batch_sequences=1)
    try:
        train(one, member(one, "a"), ranks=ranks)
    except InvalidInputError as error:
        return {str(error): replace(train(asked(), member(asked(), "a"), ranks=ranks)["a"], error=str(error))}
    return {}


CASES: dict[str, Case] = {
    "plain": lambda ranks, _: train(asked(), member(asked(), "a"), ranks=ranks),
    "uneven": lambda ranks, _: train(asked(**UNEVEN), member(asked(**UNEVEN), "a"), ranks=ranks),
    "micro": lambda ranks, _: train(asked(**MICRO), member(asked(**MICRO), "a"), ranks=ranks),
    "swept": lambda ranks, _: train(asked(), *swept(asked()), ranks=ranks),
    "cancelled": cancelled,
    "diverging": diverging,
    "ending": ending,
    "exhausted": exhausted,
    "stopped": stopped,
    "too few rows": too_few_rows,
}


def main(rank: int, folder: Path) -> None:
    ranks = ranks_module.join(
        rank=rank, count=COUNT, meeting_point=f"file://{folder / 'meeting-point'}", device_class="cpu"
    )
    found = {name: case(ranks, folder) for name, case in CASES.items()}
    (folder / f"{rank}.pickle").write_bytes(pickle.dumps(found))
    ranks_module.leave(ranks)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
