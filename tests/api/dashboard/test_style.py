"""The style sheet: readable in both colour schemes (WCAG 2, level AA), and it loads nothing."""

import re

import pytest

from api.dashboard.rendering import STATIC

CSS = (STATIC / "dashboard.css").read_text(encoding="utf-8")
TEXT = 4.5  # WCAG 1.4.3
GRAPHIC = 3.0  # WCAG 1.4.11
PAIRS = [
    *((ink, ground, TEXT) for ink in ("ink", "quiet", "accent") for ground in ("ground", "panel", "sunken")),
    ("ink", "accent-faint", TEXT),
    ("quiet", "accent-faint", TEXT),
    ("accent", "accent-faint", TEXT),
    ("panel", "accent", TEXT),
    *((tone, f"{tone}-soft", TEXT) for tone in ("good", "warning", "bad")),
    *((tone, "panel", TEXT) for tone in ("good", "warning", "bad")),
    ("accent", "accent-soft", GRAPHIC),
]


def colours(block: str) -> dict[str, str]:
    return dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{3,6})", block))


LIGHT = colours(CSS[: CSS.index("@media (prefers-color-scheme: dark)")])
DARK = LIGHT | colours(CSS[CSS.index("@media (prefers-color-scheme: dark)") : CSS.index("box-sizing")])
PRINT = LIGHT | colours(CSS[CSS.index("@media print") :])


def luminance(colour: str) -> float:
    digits = colour.lstrip("#")
    digits = "".join(2 * digit for digit in digits) if len(digits) == 3 else digits
    shares = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_contrast_is_measured_as_the_standard_does() -> None:
    assert contrast("#000", "#fff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("scheme", [LIGHT, DARK, PRINT], ids=["light", "dark", "print"])
@pytest.mark.parametrize(("front", "back", "least"), PAIRS, ids=lambda value: str(value))
def test_every_pair_of_colours_can_be_read(scheme: dict[str, str], front: str, back: str, least: float) -> None:
    assert contrast(scheme[front], scheme[back]) >= least, (scheme[front], scheme[back])


def test_dark_defines_every_colour_that_light_has() -> None:
    block = CSS[CSS.index("@media (prefers-color-scheme: dark)") : CSS.index("box-sizing")]
    assert colours(block).keys() == LIGHT.keys()


@pytest.mark.parametrize("path", sorted(STATIC.iterdir()), ids=lambda path: path.name)
def test_static_files_name_no_other_host(path: object) -> None:
    text = STATIC.joinpath(str(path)).read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"https?:|//[a-z]|@import|url\(", text)
