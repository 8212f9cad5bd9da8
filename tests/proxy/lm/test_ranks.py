"""Two real processes that train together do what one does, agree on everything, and leave none waiting."""

import os
import pickle
import subprocess
import sys
from collections.abc import Mapping

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import InvalidInputError
from proxy.lm.members import MemberOutcome
from proxy.lm.ranks import ALONE, ExhaustedError, Ranks
from tests.proxy.lm.small import member
from tests.proxy.lm.two_ranks import COUNT, MICRO, STEPS, UNEVEN, Outcomes, asked, swept, train

PATIENCE_SECONDS = 120
# Losses, gradient norms, nats (relative) and weights of two ranks against one: the sum of gradients in another order.
TOLERANCE = 1e-4

Found = Mapping[str, Outcomes]


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Found, Found]:
    """What each rank came to, from one start of both."""
    folder = tmp_path_factory.mktemp("ranks")
    environment = os.environ | {
        "OMP_NUM_THREADS": "1",
        "GLOO_SOCKET_IFNAME": "lo" if sys.platform == "linux" else "lo0",
    }
    program = [sys.executable, "-m", "tests.proxy.lm.two_ranks"]
    processes = [
        subprocess.Popen([*program, str(rank), str(folder)], env=environment, stderr=subprocess.PIPE, text=True)
        for rank in range(COUNT)
    ]
    try:
        for process in processes:
            _, words = process.communicate(timeout=PATIENCE_SECONDS)
            assert process.returncode == 0, words
    finally:
        for process in processes:
            process.kill()
    first, second = (pickle.loads((folder / f"{rank}.pickle").read_bytes()) for rank in range(COUNT))
    return first, second


def assert_equal(one: MemberOutcome, other: MemberOutcome) -> None:
    """To the bit."""
    assert (one.state, one.steps_done, one.curve, one.failed_step) == (
        other.state,
        other.steps_done,
        other.curve,
        other.failed_step,
    )
    assert all(np.array_equal(one.nats[name], other.nats[name]) for name in one.nats)
    if one.weights is not None and other.weights is not None:
        assert all(torch.equal(one.weights[name], other.weights[name]) for name in one.weights)


def assert_close(one: MemberOutcome, alone: MemberOutcome) -> None:
    """Within rounding."""
    assert (one.state, one.steps_done) == (alone.state, alone.steps_done)
    np.testing.assert_allclose(
        [row[1:3] for row in one.curve], [row[1:3] for row in alone.curve], rtol=TOLERANCE, atol=1e-6
    )
    assert one.nats.keys() == alone.nats.keys()
    for name, nats in one.nats.items():
        np.testing.assert_allclose(nats, alone.nats[name], rtol=TOLERANCE)
    assert (one.weights is None) == (alone.weights is None)
    for name, weights in (one.weights or {}).items():
        assert alone.weights is not None
        torch.testing.assert_close(weights, alone.weights[name], rtol=0, atol=TOLERANCE)


def test_both_ranks_come_to_the_same_bits(both: tuple[Found, Found]) -> None:
    first, second = both
    assert first.keys() == second.keys()
    for name, outcomes in first.items():
        assert outcomes.keys() == second[name].keys()
        for run_id, outcome in outcomes.items():
            assert_equal(outcome, second[name][run_id])


@pytest.mark.parametrize(("case", "options"), [("plain", {}), ("uneven", UNEVEN), ("micro", MICRO)])
def test_two_ranks_train_the_run_that_one_process_trains(
    both: tuple[Found, Found], case: str, options: dict[str, object]
) -> None:
    one = asked(**options)
    alone = train(one, member(one, "a"), ranks=ALONE)["a"]
    assert both[0][case]["a"].state == "finished"
    assert_close(both[0][case]["a"], alone)


def test_a_sweep_gives_up_the_same_rates(both: tuple[Found, Found]) -> None:
    alone = train(asked(), *swept(asked()), ranks=ALONE)
    assert {name: outcome.state for name, outcome in alone.items()} == {
        "slow": "stopped",
        "good": "finished",
        "also": "finished",
    }
    for name, outcome in both[0]["swept"].items():
        assert_close(outcome, alone[name])


def test_a_run_that_only_the_first_rank_hears_to_be_cancelled_ends_on_both(both: tuple[Found, Found]) -> None:
    for found in both:
        outcome = found["cancelled"]["a"]
        assert outcome.state == "cancelled"
        assert 0 < outcome.steps_done < STEPS
    assert_equal(both[0]["cancelled"]["b"], both[0]["plain"]["a"])


def test_a_run_that_diverges_fails_alone_on_both_ranks(both: tuple[Found, Found]) -> None:
    for found in both:
        assert found["diverging"]["wild"].state == "failed"
        assert "the training loss became" in str(found["diverging"]["wild"].error)
        assert found["diverging"]["b"].state == "finished"
    assert_equal(both[0]["diverging"]["b"], both[0]["plain"]["a"])


def test_a_stream_that_ends_for_one_rank_ends_for_both(both: tuple[Found, Found]) -> None:
    for found in both:
        for name in ("both", "second"):
            assert found["ending"][name].state == "failed"
            assert "the training stream ended at step" in str(found["ending"][name].error)
            assert "64 tokens are missing" not in str(found["ending"][name].error)
        assert found["ending"]["b"].state == "finished"
    errors = {found["ending"]["second"].error.partition(": ")[2] for found in both}  # type: ignore[union-attr]
    assert len(errors) == 1


@pytest.mark.parametrize("where", ["_accumulate", "update", "score"])
def test_where_memory_runs_out_on_one_rank_both_begin_again_in_smaller_parts(
    both: tuple[Found, Found], where: str
) -> None:
    for found in both:
        outcome = found["exhausted"][where]
        assert outcome.state == "finished"
        (note,) = outcome.notes[-1:]
        assert note.startswith("out of memory at step")
        assert "each batch computed in 2 parts" in note
        assert_close(outcome, both[0]["plain"]["a"])


def test_a_stop_that_only_the_first_rank_hears_keeps_the_state_and_costs_no_bit(both: tuple[Found, Found]) -> None:
    for found in both:
        outcome = found["stopped"]["a"]
        assert 0 < outcome.resumed_from[0] < STEPS
        assert outcome.notes == found["plain"]["a"].notes
        assert_equal(outcome, both[0]["plain"]["a"])


def test_more_ranks_than_rows_are_refused_on_all_of_them(both: tuple[Found, Found]) -> None:
    for found in both:
        ((error, after),) = found["too few rows"].items()
        assert "/batch_sequences" in error
        assert "2 processes" in error
        assert "got 1" in error
        assert_equal(after, both[0]["plain"]["a"])


@given(rows=st.integers(0, 1000), count=st.integers(1, 64))
def test_shares_are_all_rows_once_and_differ_by_one_row_at_most(rows: int, count: int) -> None:
    shares = [range(rows)[Ranks(rank=rank, count=count).share(rows)] for rank in range(count)]
    assert [row for share in shares for row in share] == list(range(rows))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
    assert (min(map(len, shares)) > 0) == (rows >= count)


def test_one_process_alone_asks_nobody() -> None:
    assert ALONE.is_first
    assert ALONE.share(7) == slice(0, 7)
    assert (ALONE.any(True), ALONE.first(False), ALONE.most(-3), ALONE.told(("a",))) == (True, False, -3, ("a",))
    tensor = torch.ones(3)
    ALONE.sum_(tensor)
    assert tensor.tolist() == [1.0, 1.0, 1.0]

    def fail() -> None:
        raise MemoryError("mine")

    with pytest.raises(MemoryError, match="mine") as caught:
        ALONE.together(fail)
    assert not isinstance(caught.value, ExhaustedError)
    with pytest.raises(InvalidInputError, match="batch_sequences"):
        Ranks(count=3).require_rows(2)
    Ranks(count=3).require_rows(3)
