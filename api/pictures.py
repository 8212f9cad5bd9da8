"""Pictures for reports. Matplotlib is imported where it draws: the HTTP process never needs it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Body = Mapping[str, Any]


def draw_agreement(bodies: Sequence[Body], path: Path) -> None:
    """Proxy score against reference, one panel a protocol, with its Spearman correlation and interval."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.0 * len(bodies), 5.2), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, body in zip(figure.subplots(1, len(bodies), squeeze=False)[0], bodies, strict=True):
        _draw_panel(axes, body)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)


def _draw_panel(axes: Any, body: Body) -> None:
    proxy = [point["proxy"] for point in body["points"]]
    reference = [point["reference"] for point in body["points"]]
    axes.scatter(proxy, reference, s=28, color="#1f5fa8", zorder=3)
    for point in body["points"]:
        place = (point["proxy"], point["reference"])
        axes.annotate(point["recipe"], place, xytext=(5, 3), textcoords="offset points", fontsize=7, color="#444444")
    axes.set_title(
        f"{body['protocol']['name']}, rate {body['protocol']['learning_rate']:.2e}\n{_caption(body)}", fontsize=10
    )
    axes.set_xlabel("proxy, bits per byte")
    axes.set_ylabel(f"reference, {body['metric'].replace('_', ' ')}")
    axes.grid(color="#e5e5e5", linewidth=0.6)
    axes.margins(x=0.16, y=0.08)
    axes.spines[["top", "right"]].set_visible(False)


def _caption(body: Body) -> str:
    if body["spearman"] is None:
        return f"n = {body['n']}"
    interval = ""
    if body["spearman_low"] is not None:
        interval = f" [{body['spearman_low']:.2f}, {body['spearman_high']:.2f}]"
    return f"Spearman {body['spearman']:.2f}{interval}, n = {body['n']}"
