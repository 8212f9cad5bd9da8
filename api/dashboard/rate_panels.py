"""Drawings against the learning rate: panels below each other on one logarithmic axis.

User units of one SVG view box.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from api.dashboard import formats
from api.dashboard.charts import Scale, Tick, make_scale

WIDTH, LEFT, RIGHT = 680.0, 64.0, 520.0  # labels of lines stand on the right
PANEL_HEIGHT, GAP, TOP = 120.0, 46.0, 24.0
LABEL_UNITS = 70.0  # of a rate's label on the x axis
NAME_CHARACTERS = 22

Bounds = Sequence[tuple[float | None, float | None]]  # low and high at each rate


@dataclass(frozen=True, kw_only=True)
class Line:
    """Dots joined where both of two neighbours are known; `label` stands at the right end."""

    path: str
    dots: tuple[tuple[float, float], ...]
    label: str = ""
    label_y: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One drawing against the rate; `threshold` is the y of a bound, `intervals` are x, low y, high y."""

    title: str
    top: float
    bottom: float
    ticks: tuple[Tick, ...]
    lines: tuple[Line, ...]
    threshold: float | None = None
    intervals: tuple[tuple[float, float, float], ...] = ()


@dataclass(frozen=True, kw_only=True)
class RateLadder:
    """All panels. `marks` are vertical lines, with their words below."""

    width: float
    height: float
    left: float
    right: float
    rates: tuple[Tick, ...]
    panels: tuple[Panel, ...]
    marks: tuple[Tick, ...]


def across_rates(rates: Sequence[float]) -> Scale:
    """The x of a rate's log10."""
    return make_scale([math.log10(rate) for rate in rates], LEFT, RIGHT)


def put_together(
    rates: Sequence[float], across: Scale, panels: Sequence[Panel], marks: Sequence[tuple[float | None, str]]
) -> RateLadder:
    """`rates` ascend; a mark without a rate is left out."""
    return RateLadder(
        width=WIDTH,
        height=panels[-1].bottom + GAP,
        left=LEFT,
        right=RIGHT,
        rates=_rate_ticks(rates, across),
        panels=tuple(panels),
        marks=tuple(Tick(at=across(math.log10(rate)), label=words) for rate, words in marks if rate is not None),
    )


def top_of(index: int) -> float:
    """Where a panel begins below so many others of the usual height."""
    return TOP + index * (PANEL_HEIGHT + GAP)


def draw_curve(  # noqa: PLR0913 - a curve, its axes and its marks: all from one caller's table
    title: str,
    values: Sequence[float | None],
    rates: Sequence[float],
    across: Scale,
    top: float,
    *,
    threshold: float | None = None,
    bounds: Bounds = (),
) -> Panel:
    """A panel of the usual height with one line; intervals are drawn where both bounds are known."""
    bottom = top + PANEL_HEIGHT
    spans = [
        (rate, low, high)
        for rate, (low, high) in zip(rates, bounds, strict=bool(bounds))
        if low is not None and high is not None
    ]
    ends = [end for _, low, high in spans for end in (low, high)]
    upwards = make_scale(
        [value for value in (*values, threshold) if value is not None] + ends or [0.0, 1.0], bottom, top
    )
    return Panel(
        title=title,
        top=top,
        bottom=bottom,
        ticks=tuple(upwards.ticks(4)),
        lines=(draw_line(values, rates, across, upwards),),
        threshold=None if threshold is None else upwards(threshold),
        intervals=tuple((across(math.log10(rate)), upwards(low), upwards(high)) for rate, low, high in spans),
    )


def draw_line(
    values: Sequence[float | None],
    rates: Sequence[float],
    across: Scale,
    scale: Callable[[float], float],
    label: str = "",
) -> Line:
    """Broken where a value is not known."""
    path, dots, is_joined = "", [], False
    for rate, value in zip(rates, values, strict=True):
        if value is None:
            is_joined = False
            continue
        x, y = across(math.log10(rate)), scale(value)
        path += f"{'L' if is_joined else 'M'}{x} {y}"
        dots.append((x, y))
        is_joined = True
    short = label if len(label) <= NAME_CHARACTERS else label[: NAME_CHARACTERS - 1] + "…"
    return Line(path=path, dots=tuple(dots), label=short if dots else "", label_y=dots[-1][1] if dots else 0.0)


def _rate_ticks(rates: Sequence[float], across: Scale) -> tuple[Tick, ...]:
    """Every rate, or as many as have room, the highest first."""
    ticks: list[Tick] = []
    for rate in reversed(rates):
        at = across(math.log10(rate))
        if not ticks or ticks[-1].at - at >= LABEL_UNITS:
            ticks.append(Tick(at=at, label=formats.rate(rate)))
    return tuple(reversed(ticks))
