"""How runs end when something is odd: early checkpoints, broken gradients, cancelled before the first step."""

import gc
import weakref
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from proxy.lm.checkpoints import load_checkpoint, save_checkpoint
from proxy.lm.cohort import train_cohort
from proxy.lm.evaluation import Scorer, positions_a_batch, score_documents, windows_a_batch
from proxy.lm.trainer import Figures, Trainer
from proxy.protocols import Architecture, Scoring
from tests.proxy.lm.small import ARCHITECTURE, CPU, Events, member, protocol, rescore, scoring_set, stream, train


@pytest.mark.parametrize("checkpoints", [1, 3])
def test_a_stored_run_scores_as_it_did_whatever_it_averages(tmp_path: Path, checkpoints: int) -> None:
    asked = protocol(40, scoring=Scoring(checkpoints=checkpoints, spacing=0.2))
    outcome = train(asked, member(asked, "a"))["a"]
    assert outcome.weights is not None
    save_checkpoint(tmp_path / "run.safetensors", outcome.weights)
    again = rescore(asked, load_checkpoint(tmp_path / "run.safetensors"), {"held-out": scoring_set()}, threads=1)
    np.testing.assert_array_equal(again["held-out"], outcome.nats["held-out"])


def test_the_last_checkpoint_keeps_the_models_own_names() -> None:
    asked = protocol(10, scoring=Scoring(checkpoints=2, spacing=0.2))
    outcome = train(asked, member(asked, "a"))["a"]
    assert outcome.weights is not None
    trainer = Trainer(asked, CPU)
    names = {name for name, _ in trainer.model.named_parameters()}
    assert names < set(outcome.weights)
    assert {name.partition("/")[0] for name in set(outcome.weights) - names} == {"step-8"}


def test_checkpoints_before_the_sweeps_check_count_too() -> None:
    asked = protocol(20, scoring=Scoring(checkpoints=5, spacing=0.2))  # scored after 4, 8 … 20; checked after 6
    alone = train(asked, member(asked, "a"))["a"]
    swept = train(asked, member(asked, "a", sweep="s"), member(asked, "b", 9.9e-3, sweep="s"))["a"]
    np.testing.assert_array_equal(swept.nats["held-out"], alone.nats["held-out"])


def test_a_sweep_of_one_step_is_scored() -> None:
    asked = protocol(1)
    ended = train(asked, member(asked, "a", sweep="s"), member(asked, "b", sweep="s"))
    assert [outcome.state for outcome in ended.values()] == ["finished", "finished"]
    assert all(outcome.nats["held-out"].sum() > 0 for outcome in ended.values())


@pytest.mark.parametrize("broken_step", [10, 39])
def test_a_gradient_that_is_no_number_fails_the_run_and_stays_out_of_its_curve(
    monkeypatch: pytest.MonkeyPatch, broken_step: int
) -> None:
    asked = protocol(40)
    true_step = Trainer._step

    def step(self: Trainer, tokens: Sequence[Tensor], rates: Sequence[float]) -> Figures:
        if self.step_of(0) == broken_step:
            self._leaves[0].grad = torch.full_like(self._leaves[0], float("nan"))
        return true_step(self, tokens, rates)

    monkeypatch.setattr(Trainer, "_step", step)
    outcome = train(asked, member(asked, "a"))["a"]
    assert (outcome.state, outcome.failed_step, outcome.steps_done) == ("failed", broken_step + 1, broken_step)
    assert np.isfinite(outcome.curve).all()
    assert outcome.nats == {}


def test_a_run_cancelled_while_it_waited_is_never_begun() -> None:
    asked = protocol(40)

    def unread(start: int, count: int) -> np.ndarray:
        raise AssertionError("the stream of a cancelled run was read")

    gone = replace(member(asked, "gone"), read=unread)
    events = Events(is_cancelled_when=lambda run, reports: run == "gone")
    sets = {"held-out": scoring_set()}
    ended = list(train_cohort(asked, [gone, member(asked, "a")], sets, events, threads=1, want_compile=False))
    assert [(outcome.run_id, outcome.state) for outcome in ended] == [("gone", "cancelled"), ("a", "finished")]
    assert (ended[0].steps_done, ended[0].curve, ended[0].final_loss) == (0, [], None)


def test_a_rate_cancelled_after_the_check_ends_alone() -> None:
    asked = protocol(100)
    events = Events(is_cancelled_when=lambda run, reports: run == "a" and reports >= 2)  # reports after 20 and 30
    ended = train(asked, member(asked, "a", sweep="s"), member(asked, "b", sweep="s"), events=events)
    assert {name: outcome.state for name, outcome in ended.items()} == {"a": "cancelled", "b": "finished"}
    assert ended["a"].steps_done == 30


def test_the_same_seed_gives_the_same_run_to_the_bit() -> None:
    asked = protocol(30, precision="bf16")
    first, second = (train(asked, member(asked, "a", seed=4))["a"] for _ in range(2))
    assert first.curve == second.curve
    assert first.weights is not None
    assert second.weights is not None
    assert all(torch.equal(first.weights[name], second.weights[name]) for name in first.weights)


def test_a_failed_write_leaves_the_old_checkpoint_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    save_checkpoint(path, {"embedding": torch.ones(2)})
    with pytest.raises(AttributeError):
        save_checkpoint(path, {"embedding": None})  # type: ignore[dict-item]
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    assert torch.equal(load_checkpoint(path)["embedding"], torch.ones(2))


def test_weights_of_another_architecture_are_refused() -> None:
    with pytest.raises(KeyError, match="embedding"):
        rescore(protocol(), {"other": torch.ones(2)}, {}, threads=1)


@pytest.mark.parametrize("windows", [1, 32, 33, 70])
@pytest.mark.parametrize("positions", [1, 7, 4096])
def test_every_target_is_scored_once_whatever_their_number(windows: int, positions: int) -> None:
    sets = {"a": scoring_set(documents=4, windows=windows), "b": scoring_set(documents=2, windows=3, seed=4)}
    shapes = set()

    def inputs(inputs_BT: Tensor) -> Tensor:
        shapes.add(tuple(inputs_BT.shape))
        return inputs_BT.reshape(-1, 1)

    def nats(inputs_N1: Tensor, targets_N: Tensor) -> Tensor:
        shapes.add(tuple(inputs_N1.shape))
        return inputs_N1[:, 0] * 300.0 + targets_N

    scorer = Scorer(hidden_rows=inputs, target_nats=nats, windows=32, positions=positions, device=torch.device("cpu"))
    found = score_documents(scorer, sets)
    for name, part in sets.items():
        expected = np.zeros(part.documents)
        is_scored = part.windows.targets_WT >= 0
        each = np.where(is_scored, part.windows.inputs_WT * 300 + part.windows.targets_WT, 0).sum(axis=1)
        np.add.at(expected, part.windows.document_W, each)
        np.testing.assert_array_equal(found[name], expected)
    assert shapes == {(32, ARCHITECTURE.context_tokens), (positions, 1)}


def test_sets_scored_together_are_scored_as_they_are_alone() -> None:
    trainer = Trainer(protocol(), CPU)
    trainer.start(seat=0, seed=0)
    sets = {name: scoring_set(windows=40, seed=seed) for seed, name in enumerate("abc")}
    together = trainer.score(0, sets)
    for name, part in sets.items():
        np.testing.assert_allclose(trainer.score(0, {name: part})[name], together[name], rtol=1e-6)
    nothing = scoring_set(documents=2, windows=2)
    nothing.windows.targets_WT[:] = -1
    assert trainer.score(0, {"empty": nothing})["empty"].tolist() == [0, 0]


def test_large_models_are_scored_in_smaller_batches() -> None:
    cpu = torch.device("cpu")
    assert (windows_a_batch(ARCHITECTURE, cpu), positions_a_batch(ARCHITECTURE, cpu)) == (32, 512)
    large = Architecture(layers=1, width=64, heads=1, hidden=64, context_tokens=4096, vocabulary=50_000)
    assert windows_a_batch(large, cpu) == 1
    assert positions_a_batch(large, cpu) * large.vocabulary * 4 < 1e8


@pytest.mark.parametrize("at_once", [1, 2])
def test_what_was_told_of_a_run_is_not_kept(at_once: int) -> None:
    asked, kept = protocol(10), []
    members = [member(asked, name) for name in "abcd"]
    sets = {"held-out": scoring_set()}
    for outcome in train_cohort(asked, members, sets, Events(), threads=1, want_compile=False, at_once=at_once):
        assert outcome.weights is not None
        kept.append(weakref.ref(outcome.weights["embedding"]))
        del outcome
        gc.collect()
        assert sum(one() is not None for one in kept) < at_once  # those that ended with it wait to be told


def test_streams_are_read_one_run_at_a_time() -> None:
    asked, read = protocol(20), []

    def note(name: str, start: int, count: int) -> np.ndarray:
        read.append(name)
        return stream(asked)[start : start + count]

    members = [replace(member(asked, name), read=partial(note, name)) for name in "ab"]
    outcomes = train_cohort(asked, members, {}, Events(), threads=1, want_compile=False)
    assert next(outcomes).run_id == "a"
    assert read == ["a"]
    assert [outcome.run_id for outcome in outcomes] == ["b"]
