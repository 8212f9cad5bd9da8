"""Proxy against reference: where each recipe lies, which mark it gets, and labels that do not cover each other.

A label stands beside its point where there is room, else the point's number stands there, and the table below the
drawing says which recipe that is. A far-out recipe does not squeeze the others into a corner: it stands at the edge,
its values beside it. Ranks instead of values show the order alone, which is what Spearman measures.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from api.dashboard.charts import Box, Scale, Tick, around, fences, make_scale

CHARACTER_WIDTH, LINE_HEIGHT = 6.4, 13.0  # of the 11.5 px label font, measured on its widest common letters
MARK_RADIUS = 5.0
MARKS = {"tuned": "circle", "swept, at the edge": "ring", "swept, unequal": "triangle", "single": "square"}
UNKNOWN_MARK = "square"
BEYOND_MARK = "beyond"

# Where a label may stand: offset of its anchor from the point, and the end of the text that is there.
PLACES = (
    (9, 4, "start"),
    (-9, 4, "end"),
    (0, -10, "middle"),
    (0, 18, "middle"),
    (8, -7, "start"),
    (8, 14, "start"),
    (-8, -7, "end"),
    (-8, 14, "end"),
)


@dataclass(frozen=True, kw_only=True)
class Frame:
    """A drawing's size and the margins of its plot area, in user units."""

    name: str
    width: float
    height: float
    left: float = 58.0
    right: float = 14.0
    top: float = 14.0
    bottom: float = 48.0

    @property
    def area(self) -> Box:
        """The plot area."""
        return Box(left=self.left, top=self.top, right=self.width - self.right, bottom=self.height - self.bottom)


WIDE = Frame(name="wide", width=660, height=440)
NARROW = Frame(name="narrow", width=360, height=340, left=50, right=8)


@dataclass(frozen=True, kw_only=True)
class Label:
    """Text beside a mark; `anchor` is SVG's text-anchor."""

    x: float
    y: float
    anchor: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Mark:
    """One recipe. `title` is its whole story."""

    number: int
    recipe: str
    x: float
    y: float
    shape: str
    title: str
    label: Label | None


@dataclass(frozen=True, kw_only=True)
class Scatter:
    """Everything that the drawing shows. Better is to the left, and down unless `is_higher_better`."""

    frame: Frame
    marks: tuple[Mark, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    is_higher_better: bool
    has_marks_beyond: bool
    diagonal: tuple[float, float, float, float] | None


Point = Mapping[str, Any]


def draw_scatter(points: Sequence[Point], frame: Frame, direction: str, *, ranks: bool = False) -> Scatter | None:
    """The drawing of the points; None if there are none. With `ranks`, 1 is best on both axes."""
    if not points:
        return None
    places = rank_places(points, direction) if ranks else [(point["proxy"], point["reference"]) for point in points]
    x_scale, y_scale = _scales(places, frame)
    where = [(_clamp(x_scale, x), _clamp(y_scale, y)) for x, y in places]
    beyond = [_is_outside(x_scale, x) or _is_outside(y_scale, y) for x, y in places]
    wanted = [label_wordings(index, point, beyond[index]) for index, point in enumerate(points)]
    labels = place_labels(wanted, where, frame.area)
    return Scatter(
        frame=frame,
        marks=tuple(_mark(i, points[i], where[i], labels[i], beyond[i]) for i in range(len(points))),
        x_ticks=tuple(x_scale.ticks(int(frame.width // 110))),
        y_ticks=tuple(y_scale.ticks(5)),
        is_higher_better=direction == "higher" and not ranks,
        has_marks_beyond=any(beyond),
        diagonal=_diagonal(x_scale, y_scale, len(points)) if ranks else None,
    )


def _scales(places: Sequence[tuple[float, float]], frame: Frame) -> tuple[Scale, Scale]:
    """Over all recipes that are far out on neither axis."""
    area = frame.area
    (x_low, x_high), (y_low, y_high) = fences([x for x, _ in places]), fences([y for _, y in places])
    near = [(x, y) for x, y in places if x_low <= x <= x_high and y_low <= y <= y_high] or places
    x_scale = make_scale([x for x, _ in near], area.left, area.right, margin=0.07)
    y_scale = make_scale([y for _, y in near], area.bottom, area.top, margin=0.07)
    return x_scale, y_scale


def _is_outside(scale: Scale, value: float) -> bool:
    return not scale.low <= value <= scale.high


def _clamp(scale: Scale, value: float) -> float:
    """The position of a value, at the edge if it is outside."""
    inset = 0.02 * (scale.high - scale.low)
    return scale(min(max(value, scale.low + inset), scale.high - inset))


def label_wordings(index: int, point: Point, is_beyond: bool) -> tuple[str, ...]:
    """What a label may say, the longest first: with its values if they cannot be read off, else its number."""
    name = str(point["recipe"])
    values = (f"{name} ({point['proxy']:.3g}, {point['reference']:.3g})",) if is_beyond else ()
    return (*values, name, str(index + 1))


def _diagonal(x_scale: Scale, y_scale: Scale, count: int) -> tuple[float, float, float, float]:
    return x_scale(1), y_scale(1), x_scale(count), y_scale(count)


def rank_places(points: Sequence[Point], direction: str) -> list[tuple[float, float]]:
    """Ranks of proxy and reference, 1 the best; equal values share their mean rank."""
    proxies = _ranks([float(point["proxy"]) for point in points])
    sign = -1.0 if direction == "higher" else 1.0
    return list(zip(proxies, _ranks([sign * float(point["reference"]) for point in points]), strict=True))


def _ranks(values: Sequence[float]) -> list[float]:
    below = [sum(other < value for other in values) for value in values]
    equal = [sum(other == value for other in values) for value in values]
    return [less + (same + 1) / 2 for less, same in zip(below, equal, strict=True)]


def _mark(index: int, point: Point, where: tuple[float, float], label: Label | None, is_beyond: bool) -> Mark:
    proxy, reference = float(point["proxy"]), float(point["reference"])
    return Mark(
        number=index + 1,
        recipe=point["recipe"],
        x=where[0],
        y=where[1],
        shape=BEYOND_MARK if is_beyond else MARKS.get(point.get("label") or "", UNKNOWN_MARK),
        title=f"{point['recipe']}: proxy {proxy:.4f}, reference {reference:.4f} ({point.get('label') or 'no label'})",
        label=label,
    )


def place_labels(
    wordings: Sequence[tuple[str, ...]], where: Sequence[tuple[float, float]], area: Box
) -> list[Label | None]:
    """Greedy, far-out points first, then the most isolated: each label takes the first free place around its point."""
    taken = [around(x, y, MARK_RADIUS) for x, y in where]
    labels: list[Label | None] = [None] * len(where)
    for index in sorted(range(len(where)), key=lambda i: (-len(wordings[i]), _crowding(i, where))):
        for text in wordings[index]:
            found = _free_place(text, where[index], taken, area)
            if found:
                labels[index], box = found
                taken.append(box)
                break
    return labels


def _crowding(index: int, where: Sequence[tuple[float, float]]) -> float:
    x, y = where[index]
    return sum(1 / (1 + abs(x - other_x) + abs(y - other_y)) for other_x, other_y in where)


def _free_place(text: str, point: tuple[float, float], taken: Sequence[Box], area: Box) -> tuple[Label, Box] | None:
    width = CHARACTER_WIDTH * len(text)
    for dx, dy, anchor in PLACES:
        x, y = point[0] + dx, point[1] + dy
        left = x - {"start": 0.0, "middle": width / 2, "end": width}[anchor]
        box = Box(left=left, top=y - LINE_HEIGHT + 3, right=left + width, bottom=y + 3)
        if area.contains(box) and not any(box.overlaps(other) for other in taken):
            return Label(x=round(x, 1), y=round(y, 1), anchor=anchor, text=text), box
    return None
