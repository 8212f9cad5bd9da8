"""Runs that are scored on the way: nothing else of them changes, and what is measured there is what it says."""

from dataclasses import replace

import numpy as np
import pytest

from proxy.lm.members import Member, MemberOutcome
from proxy.protocols import Averaging, Schedule, Scoring
from tests.proxy.lm.small import member, protocol, train
from tests.proxy.lm.test_resuming import assert_same, assert_same_middles


def watched(one: Member, *steps: int) -> Member:
    return replace(one, middles=steps)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("kind", ["constant", "cosine"])
def test_scores_on_the_way_change_no_bit_of_the_run(precision: str, kind: str) -> None:
    asked = protocol(
        precision=precision,
        schedule=Schedule.model_validate({"kind": kind, "warmup_steps": 5}),
        scoring=Scoring(checkpoints=3, spacing=0.1),
    )
    without = train(asked, member(asked, "a"))["a"]
    found = train(asked, watched(member(asked, "a"), 3, 17, 36))["a"]  # after step 36 there is a checkpoint too
    assert_same(found, without)
    assert without.nats_by_middle == {}
    assert list(found.nats_by_middle) == [3, 17, 36]
    assert np.array_equal(found.nats_by_middle[36]["held-out"], found.nats_by_step[36]["held-out"])


def test_runs_that_train_at_once_do_not_notice_that_one_is_scored() -> None:
    asked = protocol()
    plain = [member(asked, "a"), member(asked, "b", 3e-3, seed=1)]
    without = train(asked, *plain, at_once=2)
    found = train(asked, watched(plain[0], 7, 21), plain[1], at_once=2)
    for name, outcome in without.items():
        assert_same(found[name], outcome)
    assert {name: list(outcome.nats_by_middle) for name, outcome in found.items()} == {"a": [7, 21], "b": []}


def test_the_middle_of_a_constant_schedule_is_the_end_of_a_shorter_run() -> None:
    long, short = protocol(40), protocol(17)
    middle = train(long, watched(member(long, "a"), 17))["a"].nats_by_middle[17]
    assert long.has_budget_at(17)
    assert np.array_equal(middle["held-out"], train(short, member(short, "a"))["a"].nats["held-out"])


def test_the_middle_of_a_decay_is_not() -> None:
    schedule = Schedule(kind="linear", warmup_steps=5)
    long, short = protocol(40, schedule=schedule), protocol(17, schedule=schedule)
    middle = train(long, watched(member(long, "a"), 17))["a"].nats_by_middle[17]
    assert not long.has_budget_at(17)
    assert not np.array_equal(middle["held-out"], train(short, member(short, "a"))["a"].nats["held-out"])


def test_a_rate_of_a_sweep_is_scored_before_and_after_its_check() -> None:
    asked = protocol(40)
    rates = {"good": 1e-2, "also": 9.5e-3}
    plain = [member(asked, name, rate, sweep="s") for name, rate in rates.items()]
    found = train(asked, *(watched(one, 5, 12, 30) for one in plain))  # they are compared after step 12
    alone = train(asked, watched(member(asked, "good"), 5, 12, 30))["good"]
    assert_same_middles(found["good"], alone)
    without = train(asked, *plain)
    for name, outcome in without.items():
        assert_same(found[name], outcome)


def test_where_weights_are_averaged_those_on_the_way_are_scored_as_they_are() -> None:
    asked = protocol(40, averaging=Averaging(checkpoints=3, spacing=0.2), scoring=Scoring(checkpoints=1))
    without = train(asked, member(asked, "a"))["a"]
    found = train(asked, watched(member(asked, "a"), 24, 32))["a"]
    assert_same(found, without)
    plain: MemberOutcome = train(protocol(40), watched(member(asked, "a"), 24, 32))["a"]
    assert_same_middles(found, plain)
