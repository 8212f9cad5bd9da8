"""Members that train at once: each is the run it would have been alone, with its own data, rate, clipping and end."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from proxy.lm.cohort import train_cohort
from proxy.lm.device import Device
from proxy.lm.feeds import TokenFeed
from proxy.lm.logs import Log
from proxy.lm.members import Member, MemberOutcome
from proxy.lm.memory import bytes_a_member, choose_seats
from proxy.lm.model import ProxyModel
from proxy.lm.saving import Safe, Saving, StoppedError
from proxy.lm.trainer import Lesson, Trainer
from proxy.protocols import Architecture, Protocol, Schedule, Scoring
from tests.proxy.lm.small import (
    ARCHITECTURE,
    CPU,
    ONE_LAYER,
    Events,
    member,
    protocol,
    reader,
    scoring_set,
    stream,
    train,
)

# What a stacked run may differ from the same run alone: the order of sums, over 40 steps.
FP32, BF16 = 2e-4, 2e-2

SHAPES = {
    "llama": {},
    "untied": {"tied_embeddings": False},
    "plain": {"plain_embedding": True},
    "qk-norm": {"qk_norm": True},
    "gpt2": {"family": "gpt2"},
}


def trio(asked: Protocol) -> list[Member]:
    """Each with its own seed, stream and rate."""
    return [
        member(asked, name, rate, seed) for seed, (name, rate) in enumerate({"a": 1e-2, "b": 3e-3, "c": 2e-2}.items())
    ]


def assert_alike(one: MemberOutcome, other: MemberOutcome, rtol: float = FP32) -> None:
    assert (one.state, one.steps_done, one.failed_step) == (other.state, other.steps_done, other.failed_step)
    ours, theirs = np.array(one.curve), np.array(other.curve)
    np.testing.assert_allclose(ours[:, 1], theirs[:, 1], rtol=rtol)
    np.testing.assert_allclose(ours, theirs, rtol=10 * rtol)  # a gradient's norm is rougher than the loss
    assert one.nats.keys() == other.nats.keys()
    for name in one.nats:
        np.testing.assert_allclose(one.nats[name], other.nats[name], rtol=rtol)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_members_at_once_equal_each_alone(shape: dict[str, object]) -> None:
    architecture = Architecture.model_validate(ARCHITECTURE.model_dump() | shape)
    asked = protocol(40, architecture=architecture, z_loss=1e-3, scoring=Scoring(checkpoints=3, spacing=0.2))
    at_once = train(asked, *trio(asked), at_once=3)
    for one in trio(asked):
        assert_alike(at_once[one.run_id], train(asked, one)[one.run_id])


def test_members_at_once_equal_each_alone_in_bf16() -> None:
    asked = protocol(40, precision="bf16")
    at_once = train(asked, *trio(asked), at_once=3)
    for one in trio(asked):
        assert_alike(at_once[one.run_id], train(asked, one)[one.run_id], BF16)


@pytest.mark.parametrize("options", [{"micro_batch_sequences": 1}, {"micro_batch_sequences": 2}])
def test_parts_of_a_batch_are_stacked_too(options: dict[str, object]) -> None:
    asked = protocol(20, **options)
    at_once = train(asked, *trio(asked), at_once=3)
    for one in trio(asked):
        assert_alike(at_once[one.run_id], train(protocol(20), one)[one.run_id])


def test_each_member_is_clipped_by_its_own_norm() -> None:
    asked = protocol(1)
    alone = {one.run_id: train(asked, one)[one.run_id].curve[0][2] for one in trio(asked)}
    at_once = {name: outcome.curve[0][2] for name, outcome in train(asked, *trio(asked), at_once=3).items()}
    assert len(set(alone.values())) == 3
    assert at_once == pytest.approx(alone, rel=1e-5)


def test_a_free_seat_is_taken_by_the_next_run() -> None:
    asked = protocol(40)
    members = [member(asked, name, seed=seed) for seed, name in enumerate("abcde")]
    events = Events()
    ended = train(asked, *members, events=events, at_once=2)
    assert events.together == [("a", "b"), ("c", "d"), ("e",)]
    for one in members:
        assert_alike(ended[one.run_id], train(asked, one)[one.run_id])


def test_a_member_that_diverges_ends_alone_and_its_seat_is_used_again() -> None:
    asked = protocol(60)
    wild = member(asked, "wild", 1e30)
    events = Events()
    ended = train(asked, wild, *trio(asked), events=events, at_once=2)
    assert (ended["wild"].state, ended["wild"].failed_step) == ("failed", train(asked, wild)["wild"].failed_step)
    assert events.together[:2] == [("wild", "a"), ("a", "b")]
    for one in trio(asked):
        assert_alike(ended[one.run_id], train(asked, one)[one.run_id])


def test_a_member_whose_stream_ends_ends_alone() -> None:
    asked = protocol(40)
    tokens = stream(asked)[: 10 * asked.batch_tokens + 1]
    short = replace(member(asked, "short"), read=reader(tokens))
    ended = train(asked, short, *trio(asked), at_once=4)
    assert (ended["short"].state, ended["short"].failed_step) == ("failed", 10)
    for one in trio(asked):
        assert_alike(ended[one.run_id], train(asked, one)[one.run_id])


def test_a_cancelled_member_leaves_and_the_others_do_not_notice() -> None:
    asked = protocol(80)
    events = Events(is_cancelled_when=lambda run, reports: run == "a" and reports >= 1)
    ended = train(asked, *trio(asked), events=events, at_once=3)
    assert {name: outcome.state for name, outcome in ended.items()} == {
        "a": "cancelled",
        "b": "finished",
        "c": "finished",
    }
    assert 0 < ended["a"].steps_done < 80
    for one in trio(asked)[1:]:
        assert_alike(ended[one.run_id], train(asked, one)[one.run_id])


@pytest.mark.parametrize("at_once", [2, 5])
def test_sweeps_are_judged_as_they_are_one_after_the_other(at_once: int) -> None:
    asked = protocol(100)
    rates = {"slow": 1e-6, "good": 1e-2, "also": 9.5e-3}
    members = [
        *(member(asked, name, rate, sweep="s") for name, rate in rates.items()),
        *(member(asked, f"{name}-2", rate, seed=1, sweep="t") for name, rate in rates.items()),
        member(asked, "alone", seed=2),
    ]
    expected, ended = train(asked, *members), train(asked, *members, at_once=at_once)
    assert {name for name, outcome in ended.items() if outcome.state == "stopped"} == {"slow", "slow-2"}
    for name, outcome in ended.items():
        assert_alike(outcome, expected[name])


def test_a_share_of_the_time_is_each_members() -> None:
    asked = protocol(40)
    ended = train(asked, *trio(asked), at_once=3)
    seconds = {outcome.seconds for outcome in ended.values()}
    assert max(seconds) == pytest.approx(min(seconds))


def until_stopped(
    asked: Protocol, folder: Path, attempt: int, stop: int | None, at_once: int
) -> dict[str, MemberOutcome]:
    """One attempt at the trio, which is told to stop once a run has come so far."""
    events, stopping = Events(), [False]

    def progress(run_id: str, step: int, *figures: float) -> None:
        stopping[0] = stopping[0] or step == stop

    events.progress = progress  # type: ignore[method-assign]
    safes = {one.run_id: Safe(folder=folder / one.run_id, identity=one.run_id, attempt=attempt) for one in trio(asked)}
    saving = Saving(seconds=3600, safes=safes, is_stopping=lambda: stopping[0])
    sets, found = {"held-out": scoring_set()}, dict[str, MemberOutcome]()
    outcomes = train_cohort(asked, trio(asked), sets, events, 1, want_compile=False, saving=saving, at_once=at_once)
    try:
        for outcome in outcomes:
            found[outcome.run_id] = outcome
    except StoppedError:
        assert stop is not None
    return found


@pytest.mark.parametrize("stop", [20, 48])
def test_a_stack_that_was_stopped_goes_on_to_the_bit(tmp_path: Path, stop: int) -> None:
    schedule = Schedule(kind="cosine", warmup_steps=5)
    asked = protocol(60, schedule=schedule, scoring=Scoring(checkpoints=3, spacing=0.2))
    whole = until_stopped(asked, tmp_path / "whole", 1, None, 3)
    assert until_stopped(asked, tmp_path / "parts", 1, stop, 3) == {}
    resumed = until_stopped(asked, tmp_path / "parts", 2, None, 3)
    for name, outcome in resumed.items():
        assert outcome.curve == whole[name].curve
        assert np.array_equal(outcome.nats["held-out"], whole[name].nats["held-out"])
        assert outcome.resumed_from == (stop + 1,)
        assert outcome.notes == whole[name].notes


def test_a_stack_goes_on_one_after_the_other_and_says_so(tmp_path: Path) -> None:
    asked = protocol(60)
    assert until_stopped(asked, tmp_path, 1, 20, 3) == {}
    resumed = until_stopped(asked, tmp_path, 2, None, 1)
    for one in trio(asked):
        assert_alike(resumed[one.run_id], train(asked, one)[one.run_id])
        assert any("3 runs at once" in note and "not to the bit" in note for note in resumed[one.run_id].notes)


def fits(monkeypatch: pytest.MonkeyPatch, members: int) -> None:
    """So many members fit into memory at once."""
    true_step = Trainer._step

    def step(self: Trainer, tokens: list[Tensor], rates: list[float]) -> tuple[Tensor, Tensor, Tensor]:
        if self.seats > members:
            raise torch.OutOfMemoryError
        return true_step(self, tokens, rates)

    monkeypatch.setattr(Trainer, "_step", step)


@pytest.mark.parametrize(("fitting", "how"), [(2, "2 runs at once"), (1, "one run after the other")])
def test_a_stack_that_does_not_fit_is_halved_and_says_so(
    monkeypatch: pytest.MonkeyPatch, fitting: int, how: str
) -> None:
    asked = protocol(40)
    members = [member(asked, name, seed=seed) for seed, name in enumerate("abcd")]
    expected = {one.run_id: train(asked, one)[one.run_id] for one in members}
    fits(monkeypatch, fitting)
    ended = train(asked, *members, at_once=4)
    for name, outcome in ended.items():
        assert_alike(outcome, expected[name])
    assert any(f"out of memory at step 0: went on from step 0 with {how}" in note for note in ended["a"].notes)


def test_halving_ends_where_one_row_of_one_run_does_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = protocol(10)

    def loss(self: ProxyModel, inputs_BT: Tensor, targets_BT: Tensor) -> Tensor:
        raise torch.OutOfMemoryError

    monkeypatch.setattr(ProxyModel, "loss", loss)
    ended = train(asked, *trio(asked), at_once=3)
    assert [outcome.state for outcome in ended.values()] == ["failed"] * 3
    assert all(
        "what would help" in str(outcome.error) or "batch_sequences" in str(outcome.error) for outcome in ended.values()
    )


@pytest.mark.filterwarnings("ignore")  # what the compiler deprecates in itself is not ours to mend
def test_a_compiled_stack_is_compiled_once_and_equals_the_eager_one() -> None:
    asked = protocol(4, architecture=ONE_LAYER)
    compiled = Trainer(asked, Device(device=CPU.device, compute_dtype=torch.float32, compile=True), seats=2)
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    logs: dict[bool, list[Log]] = {}
    for trainer in (compiled, Trainer(asked, CPU, seats=2)):
        lessons = []
        for seat, rate in enumerate((1e-2, 3e-3)):
            trainer.start(seat, seed=seat)
            feed = TokenFeed(reader(stream(asked, seat)), asked.batch_tokens, 0, 4, CPU.device)
            lessons.append(Lesson(seat=seat, feed=feed, peak=rate, log=Log.empty(4)))
        trainer.train(lessons, 4)
        for lesson in lessons:
            lesson.feed.close()
        logs[trainer is compiled] = [lesson.log for lesson in lessons]
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 2  # loss and update
    for one, other in zip(logs[True], logs[False], strict=True):
        np.testing.assert_allclose(one.loss_S, other.loss_S, rtol=1e-4)


def test_a_cpu_trains_one_after_the_other_unless_it_is_told() -> None:
    cpu = torch.device("cpu")
    assert choose_seats(protocol(), cpu, 46, 0) == 1
    assert choose_seats(protocol(), cpu, 3, 8) == 3
    assert choose_seats(protocol(activation_checkpointing=True), cpu, 3, 8) == 1


@pytest.mark.parametrize(
    ("free", "members", "at_once", "seats"), [(24, 46, 0, 23), (24, 46, 10, 10), (60, 46, 0, 46), (0.5, 5, 0, 1)]
)
def test_a_gpu_trains_what_fits_its_memory_in_even_rounds(
    monkeypatch: pytest.MonkeyPatch, free: float, members: int, at_once: int, seats: int
) -> None:
    asked = protocol()
    free_bytes = int(free * bytes_a_member(asked) / 0.8) + 1
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free_bytes, 2 * free_bytes))
    assert choose_seats(asked, torch.device("cuda"), members, at_once) == seats


def test_a_member_takes_its_vectors_activations_and_logits() -> None:
    asked = protocol()
    tokens = asked.batch_tokens
    vectors = 28 * ARCHITECTURE.parameters
    layers = ARCHITECTURE.layers * 2 * (16 * ARCHITECTURE.width + 4 * ARCHITECTURE.hidden)
    assert bytes_a_member(asked) == vectors + tokens * (layers + 10 * ARCHITECTURE.vocabulary)
    assert bytes_a_member(protocol(micro_batch_sequences=1)) < bytes_a_member(asked)


@pytest.mark.gpu
@pytest.mark.skipif(
    not torch.cuda.is_available(),
    reason="needs a CUDA device and torch's CUDA build: pip install --force-reinstall torch==2.13.0 (default index)",
)
def test_a_cohort_trains_at_once_on_a_gpu() -> None:
    asked = protocol(40, device_class="cuda", precision="bf16")
    events, sets = Events(), {"held-out": scoring_set()}
    at_once = {
        outcome.run_id: outcome
        for outcome in train_cohort(asked, trio(asked), sets, events, threads=1, want_compile=True)
    }
    assert events.together == [("a", "b", "c")]
    for one in trio(asked):
        (alone,) = train_cohort(asked, [one], sets, Events(), threads=1, want_compile=True)
        assert_alike(at_once[one.run_id], alone, BF16)
