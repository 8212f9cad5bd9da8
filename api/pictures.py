"""The picture of proxy against reference, for reports and slides: one panel a protocol, the same references.

Labels are placed by the page's own rule, whose unit is 1/11.5 of the label's font size. Far-out recipes stand at the
edge, their values beside them, as on the page.

Matplotlib is loaded only when something is drawn, so that the HTTP process never pays for it.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from api.dashboard import formats
from api.dashboard.agreement import metric_words
from api.dashboard.charts import Box, fences
from api.dashboard.scatter import MARKS, UNKNOWN_MARK, label_wordings, place_labels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Body = Mapping[str, Any]

PANEL_INCHES = 5.2
DOTS_PER_INCH = 160
INK, QUIET, GRID, ACCENT = "#221c18", "#665c53", "#ebe4da", "#8c2f4b"
LABEL_POINTS = 7.5
UNIT_POINTS = LABEL_POINTS / 11.5
SIDES = {"start": "left", "middle": "center", "end": "right"}
MARKERS = {"circle": "o", "ring": "o", "triangle": "^", "square": "s"}
STYLE: dict[Any, Any] = {
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
        limits = _limits([point["reference"] for body in bodies for point in _points(body)])
        for axes, body in zip(panels, bodies, strict=True):
            _draw_panel(axes, body, limits)
        panels[0].set_ylabel(f"reference, {metric_words(bodies[0])} ({bodies[0].get('direction', 'lower')} is better)")
        _add_legend(figure, panels, bodies)
        figure.draw_without_rendering()  # the layout is final now, so that labels can be placed in it
        for axes, body in zip(panels, bodies, strict=True):
            _draw_labels(axes, _points(body), figure.dpi)
        figure.savefig(path, dpi=DOTS_PER_INCH)


def _points(body: Body) -> Sequence[Mapping[str, Any]]:
    return body.get("points") or ()


def _draw_panel(axes: "Axes", body: Body, reference_limits: tuple[float, float]) -> None:
    protocol, points = body["protocol"], _points(body)
    rate = f"learning rate {formats.rate(protocol.get('learning_rate'))}"
    axes.set_title(f"{protocol['name']}, {rate}\n", loc="left", fontweight="bold", fontsize=11, color=INK)
    axes.text(0, 1.015, _figures(body), transform=axes.transAxes, color=QUIET, fontsize=9, va="bottom")
    axes.set_xlabel("proxy, bits per byte (lower is better)")
    if not points:
        axes.text(0.5, 0.5, "no recipe has both", transform=axes.transAxes, ha="center", color=QUIET)
        return
    axes.set_xlim(_limits([point["proxy"] for point in points]))
    axes.set_ylim(reference_limits)
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


def _limits(values: Sequence[float]) -> tuple[float, float]:
    """A margin around all values that are not far out; (0, 1) for none."""
    if not values:
        return 0.0, 1.0
    low, high = fences(values)
    near = [value for value in values if low <= value <= high]
    margin = 0.1 * (max(near) - min(near)) or 0.01
    return min(near) - margin, max(near) + margin


def _place(axes: "Axes", point: Mapping[str, Any]) -> tuple[float, float, bool]:
    """Where a recipe is drawn, and whether that is the edge because it lies outside."""
    raw = float(point["proxy"]), float(point["reference"])
    x, y = _inside(raw[0], axes.get_xlim()), _inside(raw[1], axes.get_ylim())
    return x, y, (x, y) != raw


def _draw_point(axes: "Axes", point: Mapping[str, Any]) -> None:
    x, y, is_beyond = _place(axes, point)
    shape = MARKS.get(point.get("label") or "", UNKNOWN_MARK)
    axes.plot(
        x,
        y,
        marker="D" if is_beyond else MARKERS[shape],
        markerfacecolor=ACCENT if shape == "circle" else "white",
        markeredgecolor=ACCENT,
        markersize=6.5,
        linestyle="none",
        clip_on=False,
    )


def _draw_labels(axes: "Axes", points: Sequence[Mapping[str, Any]], dots_per_inch: float) -> None:
    """Names beside the points where there is room; y is turned round, because the page's grows downwards."""
    if not points:
        return
    scale = 72 / dots_per_inch / UNIT_POINTS  # display dots to the page's units
    places = [_place(axes, point) for point in points]
    shown = axes.transData.transform([(x, y) for x, y, _ in places])
    where = [(float(x) * scale, -float(y) * scale) for x, y in shown]
    extent = axes.get_window_extent()
    area = Box(left=extent.x0 * scale, top=-extent.y1 * scale, right=extent.x1 * scale, bottom=-extent.y0 * scale)
    wordings = [label_wordings(index, point, places[index][2])[:-1] for index, point in enumerate(points)]
    labels = place_labels(wordings, where, area)
    for (x, y, _), at, label in zip(places, where, labels, strict=True):
        if label:
            axes.annotate(
                label.text,
                (x, y),
                ((label.x - at[0]) * UNIT_POINTS, -(label.y - at[1]) * UNIT_POINTS),
                textcoords="offset points",
                ha=SIDES[label.anchor],
                fontsize=LABEL_POINTS,
            )


def _inside(value: float, limits: tuple[float, float]) -> float:
    return min(max(value, limits[0]), limits[1])


def _add_legend(figure: "Figure", panels: Sequence["Axes"], bodies: Sequence[Body]) -> None:
    """The labels that occur, below the panels."""
    from matplotlib.lines import Line2D

    used = {point.get("label") for body in bodies for point in _points(body)}
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
    beyond = Line2D([], [], linestyle="none", marker="D", markeredgecolor=ACCENT, markerfacecolor="white")
    if any(_place(axes, point)[2] for axes, body in zip(panels, bodies, strict=True) for point in _points(body)):
        beyond.set_label("far outside the axes")
        handles.append(beyond)
    if handles:
        figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), title="reference")
