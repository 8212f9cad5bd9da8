"""A protocol in the units people think in, and the one form that is stored."""

import math
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import InvalidInputError
from proxy.presets import PRESET_NAMES, PRESETS
from proxy.protocol_requests import ProtocolRequest, resolve
from proxy.protocols import Protocol
from worker.parsing import validate

SHAPE = {"layers": 2, "width": 32, "heads": 2, "hidden": 96, "context_tokens": 32, "vocabulary": 512}
BASE: dict[str, Any] = {"name": "nano", "architecture": SHAPE, "tokenizer": "bpe", "standard_rate": 6e-3}
LENGTH = {"steps": 60, "batch_sequences": 4}


def resolved(vocabulary: int = 512, **options: Any) -> Protocol:
    return validate(Protocol, resolve(validate(ProtocolRequest, BASE | options), vocabulary))


def faults(**options: Any) -> list[tuple[str, object]]:
    with pytest.raises(InvalidInputError) as refused:
        resolved(**options)
    return [(problem.pointer, problem.value) for problem in refused.value.problems]


def test_what_is_said_in_numbers_is_stored_as_it_is() -> None:
    options = LENGTH | {"schedule": {"kind": "cosine"}, "z_loss": 1e-4, "averaging": {"checkpoints": 4}}
    assert resolved(**options) == Protocol.model_validate(BASE | options)


@given(st.integers(1, 10**12), st.integers(1, 64))
def test_tokens_are_rounded_up_to_whole_steps(tokens: int, sequences: int) -> None:
    found = resolved(tokens=tokens, batch_tokens=32 * sequences)
    assert found.batch_sequences == sequences
    assert 0 <= found.token_budget - tokens < found.batch_tokens


def test_tokens_per_parameter_count_every_parameter() -> None:
    found = resolved(tokens_per_parameter=20, batch_sequences=4)
    assert found.steps == math.ceil(20 * found.architecture.parameters / 128)


def test_a_preset_takes_its_vocabulary_from_the_tokenizer() -> None:
    found = resolved(vocabulary=777, architecture="nano-1m", **LENGTH)
    assert found.architecture == PRESETS["nano-1m"].model_copy(update={"vocabulary": 777})


def test_a_preset_can_be_changed_and_is_counted_as_changed() -> None:
    shape = {"preset": "gpt2-small", "context_tokens": 512, "layers": 6, "vocabulary": 50_304}
    found = resolved(architecture=shape, tokens_per_parameter=1, batch_tokens=1024)
    architecture = found.architecture
    assert (architecture.family, architecture.layers, architecture.vocabulary) == ("gpt2", 6, 50_304)
    assert found.batch_sequences == 2
    assert found.steps == math.ceil(architecture.parameters / 1024)


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"batch_sequences": 4}, ("/steps", None)),
        ({"steps": 3}, ("/batch_sequences", None)),
        (LENGTH | {"tokens": 999}, ("/tokens", 999)),
        (LENGTH | {"tokens_per_parameter": 20}, ("/tokens_per_parameter", 20.0)),
        (LENGTH | {"batch_tokens": 128}, ("/batch_tokens", 128)),
        ({"steps": 3, "batch_tokens": 100}, ("/batch_tokens", 100)),
        ({"tokens": 0, "batch_sequences": 1}, ("/tokens", 0)),
        ({"tokens": 10**400, "batch_sequences": 1}, ("/tokens", 10**400)),
        ({"tokens_per_parameter": 1e308, "batch_sequences": 1}, ("/tokens_per_parameter", 1e308)),
        ({"tokens_per_parameter": math.nan, "batch_sequences": 1}, None),
        (LENGTH | {"architecture": "gpt5"}, ("/architecture", "gpt5")),
        (LENGTH | {"architecture": {"preset": "gpt5"}}, ("/architecture/preset", "gpt5")),
        (LENGTH | {"architecture": {"preset": "nano-1m", "width": 100}}, ("/architecture/width", 100)),
        (LENGTH | {"architecture": {"preset": "gpt2-small", "qk_norm": True}}, ("/architecture/qk_norm", True)),
        (LENGTH | {"architecture": 3}, ("/architecture", 3)),
    ],
)
def test_contradictions_are_refused_by_field_and_value(options: dict[str, Any], fault: tuple[str, object]) -> None:
    found = faults(**options)
    if fault is None:  # NaN equals nothing, itself included
        assert [pointer for pointer, _ in found] == ["/tokens_per_parameter"]
    else:
        assert found == [fault]


def test_presets_have_the_sizes_their_names_say() -> None:
    units = {"m": 1e6, "b": 1e9}
    for name in PRESET_NAMES:
        asked = 124e6 if name == "gpt2-small" else float(name.split("-")[1][:-1]) * units[name[-1]]
        tolerance = 0.25 if name == "nano-0.3m" else 0.08
        assert PRESETS[name].parameters == pytest.approx(asked, rel=tolerance), name


def test_gpt2_small_has_the_published_number_of_parameters() -> None:
    assert PRESETS["gpt2-small"].parameters == 124_439_808


def test_the_table_of_the_guide_is_what_the_code_counts() -> None:
    guide = (Path(__file__).parents[2] / "docs" / "protocols.md").read_text(encoding="utf-8")
    shown = [line.strip("| ").split(" | ") for line in guide.splitlines() if line.startswith("| `") and " × " in line]
    counted = [
        [
            f"`{name}`",
            shape.family,
            f"{shape.layers} × {shape.width}",
            *(
                f"{number:,}"
                for number in (
                    shape.heads,
                    shape.hidden,
                    shape.context_tokens,
                    shape.vocabulary,
                    shape.parameters,
                    shape.non_embedding_parameters,
                )
            ),
        ]
        for name, shape in PRESETS.items()
    ]
    assert shown == counted


def test_the_example_of_the_guide_can_be_registered() -> None:
    guide = (Path(__file__).parents[2] / "docs" / "protocols.md").read_text(encoding="utf-8")
    example = yaml.safe_load(guide.split("```yaml")[1].split("```")[0])
    found = validate(Protocol, resolve(validate(ProtocolRequest, example), 50_257))
    assert found.architecture == PRESETS["gpt2-small"]
    assert (found.batch_sequences, found.steps) == (512, math.ceil(20 * 124_439_808 / 524_288))
