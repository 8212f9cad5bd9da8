"""A protocol as people write it: the shape by name or in numbers, how long and in which batches in the unit they
think in. `resolve` turns it into the one form that is stored.

Tokens and batches are rounded up to whole steps: a run never gets fewer tokens than were asked for.
"""

import math
from typing import Annotated, Any

from pydantic import Discriminator, Field, Tag, model_validator

from proxy.architectures import Architecture
from proxy.errors import InvalidInputError
from proxy.presets import PRESETS, PresetName
from proxy.protocols import ProtocolBase
from proxy.recipes.specification import Specification, fault

LENGTHS = ("steps", "tokens", "tokens_per_parameter")
BATCHES = ("batch_sequences", "batch_tokens")
MOST_TOKENS = 10**15  # more than all text there is; whole numbers of this size are exact as floats
MOST_TOKENS_A_PARAMETER = 1e6


class PresetArchitecture(Specification):
    """A preset's shape with some numbers changed; its vocabulary is the tokenizer's unless it is said."""

    preset: PresetName
    layers: int | None = None
    width: int | None = None
    heads: int | None = None
    hidden: int | None = None
    context_tokens: int | None = None
    vocabulary: int | None = None
    tied_embeddings: bool | None = None
    plain_embedding: bool | None = None
    qk_norm: bool | None = None

    def changes(self) -> dict[str, Any]:
        """What differs from the preset."""
        return self.model_dump(exclude={"preset"}, exclude_none=True)


def _architecture_tag(value: Any) -> str:
    if isinstance(value, str):
        return "(word)"
    is_preset = "preset" in value if isinstance(value, dict) else isinstance(value, PresetArchitecture)
    return "(preset)" if is_preset else "(set)"


class ProtocolRequest(ProtocolBase):
    """A protocol to register: one of `steps`, `tokens` and `tokens_per_parameter`, one of `batch_sequences` and
    `batch_tokens`, and an architecture in numbers, by a preset's name, or as a preset with changes."""

    architecture: Annotated[
        Annotated[PresetName, Tag("(word)")]
        | Annotated[PresetArchitecture, Tag("(preset)")]
        | Annotated[Architecture, Tag("(set)")],
        Discriminator(_architecture_tag),
    ]
    steps: int | None = Field(default=None, ge=1)
    tokens: int | None = Field(
        default=None, ge=1, le=MOST_TOKENS, description="training tokens, rounded up to whole steps"
    )
    tokens_per_parameter: float | None = Field(
        default=None,
        gt=0,
        le=MOST_TOKENS_A_PARAMETER,
        allow_inf_nan=False,
        description="of all parameters, the embedding among them",
    )
    batch_sequences: int | None = Field(default=None, ge=1)
    batch_tokens: int | None = Field(default=None, ge=1, description="a multiple of the architecture's context_tokens")

    @model_validator(mode="after")
    def _length_and_batch_are_said_once(self) -> "ProtocolRequest":
        for names in (LENGTHS, BATCHES):
            said = [name for name in names if getattr(self, name) is not None]
            if not said:
                raise fault(f"/{names[0]}", None, f"is missing: say one of {', '.join(names)}")
            if len(said) > 1:
                message = f"contradicts {' and '.join(said[:-1])}: say one of {', '.join(names)}"
                raise fault(f"/{said[-1]}", getattr(self, said[-1]), message)
        return self


def resolve(request: ProtocolRequest, vocabulary: int) -> dict[str, Any]:
    """The content of the `Protocol` that is stored; `vocabulary` is the tokenizer's, for a preset that says none.

    InvalidInputError at /batch_tokens for what is no multiple of the context.
    """
    architecture = _resolve_architecture(request, vocabulary)
    content = request.model_dump(mode="json", exclude={"architecture", *LENGTHS, *BATCHES})
    batch = _resolve_batch(request, architecture["context_tokens"])
    resolved = content | {"architecture": architecture, "batch_sequences": batch}
    if request.steps is not None:
        return resolved | {"steps": request.steps}
    tokens: float | None = request.tokens
    if tokens is None:
        assert request.tokens_per_parameter is not None
        tokens = request.tokens_per_parameter * Architecture.model_validate(architecture).parameters
    return resolved | {"steps": math.ceil(tokens / (batch * architecture["context_tokens"]))}


def _resolve_architecture(request: ProtocolRequest, vocabulary: int) -> dict[str, Any]:
    asked = request.architecture
    if isinstance(asked, Architecture):
        return asked.model_dump()
    name, changes = (asked, {}) if isinstance(asked, str) else (asked.preset, asked.changes())
    return PRESETS[name].model_dump() | {"vocabulary": vocabulary} | changes


def _resolve_batch(request: ProtocolRequest, context_tokens: int) -> int:
    if request.batch_sequences is not None:
        return request.batch_sequences
    assert request.batch_tokens is not None
    if request.batch_tokens % context_tokens:
        message = f"is no multiple of the context of {context_tokens} tokens"
        raise InvalidInputError.at("/batch_tokens", request.batch_tokens, message)
    return request.batch_tokens // context_tokens
