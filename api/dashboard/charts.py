"""Geometry of what is drawn: axes with round ticks, interval bars, and labels that do not overlap.

Positions of bars are percentages of the drawing's width, so that a bar fills the column it is given; positions in
`Frame` are user units of an SVG view box. y grows downwards, as in SVG.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

FENCE = 3.0  # Tukey's far-out fence: quartiles ± 3 interquartile ranges
BAR_MARGIN = 3.0  # per cent of the width left free on both sides of a bar


@dataclass(frozen=True, kw_only=True)
class Tick:
    """A place on an axis, in the drawing's units, and what is written there."""

    at: float
    label: str


@dataclass(frozen=True, kw_only=True)
class Scale:
    """Maps [low, high] onto [start, end] linearly."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """The position of a value; values outside the domain land outside the range."""
        share = (value - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 2)

    def ticks(self, count: int) -> list[Tick]:
        """About `count` round values inside the domain, written with the decimals their step needs."""
        step = _round_step((self.high - self.low) / max(count, 1))
        decimals = max(0, -math.floor(math.log10(step) + 1e-9))
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [
            Tick(at=self(index * step), label=f"{index * step:.{decimals}f}".replace("-", "−"))
            for index in range(first, last + 1)
        ]


def make_scale(values: Sequence[float], start: float, end: float, margin: float = 0.06) -> Scale:
    """A scale over all values with a margin (a share of their range); equal values get a range of their own."""
    low, high = min(values), max(values)
    span = high - low or max(abs(high) * 0.02, 1e-3)
    return Scale(low=low - margin * span, high=high + margin * span, start=start, end=end)


def _round_step(raw: float) -> float:
    """The one of 1, 2, 5 × 10^k that is nearest to `raw` by ratio."""
    power = 10.0 ** math.floor(math.log10(raw))
    return min((nice * power for nice in (1.0, 2.0, 5.0, 10.0)), key=lambda step: abs(math.log(step / raw)))


@dataclass(frozen=True, kw_only=True)
class Bar:
    """An interval and its estimate. `beyond` is set where the estimate is outside the scale: -1 left, 1 right."""

    low: float
    high: float
    at: float
    beyond: int = 0

    @property
    def width(self) -> float:
        """Length of the interval; never too thin to be seen."""
        return round(max(self.high - self.low, 0.6), 2)


Span = tuple[float | None, float | None, float]  # interval's low and high (or None), estimate


def bar_scale(spans: Sequence[Span]) -> Scale | None:
    """One scale for all bars. Far-out estimates do not squeeze the others: they are drawn at its edge."""
    if not spans:
        return None
    low_fence, high_fence = fences([at for _, _, at in spans])
    inside = [span for span in spans if low_fence <= span[2] <= high_fence]
    ends = [end for span in inside for end in span if end is not None]
    return make_scale(ends, BAR_MARGIN, 100 - BAR_MARGIN, margin=0.02)


def fences(values: Sequence[float]) -> tuple[float, float]:
    """What lies outside is far out; infinite for fewer than four values or equal quartiles."""
    if len(values) < 4:
        return -math.inf, math.inf
    ordered = sorted(values)
    lower, upper = ordered[len(ordered) // 4], ordered[(3 * len(ordered)) // 4 - (len(ordered) % 4 == 0)]
    reach = FENCE * (upper - lower)
    return (lower - reach, upper + reach) if reach > 0 else (-math.inf, math.inf)


def place_bar(scale: Scale, span: Span) -> Bar:
    """The bar of one estimate on a common scale, clipped to it."""
    low, high, at = span
    low, high = at if low is None else low, at if high is None else high
    beyond = -1 if at < scale.low else 1 if at > scale.high else 0

    def clip(value: float) -> float:
        return scale(min(max(value, scale.low), scale.high))

    return Bar(low=clip(low), high=clip(high), at=clip(at), beyond=beyond)


@dataclass(frozen=True, kw_only=True)
class Box:
    """A rectangle that something occupies."""

    left: float
    top: float
    right: float
    bottom: float

    def overlaps(self, other: "Box") -> bool:
        """True if they share any area."""
        return (
            self.left < other.right and other.left < self.right and self.top < other.bottom and other.top < self.bottom
        )

    def contains(self, other: "Box") -> bool:
        """True if the other lies wholly inside."""
        return (
            self.left <= other.left
            and other.right <= self.right
            and self.top <= other.top
            and other.bottom <= self.bottom
        )


def around(x: float, y: float, radius: float) -> Box:
    """The square around a mark."""
    return Box(left=x - radius, top=y - radius, right=x + radius, bottom=y + radius)
