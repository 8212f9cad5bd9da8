"""The drawings of a rate search: score, φ, reliability and the anchors' order against the rate, a panel each, at equal
steps and at equal Σ rates.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from api.dashboard.charts import Scale, Tick
from api.dashboard.rate_panels import Panel, RateLadder, across_rates, draw_curve, draw_line, put_together, top_of
from api.rate_searches.levels import drawn_level, rows_at

Body = Mapping[str, Any]

RANK_STEP = 20.0


def view_ladder(report: Body) -> RateLadder:
    """Of a report of a search, at equal steps; rates ascend from left to right."""
    return _draw(report, report["rates"])


def view_equal_travel(report: Body) -> RateLadder | None:
    """The same on the same axis, where all rates have travelled as far; None where no two rates are known so."""
    level = drawn_level(report)
    return None if level is None else _draw(report, rows_at(level, report))


def _draw(report: Body, rows: Sequence[Body]) -> RateLadder:
    limits = report["thresholds"]
    rates = [row["rate"] for row in rows]
    across = across_rates(rates)
    panels: list[Panel] = []
    for title, key, threshold in (
        ("Mean score, bits per byte", "score", None),
        ("φ, median of the pairs", "progress_median", limits["progress"]),
        ("Reliability", "reliability", limits["reliability"]),
    ):
        values = [row[key] for row in rows]
        panels.append(draw_curve(title, values, rates, across, top_of(len(panels)), threshold=threshold))
    panels.append(_bumps(rows, report["names"], across, top_of(len(panels))))
    return put_together(rates, across, panels, ((report["rate"], "chosen"), (report["optimum"], "η*")))


def _bumps(rows: Sequence[Body], names: Mapping[str, str], across: Scale, top: float) -> Panel:
    """The rank of each anchor at each rate, 1 on top."""
    anchors, rates = list(names), [row["rate"] for row in rows]
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
        lines=tuple(draw_line(ranks, rates, across, down, names[anchor]) for anchor, ranks in placed),
    )
