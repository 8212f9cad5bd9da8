"""How numbers are written for people, on the page and in the terminal alike.

A missing number is a dash, a minus is a minus sign, and a value has the decimals that its interval deserves.
"""

import math
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

MISSING = "–"
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
FEWEST_DECIMALS, MOST_DECIMALS = 3, 5


def decimals_for(half_widths: Iterable[float | None]) -> int:
    """Decimals that write the smallest positive half-width with two digits, between 3 and 5."""
    positive = [width for width in half_widths if width and width > 0]
    if not positive:
        return FEWEST_DECIMALS
    wanted = 1 - math.floor(math.log10(min(positive)))
    return max(FEWEST_DECIMALS, min(MOST_DECIMALS, wanted))


def half_width(low: float | None, high: float | None) -> float | None:
    """Half the length of an interval; None if it has none."""
    return None if low is None or high is None else (high - low) / 2


def number(value: float | None, decimals: int = 2) -> str:
    """Fixed decimals; what rounds to zero has no sign."""
    if value is None:
        return MISSING
    text = f"{value:,.{decimals}f}"
    if not text.strip("-0.,"):
        text = text.lstrip("-")
    return text.replace("-", "−")


def interval(low: float | None, high: float | None, decimals: int = 2) -> str:
    """`[low, high]`, or a dash."""
    if low is None or high is None:
        return MISSING
    return f"[{number(low, decimals)}, {number(high, decimals)}]"


def plus_minus(half: float | None, decimals: int = 3) -> str:
    """`± half`, or nothing."""
    return "" if half is None else f"± {number(half, decimals)}"


def standing(found: Mapping[str, Any]) -> str:
    """Why a ranking is not valid any more, and what carries its scores over where something does."""
    sentences = ["; ".join(found["reasons"]) + "."]
    for bridge in found["bridges"]:
        if bridge["offset"] is not None:
            offset = f"{number(bridge['offset'], 4)} {interval(bridge['low'], bridge['high'], 4)}"
            kept = f"{100 * bridge['order_kept']:.0f} %"
            sentences.append(
                f"Scores move by {offset} bits per byte to the new {bridge['version_of']}, measured on"
                f" {bridge['recipes']} recipes, which keep the order of {kept} of their pairs."
            )
    return " ".join(sentences)


def probability(value: float | None) -> str:
    """Whole percents, and never 0 % or 100 %: neither is ever known."""
    if value is None:
        return MISSING
    if value < 0.005:
        return "< 1 %"
    if value >= 0.995:
        return "> 99 %"
    return f"{100 * value:.0f} %"


def rate(value: float | None) -> str:
    """A learning rate with at most three digits: 2.7 × 10⁻³, 1.95 × 10⁻³."""
    if value is None or value <= 0:
        return MISSING
    digits, exponent = f"{value:.2e}".split("e")
    return f"{digits.rstrip('0').removesuffix('.')} × 10{str(int(exponent)).translate(SUPERSCRIPTS)}"


def side(part: Mapping[str, Any], first: str) -> str:
    """Which recipe of a pair is better at one rate: a triangle towards it, a dot if neither is resolved."""
    if part["better"] is None:
        return MISSING if part["difference"] is None else "·"
    return "◀" if part["better"] == first else "▶"


def reduction(value: float | None) -> str:
    """A reduction as the fraction people say: 1/10; 1 is the standard rate."""
    if value is None or value <= 0:
        return MISSING
    inverse = 1 / value
    return f"1/{inverse:.0f}" if inverse >= 1.5 and abs(inverse - round(inverse)) < 0.05 else f"{value:.3g}"


def rank_interval(entry: dict[str, object]) -> str:
    """`2–5`, `3`, or a dash for a broken recipe."""
    low, high = entry.get("rank_low"), entry.get("rank_high")
    if entry.get("rank") is None:
        return MISSING
    if low is None or high is None:
        return str(entry["rank"])
    return str(low) if low == high else f"{low}–{high}"


def count(value: float | None) -> str:
    """A whole number with thousands separators."""
    return MISSING if value is None else f"{value:,.0f}"


def duration(seconds: float | None) -> str:
    """`40 s`, `3 min`, `1 h 20 min`."""
    if seconds is None:
        return MISSING
    whole = round(seconds)
    if whole < 90:
        return f"{whole} s"
    minutes = round(whole / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def moment(value: str | datetime | None) -> str:
    """A time in UTC to the minute."""
    if value is None:
        return MISSING
    parsed = datetime.fromisoformat(value) if isinstance(value, str) else value
    return parsed.strftime("%-d %B %Y, %H:%M UTC")
