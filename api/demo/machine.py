"""Where an experiment ran and what memory it took, for its report."""

import platform
import resource
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

from api.up import Stack

KILOBYTES_A_MEGABYTE = 1024


def describe_machine(threads: int) -> dict[str, Any]:
    """Processor, cores used and versions that results depend on."""
    return {
        "processor": _processor(),
        "cores_used": threads,
        "python": platform.python_version(),
        "torch": version("torch"),
        "foretaste": version("foretaste"),
    }


def _processor() -> str:
    """The model's name where Linux tells it, with the instruction sets that decide bf16's speed."""
    path = Path("/proc/cpuinfo")
    if not path.exists():
        return platform.processor() or platform.machine()
    lines = path.read_text().splitlines()
    facts = dict(line.split(":", 1) for line in lines if ":" in line)
    named = {key.strip(): value.strip() for key, value in facts.items()}
    flags = named.get("flags", "").split()
    fast = [flag for flag in ("amx_bf16", "avx512_bf16") if flag in flags]
    return f"{named.get('model name', platform.machine())} ({', '.join(fast) or 'no fast bf16'})"


def resident_megabytes(stack: Stack) -> float:
    """Resident memory of the API process now."""
    process = stack.service("api").process
    assert process is not None
    return float(psutil.Process(process.pid).memory_info().rss / KILOBYTES_A_MEGABYTE**2)


def largest_child_megabytes() -> float:
    """Peak resident memory of the largest process that this one and its children waited for."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / KILOBYTES_A_MEGABYTE
