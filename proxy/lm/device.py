"""What the hardware does well is detected, never assumed: bf16 where it is fast, compilation where it works."""

import shutil
import sysconfig
from dataclasses import dataclass
from pathlib import Path

import torch

from proxy.errors import ForetasteError

FAST_BF16 = ("amx_bf16", "avx512_bf16")


class DeviceUnavailableError(ForetasteError):
    """The protocol asks for a device class this machine has not."""


@dataclass(frozen=True, kw_only=True)
class Device:
    """Where and how a cohort is computed; `notes` say what differs from what the protocol hoped for.

    `cuda_graphs`: a compiled step's forward and backward passes are recorded once and replayed, so that no kernel waits
    for its launch. Not measured yet, so nothing switches it on by itself (docs/decisions/0023).
    """

    device: torch.device
    compute_dtype: torch.dtype
    compile: bool
    notes: tuple[str, ...] = ()
    cuda_graphs: bool = False


def detect(precision: str, device_class: str, threads: int, want_compile: bool) -> Device:
    """The device of a cohort; sets torch's thread count to the cores that the worker owns."""
    torch.set_num_threads(threads)
    if device_class == "cuda" and not torch.cuda.is_available():
        raise DeviceUnavailableError("the protocol's device_class is cuda, but no CUDA device is visible here")
    notes: list[str] = []
    compute_dtype = _compute_dtype(precision, device_class, notes)
    can_compile = want_compile and _can_compile(device_class, notes)
    if not want_compile:
        notes.append("compilation is switched off: eager mode")
    return Device(
        device=torch.device(device_class), compute_dtype=compute_dtype, compile=can_compile, notes=tuple(notes)
    )


def _compute_dtype(precision: str, device_class: str, notes: list[str]) -> torch.dtype:
    if precision == "fp32":
        return torch.float32
    if device_class == "cuda":
        is_fast = torch.cuda.is_bf16_supported()
    else:
        is_fast = any(torch.cpu.get_capabilities().get(name) for name in FAST_BF16)
    if not is_fast:
        notes.append("no fast bf16 here: computed in fp32")
    return torch.bfloat16 if is_fast else torch.float32


def _can_compile(device_class: str, notes: list[str]) -> bool:
    """Inductor writes C++ for a CPU and needs a compiler and Python's headers; Triton needs a compiler as well."""
    if not any(shutil.which(name) for name in ("g++", "clang++", "c++")):
        notes.append("no C++ compiler (install g++): eager mode, several times slower")
        return False
    if device_class == "cpu" and not Path(sysconfig.get_paths()["include"], "Python.h").exists():
        notes.append("no Python headers (install python3-dev): eager mode, several times slower")
        return False
    return True
