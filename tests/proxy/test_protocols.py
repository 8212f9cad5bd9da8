"""What a protocol can say: fingerprints that survive new options, and options that contradict each other."""

from typing import Any

import pytest
from pydantic import ValidationError

from proxy.protocols import (
    Anchor,
    Architecture,
    Averaging,
    Decontamination,
    Protocol,
    Schedule,
    fingerprint_protocol,
    fingerprint_run,
)
from worker.parsing import problems_of

SHAPE = {"layers": 2, "width": 32, "heads": 2, "hidden": 96, "context_tokens": 32, "vocabulary": 512}


def protocol(**options: Any) -> Protocol:
    settings = {
        "name": "nano",
        "architecture": SHAPE,
        "tokenizer": "t" * 32,
        "batch_sequences": 4,
        "steps": 60,
        "standard_rate": 6e-3,
        "reduction": 0.33,
    }
    return Protocol.model_validate(settings | options)


def faults(**options: Any) -> list[tuple[str, object]]:
    with pytest.raises(ValidationError) as refused:
        protocol(**options)
    return [(problem.pointer, problem.value) for problem in problems_of(refused.value, "")]


def test_protocols_that_use_no_later_option_keep_the_fingerprints_they_had_before() -> None:
    plain = protocol()
    run = fingerprint_run(recipe_fingerprint="r", protocol=plain, learning_rate=plain.learning_rate, seed=0)
    assert fingerprint_protocol(plain) == "fce6ac76fdb0325309d24f233e94f832"
    assert plain.cohort_key() == "a9b0f6b53c5129c207b7682ba6331e5e"
    assert run == "82c7c1cdc019e779375f6da09c1e739d"


def test_shuffled_tokens_are_another_treatment_and_their_default_is_none() -> None:
    assert protocol(shuffled_tokens=False).cohort_key() == protocol().cohort_key()
    assert protocol(shuffled_tokens=True).cohort_key() != protocol().cohort_key()
    assert fingerprint_protocol(protocol(shuffled_tokens=True)) != fingerprint_protocol(protocol())


def test_protocols_with_every_earlier_option_keep_theirs_too() -> None:
    anchor = Anchor(recipe="r", suite="s", variance=1e-4, degrees_of_freedom=2)
    schedule = Schedule(kind="cosine", warmup_steps=3, final_fraction=0.2)
    full = protocol(schedule=schedule, anchors=(anchor,), decontamination=Decontamination(corpus="c"))
    run = fingerprint_run(
        recipe_fingerprint="r", protocol=full, learning_rate=full.learning_rate, seed=3, early_stopping=True
    )
    assert fingerprint_protocol(full) == "82a06b10f4883f58ff2b71c5219f4165"
    assert full.cohort_key() == "3ac2d2d97dc08ee9bc94e16dd6d56d57"
    assert run == "aa1f82504bd14f3bb53629cb1cbb2ef0"


LATER: list[dict[str, Any]] = [
    {"averaging": {"checkpoints": 3}, "scoring": {"checkpoints": 1}},
    {"z_loss": 1e-4},
    {"micro_batch_sequences": 2},
    {"activation_checkpointing": True},
    {"architecture": SHAPE | {"family": "gpt2"}},
    {"architecture": SHAPE | {"tied_embeddings": False}},
    {"architecture": SHAPE | {"plain_embedding": True}},
    {"architecture": SHAPE | {"qk_norm": True}},
    {"decontamination": {"corpus": "c"}},
    {"decontamination": {"corpus": "c", "prompt_field": "question"}},
    {"schedule": {"kind": "linear"}},
    {"schedule": {"kind": "wsd", "warmup_steps": 5}},
    {"schedule": {"kind": "wsd", "warmup_steps": 5, "decay_share": 0.3}},
    {"schedule": {"kind": "wsd", "warmup_steps": 5, "decay": "1-sqrt"}},
]


def test_every_later_option_makes_another_treatment() -> None:
    keys = {protocol(**options).cohort_key() for options in LATER}
    assert len(keys | {protocol().cohort_key()}) == len(LATER) + 1


@pytest.mark.parametrize("options", LATER)
def test_what_is_stored_reads_back_as_the_same_protocol(options: dict[str, Any]) -> None:
    asked = protocol(**options)
    again = Protocol.model_validate(asked.model_dump(mode="json"))
    assert again == asked
    assert fingerprint_protocol(again) == fingerprint_protocol(asked)


def test_averaged_weights_are_scored_once() -> None:
    assert protocol(averaging={"checkpoints": 3}).scoring.checkpoints == 1
    assert faults(averaging={"checkpoints": 3}, scoring={"checkpoints": 2}) == [("/scoring/checkpoints", 2)]


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"micro_batch_sequences": 3}, ("/micro_batch_sequences", 3)),
        ({"averaging": {"checkpoints": 11, "spacing": 0.1}}, ("/averaging/checkpoints", 11)),
        ({"averaging": {"checkpoints": 1}}, ("/averaging/checkpoints", 1)),
        ({"z_loss": -1.0}, ("/z_loss", -1.0)),
        ({"z_loss": float("inf")}, ("/z_loss", float("inf"))),
        ({"schedule": {"kind": "wsd", "decay_share": 0.5}}, ("/schedule/decay_share", 0.5)),
        ({"schedule": {"kind": "cosine", "decay_share": 0.5}}, ("/schedule/decay_share", 0.5)),
        ({"schedule": {"decay": "1-sqrt"}}, ("/schedule/decay", "1-sqrt")),
        ({"architecture": SHAPE | {"family": "gpt2", "qk_norm": True}}, ("/architecture/qk_norm", True)),
        (
            {"architecture": SHAPE | {"family": "gpt2", "plain_embedding": True}},
            ("/architecture/plain_embedding", True),
        ),
        ({"architecture": SHAPE | {"family": "mamba"}}, ("/architecture/family", "mamba")),
    ],
)
def test_options_that_cannot_be_are_refused_by_field_and_value(
    options: dict[str, Any], fault: tuple[str, object]
) -> None:
    assert faults(**options) == [fault]


def test_averaging_may_reach_back_to_the_first_step() -> None:
    assert Averaging(checkpoints=10, spacing=0.1).checkpoints == 10


def test_training_flops_are_the_sum_of_a_hand_count() -> None:
    asked = protocol()
    a_layer = 4 * 32 * 32 + 3 * 32 * 96 + 2 * 32
    tokens = 60 * 4 * 32
    by_hand = 6 * (2 * a_layer + 32) * tokens + 12 * 2 * 32 * 32 * tokens
    assert asked.training_flops() == by_hand
    gpt2 = protocol(architecture=Architecture(**SHAPE, family="gpt2"))  # type: ignore[arg-type]
    a_layer = (32 * 96 + 96) + (32 * 32 + 32) + (32 * 96 + 96) + (96 * 32 + 32) + 2 * (32 + 32)
    assert gpt2.training_flops() == 6 * (2 * a_layer + 64) * tokens + 12 * 2 * 32 * 32 * tokens
