"""Figures of a benchmark: what was measured, what it must be, whether it holds."""

from collections.abc import Callable
from multiprocessing import get_context
from typing import Any, TypeVar

Row = dict[str, Any]
Answer = TypeVar("Answer")


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
