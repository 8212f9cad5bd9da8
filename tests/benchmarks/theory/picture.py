"""The figure of the theory: agreement against the rate at equal steps and at equal travel, and against width.

Bands are 95 % intervals of the mean over random sets of recipes. Axes: K sets, W widths, E rates, T budgets.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from api.pictures import ACCENT, INK, QUIET, STYLE
from tests.benchmarks.theory.claims import LONGEST, TINY, WIDE, Ladders, interval, spearman_at
from tests.benchmarks.theory.ladders import RATES_E, STEPS_T, WIDTHS_W, Ladder
from tests.benchmarks.theory.model import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BUDGETS = (1024, 16384, 262144)
BUDGET_INKS = ("#c9a9a0", "#a35f6b", ACCENT)
KIND_INKS = ("#3f6f63", "#b07d2b", ACCENT, "#3b5d8f")
TRAVELS = (4, 64, 256)


def draw_theory(ladders: Ladders, path: Path) -> None:
    """Writes an SVG."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context({**STYLE, "svg.fonttype": "none", "svg.hashsalt": "theory"}):
        figure = Figure(figsize=(13, 6.6), layout="constrained")
        figure.suptitle(f"Recipes differ in … (width {WIDE} unless said otherwise)", x=0.01, ha="left", fontsize=11)
        panels = figure.subplots(2, 4, sharey=True)
        for axes, (kind, ladder) in zip(panels[0], ladders.items(), strict=True):
            _draw_rates(axes, kind, ladder)
        for axes, kind in zip(panels[1], ("targets, noise", "targets, noise, coverage"), strict=False):
            _draw_travel(axes, kind, ladders[kind])
        _draw_progress(panels[1][2], ladders)
        _draw_widths(panels[1][3], ladders)
        for row in panels:
            row[0].set_ylabel("Spearman with tuned references")
        panels[0][0].set_ylim(-0.1, 1.03)
        figure.savefig(path, format="svg", metadata={"Date": None})


def _draw_rates(axes: "Axes", kind: str, ladder: Ladder) -> None:
    _title(axes, kind, "equal steps; dots: the common best rate")
    for steps, ink in zip(BUDGETS, BUDGET_INKS, strict=True):
        spearman_KE = np.stack([spearman_at(ladder, WIDE, rate, steps) for rate in RATES_E], axis=1)
        _draw_band(axes, RATES_E, spearman_KE, f"{steps:,} steps", ink)
        common = 2.0 ** np.log2(RATES_E)[ladder.common_KWT[:, -1, list(STEPS_T).index(steps)].astype(int)].mean()
        height = np.interp(np.log2(common), np.log2(RATES_E), spearman_KE.mean(axis=0))
        axes.plot(common, height, "o", color=ink, markeredgecolor="white", markersize=7, zorder=4)
    _rate_axis(axes)


def _draw_travel(axes: "Axes", kind: str, ladder: Ladder) -> None:
    _title(axes, kind, "equal travel S = rate × steps")
    for travel, ink in zip(TRAVELS, BUDGET_INKS, strict=True):
        rates = np.array([rate for rate in RATES_E if travel / rate in STEPS_T])
        spearman_KE = np.stack([spearman_at(ladder, WIDE, rate, int(travel / rate)) for rate in rates], axis=1)
        _draw_band(axes, rates, spearman_KE, f"S = {travel}", ink)
    _rate_axis(axes)


def _draw_progress(axes: "Axes", ladders: Ladders) -> None:
    _title(axes, "order against progress", "rates up to 1/32, every budget")
    for (kind, ladder), ink in zip(ladders.items(), KIND_INKS, strict=True):
        is_small_E = RATES_E <= 1 / 32
        progress = ladder.progress_KWET[:, -1, is_small_E].mean(axis=0).ravel()
        spearman = ladder.spearman_KWET[:, -1, is_small_E].mean(axis=0).ravel()
        axes.plot(progress, spearman, "o", color=ink, markersize=3.5, alpha=0.8, label=kind)
    axes.set_xlabel("share learned of what this width can learn")
    axes.legend(fontsize=8, loc="lower right")


def _draw_widths(axes: "Axes", ladders: Ladders) -> None:
    _title(axes, "order against width", f"rate 1/1024, {LONGEST:,} steps")
    for (kind, ladder), ink in zip(ladders.items(), KIND_INKS, strict=True):
        spearman_KW = np.stack([spearman_at(ladder, width, TINY, LONGEST) for width in WIDTHS_W], axis=1)
        _draw_band(axes, np.array(WIDTHS_W), spearman_KW, kind, ink)
    axes.set_xscale("log", base=2)
    axes.set_xticks(WIDTHS_W, [str(width) for width in WIDTHS_W])
    axes.set_xlabel("width of the proxy (reference: 256)")
    axes.legend(fontsize=8, loc="lower right")


def _draw_band(axes: "Axes", x: Array, values_KX: Array, label: str, ink: str) -> None:
    mean_X, low_X, high_X = np.array([interval(values_K) for values_K in values_KX.T]).T
    axes.plot(x, mean_X, color=ink, label=label, linewidth=1.8)
    axes.fill_between(x, low_X, high_X, color=ink, alpha=0.18, linewidth=0)


def _rate_axis(axes: "Axes") -> None:
    axes.set_xscale("log", base=2)
    axes.set_xlabel("learning rate")
    axes.legend(fontsize=8, loc="lower left")


def _title(axes: "Axes", title: str, below: str) -> None:
    axes.set_title(f"{title}\n", loc="left", fontweight="bold", fontsize=10, color=INK)
    axes.text(0, 1.02, below, transform=axes.transAxes, color=QUIET, fontsize=8, va="bottom")
