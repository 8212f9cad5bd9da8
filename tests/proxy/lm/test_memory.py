"""Memory that runs out: the batch is computed in smaller parts, or the run fails and says what would help."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from proxy.lm.memory import is_out_of_memory
from proxy.lm.model import ProxyModel
from tests.proxy.lm.small import member, protocol, train

HOST = "DefaultCPUAllocator: can't allocate memory: you tried to allocate 4 bytes."


def fits(monkeypatch: pytest.MonkeyPatch, rows: int, error: Callable[[], BaseException]) -> list[int]:
    """So many rows fit into memory; the numbers of rows that were tried."""
    true_loss, tried = ProxyModel.loss, list[int]()

    def loss(self: ProxyModel, inputs_BT: Tensor, targets_BT: Tensor) -> Tensor:
        tried.append(len(inputs_BT))
        if len(inputs_BT) > rows:
            raise error()
        return true_loss(self, inputs_BT, targets_BT)

    monkeypatch.setattr(ProxyModel, "loss", loss)
    return tried


@pytest.mark.parametrize("error", [torch.OutOfMemoryError, MemoryError, lambda: RuntimeError(HOST)])
def test_a_batch_that_does_not_fit_is_computed_in_parts(
    monkeypatch: pytest.MonkeyPatch, error: Callable[[], BaseException]
) -> None:
    asked = protocol(30)
    whole = train(asked, member(asked, "a"))["a"]
    tried = fits(monkeypatch, 1, error)
    outcome = train(asked, member(asked, "a"))["a"]
    assert tried[:3] == [4, 2, 1]
    assert outcome.state == "finished"
    np.testing.assert_allclose(np.array(outcome.curve)[:, 1], np.array(whole.curve)[:, 1], rtol=1e-3)
    assert any("out of memory at step 0" in note and "in 4 parts" in note for note in outcome.notes)


def test_parts_need_not_be_equal(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = protocol(1, batch_sequences=5)
    whole = train(asked, member(asked, "a"))["a"]
    tried = fits(monkeypatch, 3, torch.OutOfMemoryError)
    outcome = train(asked, member(asked, "a"))["a"]
    assert tried == [5, 3, 2]
    assert outcome.curve[0][1:3] == pytest.approx(whole.curve[0][1:3], rel=1e-5)


def test_a_run_whose_single_row_does_not_fit_fails_with_what_would_help(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = protocol(30)
    fits(monkeypatch, 0, torch.OutOfMemoryError)
    outcome = train(asked, member(asked, "a"))["a"]
    assert (outcome.state, outcome.failed_step) == ("failed", None)
    assert str(outcome.error).startswith("out of memory at step 0")
    assert "batch_sequences" in str(outcome.error)


def test_a_run_that_runs_out_on_the_way_begins_again(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = protocol(30)
    true_loss, calls = ProxyModel.loss, list[int]()

    def loss(self: ProxyModel, inputs_BT: Tensor, targets_BT: Tensor) -> Tensor:
        calls.append(len(inputs_BT))
        if len(calls) == 25:
            raise torch.OutOfMemoryError
        return true_loss(self, inputs_BT, targets_BT)

    whole = train(asked, member(asked, "a"))["a"]
    monkeypatch.setattr(ProxyModel, "loss", loss)
    outcome = train(asked, member(asked, "a"))["a"]
    assert (outcome.state, outcome.steps_done) == ("finished", 30)
    np.testing.assert_allclose(np.array(outcome.curve)[:, 1], np.array(whole.curve)[:, 1], rtol=1e-3)
    assert any("out of memory at step 20" in note for note in outcome.notes)


def test_other_errors_are_none_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = protocol(3)
    fits(monkeypatch, 0, lambda: RuntimeError("a mistake"))
    with pytest.raises(RuntimeError, match="a mistake"):
        train(asked, member(asked, "a"))
    assert not is_out_of_memory(ValueError("out of memory"))
