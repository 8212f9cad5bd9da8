"""Members of a cohort: each as if it were alone, each with its own end."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from proxy.lm.checkpoints import checkpoint_steps, load_checkpoint, save_checkpoint
from proxy.lm.cohort import train_cohort
from proxy.lm.device import Device
from proxy.lm.feeds import TokenFeed
from proxy.lm.logs import Log
from proxy.lm.model import ProxyModel
from proxy.lm.trainer import Lesson, Trainer
from proxy.protocols import Protocol, Scoring
from tests.proxy.lm.small import CPU, ONE_LAYER, Events, member, protocol, reader, rescore, scoring_set, stream, train


def test_a_run_learns_and_records_its_curve() -> None:
    asked = protocol(60)
    outcome = train(asked, member(asked, "a"))["a"]
    assert (outcome.state, outcome.steps_done, outcome.tokens) == ("finished", 60, 60 * 64)
    assert outcome.final_loss is not None
    assert outcome.final_loss < outcome.curve[0][1] - 1
    assert [row[0] for row in outcome.curve] == list(range(60))
    assert {len(row) for row in outcome.curve} == {6}
    assert all(0 < row[4] < 0.2 for row in outcome.curve)  # a share of the weights' norm
    assert outcome.curve[-1][5] == pytest.approx(asked.training_flops())
    assert outcome.curve[0][5] == pytest.approx(asked.training_flops() / 60)
    assert len(outcome.speeds) == 60
    assert min(outcome.speeds) > 0
    assert outcome.parameters == asked.architecture.parameters


def test_a_member_equals_the_same_run_alone() -> None:
    asked = protocol()
    together = train(asked, member(asked, "a"), member(asked, "b", 3e-3, seed=1))["b"]
    alone = train(asked, member(asked, "b", 3e-3, seed=1))["b"]
    assert together.curve == alone.curve
    assert np.array_equal(together.nats["held-out"], alone.nats["held-out"])


def test_seeds_and_rates_make_a_difference() -> None:
    asked = protocol(10)
    ended = train(asked, member(asked, "a"), member(asked, "b", seed=1), member(asked, "c", 1e-3))
    assert len({outcome.final_loss for outcome in ended.values()}) == 3


def test_a_diverging_member_fails_alone_with_its_step() -> None:
    asked = protocol(30)
    ended = train(asked, member(asked, "wild", 1e30), member(asked, "tame"))
    assert (ended["wild"].state, ended["tame"].state) == ("failed", "finished")
    assert ended["wild"].failed_step is not None
    assert f"at step {ended['wild'].failed_step}" in str(ended["wild"].error)
    assert ended["tame"].curve == train(asked, member(asked, "tame"))["tame"].curve


def test_hopeless_rates_are_given_up_and_the_others_do_not_notice() -> None:
    asked = protocol(100)
    rates = {"slow": 1e-6, "good": 1e-2, "also-good": 9.5e-3}
    ended = train(asked, *(member(asked, name, rate, sweep="s") for name, rate in rates.items()))
    assert {name: outcome.state for name, outcome in ended.items()} == {
        "slow": "stopped",
        "good": "finished",
        "also-good": "finished",
    }
    assert (ended["slow"].steps_done, ended["slow"].nats) == (30, {})
    alone = train(asked, member(asked, "good"))["good"]
    assert ended["good"].curve == alone.curve
    assert np.array_equal(ended["good"].nats["held-out"], alone.nats["held-out"])


def test_a_sweep_in_which_everything_diverges_has_no_best() -> None:
    asked = protocol(60)
    ended = train(asked, member(asked, "a", 1e30, sweep="s"), member(asked, "b", 1e31, sweep="s"))
    assert [outcome.state for outcome in ended.values()] == ["failed", "failed"]


def test_a_cancelled_member_stops_and_the_next_goes_on() -> None:
    asked = protocol(80)
    events = Events(is_cancelled_when=lambda run, reports: run == "a" and reports >= 1)
    ended = train(asked, member(asked, "a"), member(asked, "b"), events=events)
    assert (ended["a"].state, ended["b"].state) == ("cancelled", "finished")
    assert ended["a"].steps_done < 80
    assert events.steps["b"][-1] == 80


def test_no_members_are_no_work() -> None:
    assert train(protocol()) == {}


def test_scores_are_each_documents_summed_losses() -> None:
    asked = protocol(5)
    outcome = train(asked, member(asked, "a"))["a"]
    assert outcome.weights is not None
    model = ProxyModel(asked.architecture)
    model.load_state_dict(outcome.weights)
    windows = scoring_set().windows
    expected = np.zeros(5)
    for row, document in enumerate(windows.document_W):
        logits = model(torch.from_numpy(windows.inputs_WT[row : row + 1]))[0].log_softmax(-1)
        for position, target in enumerate(windows.targets_WT[row]):
            if target >= 0:
                expected[document] -= float(logits[position, target].detach())
    np.testing.assert_allclose(outcome.nats["held-out"], expected, rtol=1e-5)


def test_the_score_is_the_mean_of_the_last_checkpoints() -> None:
    def scored(checkpoints: int, steps: int) -> np.ndarray:
        asked = protocol(steps, scoring=Scoring(checkpoints=checkpoints, spacing=0.1))
        tokens = stream(protocol(20))
        one = member(asked, "a")
        one = type(one)(run_id="a", learning_rate=1e-2, seed=0, read=reader(tokens[: asked.token_budget + 1]))
        return train(asked, one)["a"].nats["held-out"]

    mean = np.mean([scored(1, steps) for steps in (16, 18, 20)], axis=0)
    np.testing.assert_allclose(scored(3, 20), mean, rtol=1e-6)


def test_checkpoints_never_come_before_the_first_step() -> None:
    assert checkpoint_steps(protocol(2, scoring=Scoring(checkpoints=5, spacing=0.2))) == (2, 1)


def test_a_stored_checkpoint_scores_as_it_did(tmp_path: Path) -> None:
    asked = protocol(10)
    outcome = train(asked, member(asked, "a"))["a"]
    assert outcome.weights is not None
    path = tmp_path / "run.safetensors"
    save_checkpoint(path, outcome.weights)
    again = rescore(asked, load_checkpoint(path), {"held-out": scoring_set()}, threads=1)
    np.testing.assert_array_equal(again["held-out"], outcome.nats["held-out"])
    assert [file.name for file in tmp_path.iterdir()] == ["run.safetensors"]


@pytest.mark.filterwarnings("ignore")  # what the compiler deprecates in itself is not ours to mend
def test_new_rates_and_steps_compile_nothing_again() -> None:
    asked = protocol(6, architecture=ONE_LAYER)
    trainer = Trainer(asked, Device(device=torch.device("cpu"), compute_dtype=torch.float32, compile=True))
    eager = Trainer(asked, CPU)
    losses = []
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    for one in (trainer, eager):
        for rate in (1e-2, 3e-3):
            log = Log.empty(6)
            one.start(seat=0, seed=0)
            with TokenFeed(reader(stream(asked)), asked.batch_tokens, 0, 6, CPU.device) as feed:
                one.train([Lesson(seat=0, feed=feed, peak=rate, log=log)], 6)
            one.score(0, {"held-out": scoring_set()})
            losses.append(log.loss_S)
    frames = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    assert frames == 4  # loss, update, and the layers and the output layer of scoring
    np.testing.assert_allclose(losses[:2], losses[2:], rtol=1e-4)


needs_gpu = pytest.mark.skipif(
    not torch.cuda.is_available(),
    reason="needs a CUDA device and torch's CUDA build: pip install --force-reinstall torch==2.13.0 (default index)",
)


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize("options", [{}, {"micro_batch_sequences": 2}], ids=["whole", "in parts"])
@pytest.mark.parametrize("seats", [1, 2])
def test_a_graph_that_is_replayed_trains_the_same(options: dict[str, object], seats: int) -> None:
    asked = protocol(40, device_class="cuda", **options)
    plain = Device(device=torch.device("cuda"), compute_dtype=torch.float32, compile=True)
    curves = []
    for device in (plain, replace(plain, cuda_graphs=True)):
        trainer, logs = Trainer(asked, device, seats), [Log.empty(40) for _ in range(seats)]
        for seat in range(seats):
            trainer.start(seat, seed=seat)
        feeds = [
            TokenFeed(reader(stream(asked, seat)), asked.batch_tokens, 0, 40, device.device) for seat in range(seats)
        ]
        for _ in range(2):
            trainer.train([Lesson(seat=seat, feed=feeds[seat], peak=1e-2, log=logs[seat]) for seat in range(seats)], 20)
        for feed in feeds:
            feed.close()
        curves.append([(log.loss_S, log.norm_S) for log in logs])
    np.testing.assert_allclose(curves[0], curves[1], rtol=1e-4)


@pytest.mark.gpu
@needs_gpu
def test_a_run_trains_on_a_gpu() -> None:
    asked: Protocol = protocol(40, device_class="cuda", precision="bf16")
    sets = {"held-out": scoring_set()}
    (outcome,) = train_cohort(asked, [member(asked, "a")], sets, Events(), threads=1, want_compile=True)
    assert outcome.state == "finished"
    assert outcome.final_loss is not None
    assert outcome.final_loss < outcome.curve[0][1] - 1
