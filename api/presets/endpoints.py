"""Architectures that a protocol may name instead of writing them out."""

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, Field

from proxy.presets import PRESETS

router = APIRouter(prefix="/presets", tags=["protocols"])


class PresetOut(BaseModel):
    """A shape with the vocabulary it is known for; under another tokenizer only the embedding changes."""

    name: str
    architecture: dict[str, Any]
    parameters: int = Field(description="all trained numbers, with this vocabulary")
    non_embedding_parameters: int


class PresetsOut(BaseModel):
    """All of them, smallest family first."""

    items: list[PresetOut]


@router.get("")
def show_all() -> PresetsOut:
    """Shapes by name: our nano ladder, GPT-2 small, and Pythia's shapes in the llama family."""
    return PresetsOut(
        items=[
            PresetOut(
                name=name,
                architecture=shape.model_dump(),
                parameters=shape.parameters,
                non_embedding_parameters=shape.non_embedding_parameters,
            )
            for name, shape in PRESETS.items()
        ]
    )
