"""Checkpoints as safetensors, written whole or not at all."""

import os
import uuid
from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import Tensor


def save_checkpoint(path: Path, weights: Mapping[str, Tensor]) -> None:
    """Writes fp32 weights by name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{uuid.uuid4().hex}-{path.name}")
    try:
        save_file({name: tensor.contiguous().cpu() for name, tensor in weights.items()}, partial)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def load_checkpoint(path: Path) -> dict[str, Tensor]:
    """Reads what `save_checkpoint` wrote."""
    weights: dict[str, Tensor] = load_file(path)
    return weights
