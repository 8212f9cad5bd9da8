"""Figures of a benchmark: what was measured, what it must be, whether it holds."""

from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

Row = dict[str, Any]
Answer = TypeVar("Answer")

KILOBYTES_A_MEGABYTE = 1e6 / 1024  # /proc counts kibibytes


def at_least(figure: str, value: float, least: float) -> Row:
    """A row of the table."""
    return {"figure": figure, "value": value, "must": f"at least {least:,g}", "holds": bool(value >= least)}


def at_most(figure: str, value: float, most: float) -> Row:
    """A row of the table."""
    return {"figure": figure, "value": value, "must": f"at most {most:,g}", "holds": bool(value <= most)}


def for_information(figure: str, value: float) -> Row:
    """A row that nothing depends on."""
    return {"figure": figure, "value": value, "must": "–", "holds": True}


def in_own_process(work: Callable[..., Answer], *arguments: Any) -> Answer:
    """In a process that has done nothing else, so that its peak of memory is the work's."""
    with get_context("spawn").Pool(1) as pool:
        return pool.apply(work, arguments)


def process_megabytes() -> dict[str, float]:
    """Of this process since it began its program: the peak of all that was resident (VmHWM), and what is its own now
    (RssAnon). `getrusage` would count the process that started it as well: ru_maxrss survives an exec."""
    lines = (line.partition(":") for line in Path("/proc/self/status").read_text().splitlines())
    return {
        name: int(value.split()[0]) / KILOBYTES_A_MEGABYTE for name, _, value in lines if name in ("VmHWM", "RssAnon")
    }
