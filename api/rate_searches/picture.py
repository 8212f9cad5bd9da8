"""The picture of a rate search, for reports and slides: the panels of its page over one axis of rates, at equal steps
and beside them at equal Σ rates.

Matplotlib is loaded only when something is drawn.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from api.pictures import ACCENT, DOTS_PER_INCH, INK, QUIET, STYLE
from api.rate_searches.levels import drawn_level, has_cut_runs, rows_at
from proxy.errors import InvalidInputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Body = Mapping[str, Any]

KINDS = (".png", ".svg", ".pdf")
COLUMN_INCHES, HEIGHT_INCHES = 6.4, 9.0
CURVES = (
    ("score, bits per byte", "score", None),
    ("φ, median of the pairs", "progress_median", "progress"),
    ("reliability", "reliability", "reliability"),
)


def require_picture(path: Path) -> None:
    """Makes its folder, hours before there is anything to draw. InvalidInputError where no picture can be written."""
    if path.suffix.lower() not in KINDS:
        raise InvalidInputError.at("--picture", str(path), f"must end in {', '.join(KINDS)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        is_new = not path.exists()
        path.open("ab").close()
        if is_new:
            path.unlink()
    except OSError as error:
        raise InvalidInputError.at("--picture", str(path), f"cannot be written: {error.strerror}") from error


def draw_search(search: Body, path: Path) -> None:
    """Writes a picture of a search that has a report; `require_picture` says beforehand whether that can be."""
    from matplotlib import rc_context

    path.parent.mkdir(parents=True, exist_ok=True)
    with rc_context(STYLE):
        make_figure(search).savefig(path, dpi=DOTS_PER_INCH)


def make_figure(search: Body) -> "Figure":
    """Four panels: score, φ, reliability with their thresholds, and the anchors' ranks as a bump chart; all four again
    at the level of Σ rates that the page draws, where one is known."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    report, protocol = search["report"], search["protocol"]
    title = f"{protocol['name']}@{protocol['version']}: {report['outcome']}"
    columns: list[tuple[str, Sequence[Body]]] = [(title, report["rates"])]
    level = drawn_level(report)
    if level is not None:
        hedge = " (middles are no ends here)" if has_cut_runs(level) else ""
        columns.append((f"at equal Σ rates, {level['travel']:.3g}{hedge}", rows_at(level, report)))
    figure = Figure(figsize=(COLUMN_INCHES * len(columns), HEIGHT_INCHES), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(4, len(columns), sharex=True, sharey="row", squeeze=False)
    for (title, rows), column in zip(columns, panels.T, strict=True):
        _draw_column(column, report, rows, title)
    panels[-1, 0].set_xscale("log")
    panels[-1, 0].invert_yaxis()
    return figure


def _draw_column(column: "Sequence[Axes]", report: Body, rows: Sequence[Body], title: str) -> None:
    for axes, (words, key, threshold) in zip(column, CURVES, strict=False):
        _draw_curve(axes, report, rows, words, key, threshold)
    _draw_ranks(column[-1], report, rows)
    for axes in column:
        _mark_rates(axes, report)
    column[0].set_title(title, loc="left", color=INK)
    column[-1].set_xlabel("learning rate")


def _draw_curve(axes: "Axes", report: Body, rows: Sequence[Body], words: str, key: str, threshold: str | None) -> None:
    known = [(row["rate"], row[key]) for row in rows if row[key] is not None]
    axes.plot([rate for rate, _ in known], [value for _, value in known], "o-", color=ACCENT, markersize=4)
    axes.set_ylabel(words)
    if threshold is not None:
        axes.axhline(report["thresholds"][threshold], color=QUIET, linestyle=":")


def _draw_ranks(axes: "Axes", report: Body, rows: Sequence[Body]) -> None:
    rows = [row for row in rows if row["ranks"] is not None]
    for anchor, name in report["names"].items():
        ranks = [row["ranks"][anchor] for row in rows]
        axes.plot([row["rate"] for row in rows], ranks, "o-", color=ACCENT, markersize=4, label=name)
        if rows:
            place = (rows[-1]["rate"], ranks[-1])
            axes.annotate(name, place, xytext=(6, 0), textcoords="offset points", va="center", fontsize=7.5, color=INK)
    axes.set_ylabel("rank of each anchor")
    axes.set_yticks(range(1, len(report["names"]) + 1))


def _mark_rates(axes: "Axes", report: Body) -> None:
    for rate, style in ((report["optimum"], "--"), (report["rate"], "-")):
        if rate is not None:
            axes.axvline(rate, color=QUIET, linestyle=style, linewidth=0.8, zorder=0)
