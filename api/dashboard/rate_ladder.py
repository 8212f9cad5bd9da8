"""The drawing of a rate search: score, φ, reliability and the anchors' order against the rate, a panel each.

User units of one SVG view box; x is the logarithm of the rate, the same in all panels.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from api.dashboard import formats
from api.dashboard.charts import Scale, Tick, make_scale

Body = Mapping[str, Any]

WIDTH, LEFT, RIGHT = 680.0, 64.0, 520.0  # the names of anchors stand on the right
PANEL_HEIGHT, GAP, TOP = 120.0, 46.0, 24.0
RANK_STEP = 20.0
LABEL_UNITS = 70.0  # of a rate's label on the x axis
NAME_CHARACTERS = 22


@dataclass(frozen=True, kw_only=True)
class Line:
    """Dots joined where both of two neighbours are known; `label` stands at the right end."""

    path: str
    dots: tuple[tuple[float, float], ...]
    label: str = ""
    label_y: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One drawing against the rate; `threshold` is the y of a gate's bound."""

    title: str
    top: float
    bottom: float
    ticks: tuple[Tick, ...]
    lines: tuple[Line, ...]
    threshold: float | None = None


@dataclass(frozen=True, kw_only=True)
class RateLadder:
    """All panels. `chosen` and `optimum` are x of vertical lines, None where there is none inside."""

    width: float
    height: float
    left: float
    right: float
    rates: tuple[Tick, ...]
    panels: tuple[Panel, ...]
    chosen: float | None
    optimum: float | None


def view_ladder(report: Body) -> RateLadder:
    """Of a report of a search; rates ascend from left to right."""
    rows, names = report["rates"], report["names"]
    across = make_scale([math.log10(row["rate"]) for row in rows], LEFT, RIGHT)
    limits = report["thresholds"]
    panels: list[Panel] = []
    for title, key, threshold in (
        ("Mean score, bits per byte", "score", None),
        ("φ, median of the pairs", "progress_median", limits["progress"]),
        ("Reliability", "reliability", limits["reliability"]),
    ):
        panels.append(_curve(title, [row[key] for row in rows], rows, across, _top(len(panels)), threshold))
    panels.append(_bumps(rows, names, across, _top(len(panels))))
    return RateLadder(
        width=WIDTH,
        height=panels[-1].bottom + GAP,
        left=LEFT,
        right=RIGHT,
        rates=_rate_ticks(rows, across),
        panels=tuple(panels),
        chosen=_at(across, report["rate"]),
        optimum=_at(across, report["optimum"]),
    )


def _top(index: int) -> float:
    return TOP + index * (PANEL_HEIGHT + GAP)


def _at(across: Scale, rate: float | None) -> float | None:
    return None if rate is None else across(math.log10(rate))


def _rate_ticks(rows: Sequence[Body], across: Scale) -> tuple[Tick, ...]:
    """Every rate, or as many as have room, the highest first."""
    ticks: list[Tick] = []
    for row in reversed(rows):
        at = across(math.log10(row["rate"]))
        if not ticks or ticks[-1].at - at >= LABEL_UNITS:
            ticks.append(Tick(at=at, label=formats.rate(row["rate"])))
    return tuple(reversed(ticks))


def _curve(
    title: str,
    values: Sequence[float | None],
    rows: Sequence[Body],
    across: Scale,
    top: float,
    threshold: float | None,
) -> Panel:
    bottom = top + PANEL_HEIGHT
    known = [value for value in (*values, threshold) if value is not None]
    upwards = make_scale(known or [0.0, 1.0], bottom, top)
    return Panel(
        title=title,
        top=top,
        bottom=bottom,
        ticks=tuple(upwards.ticks(4)),
        lines=(_line(values, rows, across, upwards),),
        threshold=None if threshold is None else upwards(threshold),
    )


def _bumps(rows: Sequence[Body], names: Mapping[str, str], across: Scale, top: float) -> Panel:
    """The rank of each anchor at each rate, 1 on top."""
    anchors = list(names)
    bottom = top + RANK_STEP * max(len(anchors), 2)
    down = Scale(low=0.5, high=len(anchors) + 0.5, start=top, end=bottom)
    placed = [
        (anchor, [None if row["ranks"] is None else float(row["ranks"][anchor]) for row in rows]) for anchor in anchors
    ]
    return Panel(
        title="Rank of each anchor",
        top=top,
        bottom=bottom,
        ticks=tuple(Tick(at=down(rank), label=str(rank)) for rank in range(1, len(anchors) + 1)),
        lines=tuple(_line(ranks, rows, across, down, names[anchor]) for anchor, ranks in placed),
    )


def _line(
    values: Sequence[float | None],
    rows: Sequence[Body],
    across: Scale,
    scale: Callable[[float], float],
    label: str = "",
) -> Line:
    path, dots, is_joined = "", [], False
    for row, value in zip(rows, values, strict=True):
        if value is None:
            is_joined = False
            continue
        x, y = across(math.log10(row["rate"])), scale(value)
        path += f"{'L' if is_joined else 'M'}{x} {y}"
        dots.append((x, y))
        is_joined = True
    short = label if len(label) <= NAME_CHARACTERS else label[: NAME_CHARACTERS - 1] + "…"
    return Line(path=path, dots=tuple(dots), label=short if dots else "", label_y=dots[-1][1] if dots else 0.0)
