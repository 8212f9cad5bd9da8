"""Continuations and checkpoints as a real model scores them."""

from pathlib import Path

import numpy as np
import pytest

from proxy.data.validation import ValidationTokens, pack
from proxy.lm.checkpoints import load_checkpoint, save_checkpoint
from proxy.lm.cohort import train_cohort
from proxy.lm.evaluation import ScoringSet
from proxy.lm.members import MemberOutcome
from proxy.lm.rescoring import rescore_by_step
from proxy.lm.trainer import Trainer
from proxy.protocols import Averaging, Protocol, Scoring
from tests.proxy.lm.small import ARCHITECTURE, CPU, Events, member, protocol, reader, scoring_set, stream, train

END = 0


def scoring_set_of(tokens: list[list[int]], prompts: list[list[int]] | None = None) -> ScoringSet:
    arrays = [tuple(np.array(one, dtype=np.uint16) for one in part) for part in (tokens, prompts or [])]
    count = len(tokens)
    held_out = ValidationTokens(
        name="held-out",
        tokens=arrays[0],
        text_bytes=np.full(count, 10),
        clusters=np.arange(count),
        keys=np.arange(count, dtype=np.uint64),
        prompts=None if prompts is None else arrays[1],
    )
    windows = pack(held_out, ARCHITECTURE.context_tokens, END)
    return ScoringSet(name="held-out", windows=windows, text_bytes=held_out.text_bytes, documents=count)


def nats_of(trainer: Trainer, part: ScoringSet) -> np.ndarray:
    return trainer.score(0, {"held-out": part})["held-out"]


@pytest.mark.parametrize("lengths", [[(1, 1), (3, 5), (9, 7), (15, 1), (1, 15)]])
def test_a_continuation_costs_what_it_adds_to_its_prompt(lengths: list[tuple[int, int]]) -> None:
    """The chain rule: −ln p(prompt, continuation) = −ln p(prompt) − ln p(continuation | prompt)."""
    trainer = Trainer(protocol(), CPU)
    draw = np.random.default_rng(0)
    prompts, own = ([draw.integers(1, 300, pair[side]).tolist() for pair in lengths] for side in (0, 1))
    joint = nats_of(trainer, scoring_set_of([[*first, *last] for first, last in zip(prompts, own, strict=True)]))
    alone = nats_of(trainer, scoring_set_of(prompts))
    np.testing.assert_allclose(nats_of(trainer, scoring_set_of(own, prompts)), joint - alone, rtol=1e-4)


def test_only_the_end_of_a_prompt_that_is_longer_than_the_context_matters() -> None:
    trainer = Trainer(protocol(), CPU)
    draw = np.random.default_rng(1)
    tail, own = draw.integers(1, 300, 14).tolist(), [5, 6, 7]  # 14 + 3 − 1 inputs fill the context of 16
    prompts = [[*draw.integers(1, 300, more).tolist(), *tail] for more in (1, 30, 500)]
    found = nats_of(trainer, scoring_set_of([own] * 3, prompts))
    assert found[0] == pytest.approx(found[1], rel=1e-6) == pytest.approx(found[2], rel=1e-6)
    other = nats_of(trainer, scoring_set_of([own], [[*tail[:-1], tail[-1] % 299 + 1]]))
    assert other[0] != pytest.approx(found[0], rel=1e-6)


def of_length(steps: int, longest: Protocol, **options: object) -> MemberOutcome:
    """A run of so many steps on the beginning of the longest one's tokens."""
    asked = protocol(steps, **options)
    one = member(asked, "a")
    tokens = stream(longest)[: asked.token_budget + 1]
    one = type(one)(run_id="a", learning_rate=1e-2, seed=0, read=reader(tokens))
    sets = {"held-out": scoring_set()}
    (outcome,) = train_cohort(asked, [one], sets, Events(), threads=1, want_compile=False)
    return outcome


def test_each_checkpoint_of_a_constant_schedule_is_a_run_of_its_length() -> None:
    asked = protocol(20, scoring=Scoring(checkpoints=3, spacing=0.2))
    whole = of_length(20, asked, scoring=Scoring(checkpoints=3, spacing=0.2))
    assert sorted(whole.nats_by_step) == [12, 16, 20]
    for step, nats in whole.nats_by_step.items():
        assert asked.has_budget_at(step)
        short = of_length(step, asked, scoring=Scoring(checkpoints=1))
        np.testing.assert_array_equal(nats["held-out"], short.nats["held-out"])


@pytest.mark.parametrize(
    ("options", "step"),
    [
        ({"schedule": {"kind": "cosine", "warmup_steps": 5}}, 30),
        ({"schedule": {"kind": "wsd", "warmup_steps": 5}}, 30),
        ({"schedule": {"kind": "constant", "warmup_steps": 31}}, 30),
        ({"averaging": Averaging(checkpoints=2)}, 40),
    ],
)
def test_no_other_checkpoint_is_a_budget(options: dict[str, object], step: int) -> None:
    assert not protocol(40, **options).has_budget_at(step)


def test_a_score_is_the_mean_of_its_steps() -> None:
    asked = protocol(20, scoring=Scoring(checkpoints=3, spacing=0.2))
    outcome = train(asked, member(asked, "a"))["a"]
    mean = np.mean([nats["held-out"] for nats in outcome.nats_by_step.values()], axis=0)
    np.testing.assert_array_equal(mean, outcome.nats["held-out"])


@pytest.mark.parametrize(
    "options", [{"scoring": Scoring(checkpoints=3, spacing=0.2)}, {"averaging": Averaging(checkpoints=3)}]
)
def test_a_stored_run_has_the_scores_of_its_steps(tmp_path: Path, options: dict[str, object]) -> None:
    asked = protocol(20, **options)
    outcome = train(asked, member(asked, "a"))["a"]
    assert outcome.weights is not None
    save_checkpoint(tmp_path / "run.safetensors", outcome.weights)
    weights = load_checkpoint(tmp_path / "run.safetensors")
    again = rescore_by_step(asked, weights, {"held-out": scoring_set()}, threads=1)
    assert again.keys() == outcome.nats_by_step.keys()
    for step, nats in again.items():
        np.testing.assert_array_equal(nats["held-out"], outcome.nats_by_step[step]["held-out"])
