"""The picture of proxy against reference, for reports and slides: one panel a protocol, the same references.

Matplotlib is loaded only when something is drawn, so that the HTTP process never pays for it.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from api.dashboard import formats
from api.dashboard.agreement import metric_words
from api.dashboard.charts import fences
from api.dashboard.scatter import MARKS, UNKNOWN_MARK

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Body = Mapping[str, Any]

PANEL_INCHES = 5.2
DOTS_PER_INCH = 160
INK, QUIET, GRID, ACCENT = "#221c18", "#665c53", "#ebe4da", "#8c2f4b"
MARKERS = {"circle": "o", "ring": "o", "triangle": "^", "square": "s"}
STYLE = {
    "font.family": "sans-serif",
    "font.size": 9.5,
    "text.color": INK,
    "axes.edgecolor": QUIET,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "legend.frameon": False,
}


def draw_agreement(bodies: Sequence[Body], path: Path) -> None:
    """Writes a PNG: one panel a body, side by side, with one scale of the reference. ValueError without a body."""
    if not bodies:
        raise ValueError("there is no agreement to draw")
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    path.parent.mkdir(parents=True, exist_ok=True)
    with rc_context(STYLE):
        figure = Figure(figsize=(PANEL_INCHES * len(bodies), PANEL_INCHES + 0.4), layout="constrained")
        FigureCanvasAgg(figure)
        panels = figure.subplots(1, len(bodies), sharey=True, squeeze=False)[0]
        for axes, body in zip(panels, bodies, strict=True):
            _draw_panel(axes, body)
        panels[0].set_ylabel(f"reference, {metric_words(bodies[0])} ({bodies[0].get('direction', 'lower')} is better)")
        _add_legend(panels[0], bodies)
        figure.savefig(path, dpi=DOTS_PER_INCH)


def _draw_panel(axes: "Axes", body: Body) -> None:
    protocol, points = body["protocol"], body.get("points") or []
    rate = f"learning rate {formats.rate(protocol.get('learning_rate'))}"
    axes.set_title(f"{protocol['name']}, {rate}\n", loc="left", fontweight="bold", fontsize=11, color=INK)
    axes.text(0, 1.015, _figures(body), transform=axes.transAxes, color=QUIET, fontsize=9, va="bottom")
    axes.set_xlabel("proxy, bits per byte (lower is better)")
    if not points:
        axes.text(0.5, 0.5, "no recipe has both", transform=axes.transAxes, ha="center", color=QUIET)
        return
    _set_limits(axes, points)
    for point in points:
        _draw_point(axes, point)


def _figures(body: Body) -> str:
    """Spearman and decision accuracy with their intervals, or why there is none."""
    if not body.get("is_evidence", True):
        return f"{body.get('n')} recipes: too few to be evidence"
    parts = []
    for words, name in (("Spearman ρ", "spearman"), ("decisions", "decision_accuracy")):
        low, high = body.get(f"{name}_low"), body.get(f"{name}_high")
        parts.append(f"{words} {formats.number(body.get(name))} {formats.interval(low, high)}")
    return f"{'   '.join(parts)}   n = {body.get('n')}"


def _set_limits(axes: "Axes", points: Sequence[Mapping[str, Any]]) -> None:
    """Far-out recipes do not squeeze the others: they stand at the edge (the same rule as on the page)."""
    for values, set_limit in (
        ([float(point["proxy"]) for point in points], axes.set_xlim),
        ([float(point["reference"]) for point in points], axes.set_ylim),
    ):
        low, high = fences(values)
        near = [value for value in values if low <= value <= high]
        margin = 0.12 * (max(near) - min(near)) or 0.01
        set_limit(min(near) - margin, max(near) + margin)


def _draw_point(axes: "Axes", point: Mapping[str, Any]) -> None:
    raw = float(point["proxy"]), float(point["reference"])
    x, y = _inside(raw[0], axes.get_xlim()), _inside(raw[1], axes.get_ylim())
    shape = MARKS.get(point.get("label") or "", UNKNOWN_MARK)
    is_beyond = (x, y) != raw
    axes.plot(
        x,
        y,
        marker="D" if is_beyond else MARKERS[shape],
        markerfacecolor=ACCENT if shape == "circle" and not is_beyond else "white",
        markeredgecolor=ACCENT,
        markersize=6.5,
        linestyle="none",
        clip_on=False,
    )
    words = f"{point['recipe']} ({raw[0]:.3g}, {raw[1]:.3g})" if is_beyond else str(point["recipe"])
    is_right = x > sum(axes.get_xlim()) / 2
    offset, side = ((-7, -3), "right") if is_right else ((7, -3), "left")
    axes.annotate(words, (x, y), xytext=offset, textcoords="offset points", ha=side, fontsize=7.5, color=INK)


def _inside(value: float, limits: tuple[float, float]) -> float:
    return min(max(value, limits[0]), limits[1])


def _add_legend(axes: "Axes", bodies: Sequence[Body]) -> None:
    """The labels that occur, below the panels."""
    from matplotlib.lines import Line2D

    used = {point.get("label") for body in bodies for point in body.get("points") or []}
    handles = [
        Line2D(
            [],
            [],
            linestyle="none",
            marker=MARKERS[shape],
            markeredgecolor=ACCENT,
            markerfacecolor=ACCENT if shape == "circle" else "white",
            label=label,
        )
        for label, shape in MARKS.items()
        if label in used
    ]
    figure = axes.get_figure()
    if handles and figure is not None:
        figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), title="reference")
