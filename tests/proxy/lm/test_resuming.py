"""A run that was broken off and begun again is the run that was not: every step, every weight, every score."""

import errno
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from proxy.lm import saving as saving_module
from proxy.lm.cohort import StoppedError, train_cohort
from proxy.lm.evaluation import ScoringSet
from proxy.lm.members import Member, MemberOutcome
from proxy.lm.saving import Safe, Saver, Saving
from proxy.lm.states import UnusableStateError, read_state
from proxy.protocols import Protocol, Schedule, Scoring
from tests.proxy.lm.small import Events, member, protocol, scoring_set, train

ALWAYS = 1e-9  # seconds between two states: one after every step


def asked(steps: int = 60, **options: object) -> Protocol:
    schedule = Schedule(kind="cosine", warmup_steps=5)
    return protocol(steps, schedule=schedule, scoring=Scoring(checkpoints=3, spacing=0.2), **options)


@dataclass(kw_only=True)
class Place:
    """A folder of states, and attempts to train that end when they are told to."""

    folder: Path
    attempts: int = 0
    seconds: float = 3600
    kept: list[str] = field(default_factory=list)

    def safes(self, members: tuple[Member, ...]) -> dict[str, Safe]:
        self.attempts += 1
        return {
            one.run_id: Safe(folder=self.folder / one.run_id, identity=one.run_id, attempt=self.attempts)
            for one in members
        }

    def train(
        self,
        protocol: Protocol,
        *members: Member,
        stop_after: Callable[[str, int], bool] = lambda run, step: False,
        sets: dict[str, ScoringSet] | None = None,
        threads: int = 1,
    ) -> dict[str, MemberOutcome]:
        """Outcomes until the stop; `stop_after` hears of each step that is shown."""
        events = Events()
        stopping = [False]

        def progress(run_id: str, step: int, *figures: float) -> None:
            stopping[0] = stopping[0] or stop_after(run_id, step)

        events.progress = progress  # type: ignore[method-assign]
        saving = Saving(
            seconds=self.seconds, most_share=1.0, safes=self.safes(members), is_stopping=lambda: stopping[0]
        )
        outcomes = train_cohort(
            protocol, members, sets or {"held-out": scoring_set()}, events, threads, want_compile=False, saving=saving
        )
        return dict(self._until_stopped(outcomes))

    def _until_stopped(self, outcomes: Iterator[MemberOutcome]) -> Iterator[tuple[str, MemberOutcome]]:
        try:
            for outcome in outcomes:
                yield outcome.run_id, outcome
        except StoppedError:
            return

    def files(self, run_id: str) -> list[str]:
        return sorted(path.name for path in (self.folder / run_id).iterdir())


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(folder=tmp_path)


def assert_same(one: MemberOutcome, other: MemberOutcome) -> None:
    assert (one.state, one.curve, one.final_loss) == (other.state, other.curve, other.final_loss)
    assert one.nats.keys() == other.nats.keys()
    assert all(np.array_equal(one.nats[name], other.nats[name]) for name in one.nats)
    assert one.nats_by_step.keys() == other.nats_by_step.keys()
    for step, nats in one.nats_by_step.items():
        assert all(np.array_equal(nats[name], other.nats_by_step[step][name]) for name in nats)
    assert (one.weights is None) == (other.weights is None)
    if one.weights is not None and other.weights is not None:
        assert one.weights.keys() == other.weights.keys()
        assert all(torch.equal(one.weights[name], other.weights[name]) for name in one.weights)


def assert_same_middles(one: MemberOutcome, other: MemberOutcome) -> None:
    assert one.nats_by_middle.keys() == other.nats_by_middle.keys()
    for step, nats in one.nats_by_middle.items():
        assert all(np.array_equal(nats[name], other.nats_by_middle[step][name]) for name in nats)


def reached(stop: int, _: str, step: int) -> bool:
    return step >= stop


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("steps", [[20], [36], [40], [48], [20, 40, 44]])
def test_a_run_that_was_stopped_goes_on_to_the_bit(place: Place, steps: list[int], precision: str) -> None:
    one = asked(precision=precision)
    for stop in steps:
        assert place.train(one, member(one, "a"), stop_after=partial(reached, stop)) == {}
    resumed = place.train(one, member(one, "a"))["a"]
    assert_same(resumed, train(one, member(one, "a"))["a"])
    assert len(resumed.resumed_from) == len(steps)
    assert all(0 < step <= 60 for step in resumed.resumed_from)


@pytest.mark.parametrize("seconds", [3600, ALWAYS])
@pytest.mark.parametrize("stop", [13, 20, 31])
def test_a_run_that_was_stopped_keeps_its_scores_on_the_way(place: Place, stop: int, seconds: float) -> None:
    one = asked()
    watched = replace(member(one, "a"), middles=(7, 13, 31, 36))
    place.seconds = seconds
    place.train(one, watched, stop_after=partial(reached, stop))
    resumed = place.train(one, watched)["a"]
    expected = train(one, watched)["a"]
    assert_same(resumed, expected)
    assert_same_middles(resumed, expected)
    assert resumed.resumed_from


def test_scores_on_the_way_outlive_the_wish_for_them(place: Place) -> None:
    one = asked()
    watched = replace(member(one, "a"), middles=(7, 31))
    place.train(one, watched, stop_after=partial(reached, 20))
    resumed = place.train(one, member(one, "a"))["a"]
    assert list(resumed.nats_by_middle) == [7]
    late = place.train(one, member(one, "b"), stop_after=partial(reached, 20))
    assert late == {}
    resumed = place.train(one, replace(member(one, "b"), middles=(7, 31)))["b"]
    assert list(resumed.nats_by_middle) == [31]  # step 7 was over before anybody asked


def test_a_state_after_every_step_changes_nothing_and_only_the_newest_stays(place: Place) -> None:
    one = asked()
    place.seconds = ALWAYS
    kept = place.train(one, member(one, "a"))["a"]
    assert_same(kept, train(one, member(one, "a"))["a"])
    assert place.files("a") == ["0001-0000000060-alone.safetensors"]
    assert kept.saving_seconds > 0
    again = place.train(one, member(one, "a"))["a"]  # broken off after the last step, before the last score
    assert_same(again, kept)
    assert again.resumed_from == (60,)


@pytest.mark.parametrize("stop", [("slow", 20), ("good", 20), ("also", 20), ("good", 40), ("also", 30), ("also", 80)])
def test_a_sweep_goes_on_wherever_it_was(place: Place, stop: tuple[str, int]) -> None:
    one = asked(100)
    rates = {"slow": 1e-6, "good": 1e-2, "also": 9.5e-3}
    members = [member(one, name, rate, sweep="s") for name, rate in rates.items()]
    first = place.train(one, *members, stop_after=lambda run, step: (run, step) == stop)
    second = place.train(one, *(member for member in members if member.run_id not in first))
    expected = train(one, *members)
    assert set(first) | set(second) == set(expected)
    for name, outcome in (first | second).items():
        assert_same(outcome, expected[name])
    assert expected["slow"].state == "stopped"


def test_a_swept_run_that_is_left_alone_goes_on_past_the_check(place: Place) -> None:
    one = asked(100)
    members = [member(one, name, rate, sweep="s") for name, rate in {"a": 1e-2, "b": 9e-3}.items()]
    first = place.train(one, *members, stop_after=lambda run, step: (run, step) == ("b", 80))
    assert list(first) == ["a"]
    second = place.train(one, members[1])["b"]
    assert second.resumed_from[0] > 30
    assert_same(second, train(one, *members)["b"])


def test_paused_rates_are_kept_with_the_one_that_trains(place: Place) -> None:
    one = asked(100)
    members = [member(one, name, sweep="s", seed=seed) for seed, name in enumerate("ab")]
    place.train(one, *members, stop_after=lambda run, step: (run, step) == ("a", 60))
    assert place.files("b") == ["0001-0000000030-alone.safetensors"]


def test_a_state_of_another_run_is_never_used(place: Place) -> None:
    one = asked()
    place.train(one, member(one, "a"), stop_after=lambda run, step: step == 40)
    (place.folder / "a").rename(place.folder / "b")
    outcome = place.train(one, member(one, "b", seed=1))["b"]
    assert_same(outcome, train(one, member(one, "b", seed=1))["b"])
    assert outcome.resumed_from == (0,)
    assert any("started again from step 0" in note and "another run" in note for note in outcome.notes)


@pytest.mark.parametrize("damage", ["cut", "bit", "empty"])
def test_a_damaged_state_is_passed_over_with_a_note(place: Place, damage: str) -> None:
    one = asked()
    place.train(one, member(one, "a"), stop_after=lambda run, step: step == 40)
    (path,) = (place.folder / "a").iterdir()
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    damaged = {"cut": bytes(content[:-100]), "bit": bytes(content), "empty": b""}
    path.write_bytes(damaged[damage])
    with pytest.raises(UnusableStateError, match=r"damaged|cannot be read"):
        read_state(path, "a", 60)
    outcome = place.train(one, member(one, "a"))["a"]
    assert_same(outcome, train(one, member(one, "a"))["a"])
    assert outcome.resumed_from == (0,)
    assert any("started again from step 0" in note for note in outcome.notes)


def test_an_older_state_serves_where_the_newest_is_damaged(place: Place) -> None:
    one = asked()
    place.train(one, member(one, "a"), stop_after=lambda run, step: step == 20)
    (old,) = (place.folder / "a").iterdir()
    content = old.read_bytes()
    place.train(one, member(one, "a"), stop_after=lambda run, step: step == 40)
    (new,) = (place.folder / "a").iterdir()
    new.write_bytes(b"nothing")
    old.write_bytes(content)
    outcome = place.train(one, member(one, "a"))["a"]
    assert_same(outcome, train(one, member(one, "a"))["a"])
    assert outcome.resumed_from == (21,)
    assert any("went on from step 21" in note for note in outcome.notes)


def test_a_full_disk_costs_the_state_and_not_the_run(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(saving_module, "write_state", full)
    one = asked(10)
    place.seconds = ALWAYS
    outcome = place.train(one, member(one, "a"))["a"]
    assert_same(outcome, train(one, member(one, "a"))["a"])
    assert any("could not be kept" in note and "No space left" in note for note in outcome.notes)


def test_a_write_that_fails_half_way_leaves_nothing(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(path: Path) -> None:
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr("proxy.lm.states._sync", broken)
    one = asked(10)
    place.seconds = ALWAYS
    place.train(one, member(one, "a"))
    assert place.files("a") == []


@pytest.mark.parametrize("finds", ["before", "after"])
def test_an_attempt_that_lost_its_run_touches_nothing_of_the_next(place: Place, finds: str) -> None:
    one = asked()
    place.train(one, member(one, "a"), stop_after=lambda run, step: step == 20)
    safe = Safe(folder=place.folder / "a", identity="a", attempt=1, claim="zombie")
    zombie = Saver(Saving(seconds=1, safes={"a": safe}), 60)
    old = zombie.find("a").run
    assert old is not None
    place.train(one, member(one, "a"), stop_after=lambda run, step: step == 40)
    theirs = place.files("a")
    assert [name.partition("-")[0] for name in theirs] == ["0002"]
    if finds == "after":
        zombie.find("a")
    zombie.keep("a", old)
    assert set(theirs) < set(place.files("a"))
    assert place.train(one, member(one, "a"))["a"].resumed_from == (21, 41)


def test_suites_asked_for_since_are_scored_on_the_kept_checkpoints(place: Place) -> None:
    one = asked()
    place.train(one, member(one, "a"), stop_after=lambda run, step: step == 48)
    sets = {"held-out": scoring_set(), "new": scoring_set(seed=9)}
    outcome = place.train(one, member(one, "a"), sets=sets)["a"]
    (whole,) = train_cohort(one, [member(one, "a")], sets, Events(), 1, want_compile=False)
    assert_same(outcome, whole)


def test_another_number_of_threads_is_said(place: Place) -> None:
    one = asked()
    place.train(one, member(one, "a"), stop_after=lambda run, step: step == 20)
    outcome = place.train(one, member(one, "a"), threads=2)["a"]
    assert outcome.resumed_from == (21,)
    assert any("1 threads" in note and "2 threads" in note and "not to the bit" in note for note in outcome.notes)
    expected = train(one, member(one, "a"))["a"]
    assert outcome.final_loss == pytest.approx(expected.final_loss, rel=1e-4)


def test_a_second_attempt_without_a_state_says_that_it_began_again(place: Place) -> None:
    one = asked(10)
    assert place.train(one, member(one, "a"))["a"].resumed_from == ()
    for path in (place.folder / "a").glob("*"):
        path.unlink()
    assert place.train(one, member(one, "a"))["a"].resumed_from == (0,)


@pytest.mark.parametrize(("took", "pause"), [(0.5, 300), (20, 980)])
def test_states_that_take_long_to_keep_are_kept_less_often(
    monkeypatch: pytest.MonkeyPatch, took: float, pause: float
) -> None:
    now = [0.0]
    monkeypatch.setattr(saving_module.time, "monotonic", lambda: now[0])
    saver = Saver(Saving(seconds=300, most_share=0.02), 10)
    assert not saver.is_due()
    now[0] = 300
    assert saver.is_due()
    saver.wait_again(took)
    now[0] = 300 + pause - 1
    assert not saver.is_due()
    now[0] = 300 + pause
    assert saver.is_due()


def test_nothing_is_written_where_saving_is_off(place: Place) -> None:
    one = asked(10)
    place.seconds = 0
    assert place.train(one, member(one, "a"), stop_after=lambda run, step: True)["a"].state == "finished"
    assert list(place.folder.iterdir()) == []


def test_a_stop_is_heard_between_two_steps(place: Place) -> None:
    one = asked(100)
    began = time.monotonic()
    safes = {"a": Safe(folder=place.folder / "a", identity="a")}
    saving = Saving(seconds=3600, safes=safes, is_stopping=lambda: True)
    with pytest.raises(StoppedError):
        list(train_cohort(one, [member(one, "a")], {}, Events(), 1, want_compile=False, saving=saving))
    assert place.files("a") == ["0001-0000000001-alone.safetensors"]
    assert time.monotonic() - began < 20


def test_a_stream_that_ends_too_soon_fails_the_run_with_its_step() -> None:
    one = asked(40)
    short = replace(member(one, "a"), read=lambda start, count: np.zeros(max(0, min(count, 641 - start)), np.uint16))
    empty = replace(member(one, "b"), read=lambda start, count: np.zeros(0, np.uint16))
    ended = train(one, short, empty, member(one, "c"))
    assert [(outcome.state, outcome.failed_step) for outcome in ended.values()] == [
        ("failed", 10),
        ("failed", 0),
        ("finished", None),
    ]
    assert "the training stream ended at step 10: 1,920 tokens are missing" in str(ended["a"].error)
