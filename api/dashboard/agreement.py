"""Agreement with the references: its figures with their intervals and what chance gives, and the scatter twice
(for a wide and for a narrow screen)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from api.dashboard import formats
from api.dashboard.charts import Bar, Scale, place_bar
from api.dashboard.scatter import MARKS, NARROW, WIDE, Scatter, draw_scatter

# name in the body, words, whether it is a share, scale of the bar (None: no natural scale), what it says
FIGURES = (
    ("spearman", "Spearman ρ", False, (-1.0, 1.0), "agreement of the two orders; 1 is the same order, 0 is none"),
    ("kendall", "Kendall τ", False, (-1.0, 1.0), "pairs in the same order minus pairs in the opposite order"),
    ("decision_accuracy", "Decision accuracy", True, (0.0, 1.0), "pairs in which the proxy picks the better recipe"),
    ("regret_at_1", "Regret@1", False, None, "what is lost by taking the proxy's first choice"),
    ("regret_at_3", "Regret@3", False, None, "what is lost by taking the best of the proxy's first three"),
    ("regret_at_5", "Regret@5", False, None, "what is lost by taking the best of the proxy's first five"),
)
LABEL_MEANINGS = {
    "tuned": "best of a sweep, inside its grid",
    "swept, at the edge": "best rate at the edge of the grid: a better one may lie outside",
    "swept, unequal": "other rates than the other recipes",
    "single": "one rate only",
}


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One figure, written out. `chance_at` is where chance lies on the bar's scale, in per cent of its width."""

    words: str
    meaning: str
    value: str
    interval: str
    chance: str
    bar: Bar | None
    chance_at: float | None


@dataclass(frozen=True, kw_only=True)
class LegendItem:
    """A mark of the scatter and its meaning."""

    shape: str
    label: str
    meaning: str


@dataclass(frozen=True, kw_only=True)
class AgreementView:
    """Everything the section shows. `points` are numbered in the proxy's order, as in the drawing."""

    body: Mapping[str, Any]
    figures: tuple[Figure, ...]
    points: tuple[Mapping[str, Any], ...]
    scatters: tuple[Scatter, ...]
    legend: tuple[LegendItem, ...]
    reference_words: str

    @property
    def sentence(self) -> str:
        """What can be repeated; snapshots of older versions have a note alone."""
        said = self.body.get("conclusion") if self.body["is_evidence"] else None
        return str(said or self.body["note"])

    @property
    def alarm(self) -> str:
        """Empty where there is none."""
        return str(self.body.get("alarm") or "")

    @property
    def parts(self) -> tuple[tuple[str, Mapping[str, Any]], ...]:
        """The same figures of parts of the recipes: of each axis, and of all but the easy ones."""
        parts = [(f"Axis {axis}", figures) for axis, figures in (self.body.get("by_axis") or {}).items()]
        hard = self.body.get("without_easy")
        return (*parts, ("Without the easy recipes", hard)) if hard else tuple(parts)

    @property
    def noise_words(self) -> str:
        """What seed noise alone allows; empty where it is unknown."""
        low, high, ceiling = (self.body.get(name) for name in ("noise_only_low", "noise_only_high", "ceiling"))
        words = []
        if low is not None and high is not None:
            words.append(f"The same recipes with new seeds would give a Spearman in {formats.interval(low, high)}.")
        if ceiling is not None:
            note = self.body.get("ceiling_note")
            words.append(f"Seed noise caps it at {formats.number(ceiling, 3)}" + (f" ({note})." if note else "."))
        return " ".join(words)

    axis_words: str
    n: int


def view_agreement(body: Mapping[str, Any], *, ranks: bool = False) -> AgreementView:
    """One agreement body, written out and drawn."""
    points = tuple(sorted(body.get("points") or (), key=lambda point: (point["proxy"], point["recipe"])))
    direction = body.get("direction", "lower")
    drawn = (draw_scatter(points, frame, direction, ranks=ranks) for frame in (WIDE, NARROW))
    return AgreementView(
        body=body,
        figures=view_figures(body),
        points=points,
        scatters=tuple(scatter for scatter in drawn if scatter),
        legend=_legend(points),
        reference_words=f"{metric_words(body)} ({direction} is better)",
        axis_words=metric_words(body),
        n=int(body.get("n") or len(points)),
    )


def metric_words(body: Mapping[str, Any]) -> str:
    """The reference's metric with its unit, said once: "bits per byte", "loss, nats"."""
    metric = str(body.get("metric") or "reference").replace("_", " ")
    unit = str(body.get("unit") or "")
    is_new = unit and unit.replace("/", " per ") != metric
    return f"{metric}, {unit}" if is_new else metric


def view_figures(body: Mapping[str, Any]) -> tuple[Figure, ...]:
    """The figures that the body has a value for."""
    return tuple(_figure(body, *row) for row in FIGURES if body.get(row[0]) is not None)


def _figure(
    body: Mapping[str, Any], name: str, words: str, is_share: bool, domain: tuple[float, float] | None, meaning: str
) -> Figure:
    low, high = body.get(f"{name}_low"), body.get(f"{name}_high")
    chance = (body.get("chance") or {}).get(name)
    scale = Scale(low=domain[0], high=domain[1], start=0, end=100) if domain else None
    return Figure(
        words=words,
        meaning=meaning,
        value=_write(body[name], is_share, domain),
        interval=formats.MISSING if low is None or high is None else _write_interval(low, high, is_share, domain),
        chance=_write(chance, is_share, domain),
        bar=place_bar(scale, (low, high, body[name])) if scale else None,
        chance_at=scale(chance) if scale and chance is not None else None,
    )


def _write(value: float | None, is_share: bool, domain: tuple[float, float] | None) -> str:
    if value is None:
        return formats.MISSING
    return f"{100 * value:.0f} %" if is_share else formats.number(value, 2 if domain else 4)


def _write_interval(low: float, high: float, is_share: bool, domain: tuple[float, float] | None) -> str:
    if is_share:
        return f"[{100 * low:.0f} %, {100 * high:.0f} %]"
    return formats.interval(low, high, 2 if domain else 4)


def _legend(points: Sequence[Mapping[str, Any]]) -> tuple[LegendItem, ...]:
    used = {point.get("label") for point in points}
    return tuple(
        LegendItem(shape=shape, label=label, meaning=LABEL_MEANINGS[label])
        for label, shape in MARKS.items()
        if label in used
    )
