"""Checkpoints as safetensors, written whole or not at all.

A run's score averages its last checkpoints, so all of them are stored, or another suite could not be scored the same
way: the last one under the model's own names, an earlier one as `step-190/embedding`.
"""

import os
import uuid
from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import Tensor

from proxy.protocols import Protocol


def checkpoint_steps(protocol: Protocol) -> tuple[int, ...]:
    """The steps whose weights count: the last one, and those `spacing` of all steps apart before it. They are scored,
    or their weights averaged."""
    asked = protocol.averaging or protocol.scoring
    spacing = max(1, round(asked.spacing * protocol.steps))
    steps = (protocol.steps - index * spacing for index in range(asked.checkpoints))
    return tuple(step for step in steps if step > 0)


def join_checkpoints(weights_by_step: Mapping[int, Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """One mapping of several checkpoints; at least one."""
    last = max(weights_by_step)
    return {
        name if step == last else f"step-{step}/{name}": tensor
        for step, weights in weights_by_step.items()
        for name, tensor in weights.items()
    }


def split_checkpoints(stored: Mapping[str, Tensor]) -> list[dict[str, Tensor]]:
    """The checkpoints that `join_checkpoints` put together, in the order of their steps."""
    found: dict[str, dict[str, Tensor]] = {}
    for key, tensor in stored.items():
        step, _, name = key.rpartition("/")
        found.setdefault(step, {})[name] = tensor
    last = found.pop("", None)
    ordered = [found[step] for step in sorted(found, key=lambda step: int(step.removeprefix("step-")))]
    return ordered if last is None else [*ordered, last]


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
