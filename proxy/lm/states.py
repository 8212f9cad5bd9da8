"""A run half-way, in one safetensors file: everything that is needed to go on as if it had never stopped.

The file is whole or not there (it is synced under another name and renamed), and says of each tensor what its bytes sum
up to, so that a damaged one is found. It carries the identity of its run: protocol, stream, seed and rate decide the
state of every step, and a state of another run is never used.

Tensors: `weights`, `mean`, `square` [P]; `log/loss`, `log/norm`, `log/ratio`, `log/seconds` [steps done];
`scored/STEP/SET` and, on the way, `middle/STEP/SET` [documents]; `checkpoint/STEP/NAME`.
"""

import json
import os
import uuid
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, from_numpy

from proxy.lm.evaluation import Float64Array
from proxy.lm.logs import Log
from proxy.lm.optimizer import TrainingState

FORMAT = 1
LOGGED = ("loss", "norm", "ratio", "seconds")


class UnusableStateError(Exception):
    """The file is damaged, or the state of another run; the message says which."""


@dataclass(frozen=True, kw_only=True)
class SavedRun:
    """One run after `state.step` steps. `place`: where and with what it was computed; `resumed_from`: the steps at
    which it had been begun again before."""

    state: TrainingState
    log: Log
    scored: Mapping[int, Mapping[str, Float64Array]]
    checkpoints: Mapping[int, Mapping[str, Tensor]]
    place: str
    resumed_from: tuple[int, ...]
    notes: tuple[str, ...]
    saving_seconds: float = 0.0
    middles: Mapping[int, Mapping[str, Float64Array]] = field(default_factory=dict)


def write_state(path: Path, run: SavedRun, identity: str) -> None:
    """Writes the file whole; OSError where it cannot, and nothing is left of it then."""
    tensors = {name: tensor.detach().contiguous().cpu() for name, tensor in _tensors(run).items()}
    about = {
        "format": FORMAT,
        "identity": identity,
        "step": run.state.step,
        "waited_seconds": run.log.waited_seconds,
        "saving_seconds": run.saving_seconds,
        "place": run.place,
        "resumed_from": list(run.resumed_from),
        "notes": list(run.notes),
        "sums": {name: _sum(tensor) for name, tensor in tensors.items()},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}-{uuid.uuid4().hex}.partial")
    try:
        save_file(tensors, partial, {"about": json.dumps(about)})
        _sync(partial)
        os.replace(partial, path)
    except SafetensorError as error:
        raise OSError(str(error)) from error
    finally:
        partial.unlink(missing_ok=True)


def read_state(path: Path, identity: str, steps: int) -> SavedRun:
    """The state in a file; UnusableStateError if it is damaged or not of this run."""
    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads(file.metadata()["about"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except (SafetensorError, OSError, TypeError, KeyError, ValueError) as error:
        raise UnusableStateError(f"{path.name} cannot be read ({error})") from error
    if about.get("format") != FORMAT or about.get("identity") != identity:
        raise UnusableStateError(f"{path.name} is the state of another run or version")
    damaged = [name for name, expected in about["sums"].items() if _sum(tensors[name]) != expected]
    if damaged:
        raise UnusableStateError(f"{path.name} is damaged ({damaged[0]})")
    return _run_of(tensors, about, steps)


def _tensors(run: SavedRun) -> dict[str, Tensor]:
    done, log, state = run.log.steps_done, run.log, run.state
    found = {"weights": state.weights_P, "mean": state.mean_P, "square": state.square_P}
    found |= {f"log/{name}": from_numpy(getattr(log, f"{name}_S")[:done].copy()) for name in LOGGED}
    for kind, by_step in (("scored", run.scored), ("middle", run.middles)):
        for step, nats in by_step.items():
            found |= {f"{kind}/{step}/{name}": from_numpy(nats_D.copy()) for name, nats_D in nats.items()}
    for step, weights in run.checkpoints.items():
        found |= {f"checkpoint/{step}/{name}": tensor for name, tensor in weights.items()}
    return found


def _run_of(tensors: Mapping[str, Tensor], about: Mapping[str, Any], steps: int) -> SavedRun:
    nats: dict[str, dict[int, dict[str, Float64Array]]] = {"scored": {}, "middle": {}}
    checkpoints: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        kind, step, name = [*key.split("/", 2), "", ""][:3]
        if kind in nats:
            nats[kind].setdefault(int(step), {})[name] = tensor.numpy()
        elif kind == "checkpoint":
            checkpoints.setdefault(int(step), {})[name] = tensor
    log = Log.empty(steps)
    log.steps_done, log.waited_seconds = about["step"], about["waited_seconds"]
    for name in LOGGED:
        getattr(log, f"{name}_S")[: log.steps_done] = tensors[f"log/{name}"].numpy()
    vectors = {f"{name}_P": tensors[name] for name in ("weights", "mean", "square")}
    return SavedRun(
        state=TrainingState(**vectors, step=about["step"]),
        log=log,
        scored=dict(sorted(nats["scored"].items())),
        middles=dict(sorted(nats["middle"].items())),
        checkpoints=dict(sorted(checkpoints.items())),
        place=about["place"],
        resumed_from=tuple(about["resumed_from"]),
        notes=tuple(about["notes"]),
        saving_seconds=about["saving_seconds"],
    )


def _sum(tensor: Tensor) -> int:
    """CRC-32 of the bytes: about a second for a gigabyte, and enough against a damaged disk."""
    return zlib.crc32(np.ascontiguousarray(tensor.numpy()).reshape(-1).view(np.uint8).data)


def _sync(path: Path) -> None:
    """Before the older file is removed, this one must outlive a power cut."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
