"""A study's pictures: agreement against the rate, and proxy against reference at the rates that matter.

Matplotlib is loaded only when something is drawn.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from api.pictures import ACCENT, DOTS_PER_INCH, INK, QUIET, STYLE, draw_agreement

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Report = Mapping[str, Any]

INCHES = (6.4, 7.2)
PANELS = (
    ("Spearman ρ", "spearman"),
    ("decision accuracy", "decision_accuracy"),
    ("regret@1, bits per byte", "regret_at_1"),
)
LEAST = 2  # recipes for a picture to show an order


def draw_suite(suite: Report, out: Path) -> list[Path]:
    """The files; [] where too few recipes have a reference."""
    rows = [row for row in suite["table"]["rows"] if row["figures"]["n"] >= LEAST]
    if not rows:
        return []
    rates, points = out / f"rates-{suite['suite']}.png", out / f"agreement-{suite['suite']}.png"
    _draw_rates(suite, rows, rates)
    draw_agreement([_body(suite, row) for row in _shown_rows(suite, rows)], points)
    return [rates, points]


def _shown_rows(suite: Report, rows: Sequence[Report]) -> list[Report]:
    """The chosen rate and the standard one; without a chosen one, the best agreement below the standard rate, which
    nobody would know without references: the picture's title says the rate."""
    standard = next((row for row in rows if row["is_standard"]), rows[-1])
    chosen = next((row for row in rows if row["rate"] == suite["search"]["rate"]), None)
    below = [row for row in rows if row["rate"] < standard["rate"]]
    other = chosen or max(below, key=lambda row: row["figures"]["spearman"] or 0.0, default=None)
    return [standard] if other is None or other is standard else [other, standard]


def _body(suite: Report, row: Report) -> dict[str, Any]:
    """As `draw_agreement` reads one."""
    rate = f"{row['rate']:g}"
    points = [
        {**recipe, "proxy": recipe["proxies"][rate]}
        for recipe in suite["recipes"]
        if recipe["reference"] is not None and recipe["proxies"].get(rate) is not None
    ]
    return {
        **row["figures"],
        "protocol": {"name": suite["suite"], "learning_rate": row["rate"]},
        "metric": "bits_per_byte",
        "unit": "bits/byte",
        "direction": "lower",
        "points": points,
    }


def _draw_rates(suite: Report, rows: Sequence[Report], path: Path) -> None:
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    path.parent.mkdir(parents=True, exist_ok=True)
    with rc_context(STYLE):
        figure = Figure(figsize=INCHES, layout="constrained")
        FigureCanvasAgg(figure)
        panels = figure.subplots(len(PANELS), 1, sharex=True)
        for axes, (words, name) in zip(panels, PANELS, strict=True):
            _draw_panel(axes, rows, words, name)
            _mark(axes, suite, rows)
        counts = sorted({row["figures"]["n"] for row in rows})
        title = f"{suite['suite']}: {'–'.join(str(count) for count in dict.fromkeys((counts[0], counts[-1])))} recipes"
        panels[0].set_title(title, loc="left", color=INK)
        panels[-1].set_xscale("log")
        panels[-1].set_xticks([row["rate"] for row in rows], [f"{row['rate']:g}" for row in rows])
        panels[-1].minorticks_off()
        panels[-1].set_xlabel("learning rate (dashed: the best mean; line: the rate search's choice)")
        figure.savefig(path, dpi=DOTS_PER_INCH)


def _draw_panel(axes: "Axes", rows: Sequence[Report], words: str, name: str) -> None:
    known = [row for row in rows if row["figures"][name] is not None]
    rates = [row["rate"] for row in known]
    axes.plot(rates, [row["figures"][name] for row in known], "o-", color=ACCENT, markersize=5)
    for row in known:
        low, high = row["figures"][f"{name}_low"], row["figures"][f"{name}_high"]
        if low is not None and high is not None:
            axes.plot([row["rate"]] * 2, [low, high], color=ACCENT, linewidth=1)
    chance = [row["figures"]["chance"][name] for row in known]
    axes.plot(rates, chance, ":", color=QUIET, label="chance")
    axes.set_ylabel(words)
    axes.grid(visible=False, axis="x")  # the rates' own lines would be hidden in it
    axes.legend(loc="best", fontsize=8)


def _mark(axes: "Axes", suite: Report, rows: Sequence[Report]) -> None:
    standard = next((row["rate"] for row in rows if row["is_standard"]), None)
    for rate, style in ((standard, "--"), (suite["search"]["rate"], "-")):
        if rate is not None:
            axes.axvline(rate, color=QUIET, linestyle=style, linewidth=0.8, zorder=0)
