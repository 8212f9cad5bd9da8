"""The picture of a rate search, for reports and slides: the panels of its page over one axis of rates.

Matplotlib is loaded only when something is drawn.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from api.pictures import ACCENT, DOTS_PER_INCH, INK, QUIET, STYLE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Body = Mapping[str, Any]

INCHES = (6.4, 9.0)
CURVES = (
    ("score, bits per byte", "score", None),
    ("φ, median of the pairs", "progress_median", "progress"),
    ("reliability", "reliability", "reliability"),
)


def draw_search(search: Body, path: Path) -> None:
    """Writes a PNG of a search that has a report."""
    from matplotlib import rc_context

    path.parent.mkdir(parents=True, exist_ok=True)
    with rc_context(STYLE):
        make_figure(search).savefig(path, dpi=DOTS_PER_INCH)


def make_figure(search: Body) -> "Figure":
    """Four panels: score, φ, reliability with their thresholds, and the anchors' ranks as a bump chart."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    report, protocol = search["report"], search["protocol"]
    figure = Figure(figsize=INCHES, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(4, 1, sharex=True)
    for axes, (words, key, threshold) in zip(panels, CURVES, strict=False):
        _draw_curve(axes, report, words, key, threshold)
    _draw_ranks(panels[-1], report)
    for axes in panels:
        _mark_rates(axes, report)
    panels[0].set_title(f"{protocol['name']}@{protocol['version']}: {report['outcome']}", loc="left", color=INK)
    panels[-1].set_xscale("log")
    panels[-1].set_xlabel("learning rate")
    return figure


def _draw_curve(axes: "Axes", report: Body, words: str, key: str, threshold: str | None) -> None:
    known = [(row["rate"], row[key]) for row in report["rates"] if row[key] is not None]
    axes.plot([rate for rate, _ in known], [value for _, value in known], "o-", color=ACCENT, markersize=4)
    axes.set_ylabel(words)
    if threshold is not None:
        axes.axhline(report["thresholds"][threshold], color=QUIET, linestyle=":")


def _draw_ranks(axes: "Axes", report: Body) -> None:
    rows = [row for row in report["rates"] if row["ranks"] is not None]
    for anchor, name in report["names"].items():
        ranks = [row["ranks"][anchor] for row in rows]
        axes.plot([row["rate"] for row in rows], ranks, "o-", color=ACCENT, markersize=4, label=name)
        if rows:
            place = (rows[-1]["rate"], ranks[-1])
            axes.annotate(name, place, xytext=(6, 0), textcoords="offset points", va="center", fontsize=7.5, color=INK)
    axes.set_ylabel("rank of each anchor")
    axes.set_yticks(range(1, len(report["names"]) + 1))
    axes.invert_yaxis()


def _mark_rates(axes: "Axes", report: Body) -> None:
    for rate, style in ((report["optimum"], "--"), (report["rate"], "-")):
        if rate is not None:
            axes.axvline(rate, color=QUIET, linestyle=style, linewidth=0.8, zorder=0)
