"""How numbers are written for people."""

from datetime import UTC, datetime

import pytest

from api.dashboard import formats


@pytest.mark.parametrize(
    ("halves", "decimals"), [([0.0041, 0.02], 4), ([0.5], 3), ([1e-9], 5), ([], 3), ([None, 0.0], 3), ([0.01], 3)]
)
def test_the_smallest_interval_decides_the_decimals(halves: list[float | None], decimals: int) -> None:
    assert formats.decimals_for(halves) == decimals


@pytest.mark.parametrize(
    ("value", "text"), [(None, "–"), (1.23456, "1.23"), (-0.5, "−0.50"), (-0.001, "0.00"), (1234.5, "1,234.50")]
)
def test_numbers_have_fixed_decimals_and_a_real_minus(value: float | None, text: str) -> None:
    assert formats.number(value) == text


def test_an_interval_needs_both_ends() -> None:
    assert formats.interval(-0.1, 0.25) == "[−0.10, 0.25]"
    assert formats.interval(None, 0.25) == "–"
    assert formats.half_width(1.0, 1.5) == 0.25
    assert formats.half_width(1.0, None) is None
    assert formats.plus_minus(0.25, 2) == "± 0.25"
    assert formats.plus_minus(None) == ""


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (0.0, "< 1 %"), (1.0, "> 99 %"), (0.5249, "52 %"), (0.006, "1 %"), (0.995, "> 99 %")],
)
def test_nothing_is_certain(value: float | None, text: str) -> None:
    assert formats.probability(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.00267, "2.67 × 10⁻³"),
        (0.00195, "1.95 × 10⁻³"),
        (0.0100049, "1 × 10⁻²"),
        (3e-4, "3 × 10⁻⁴"),
        (None, "–"),
        (0.0, "–"),
    ],
)
def test_rates_are_powers_of_ten(value: float | None, text: str) -> None:
    assert formats.rate(value) == text


@pytest.mark.parametrize(("value", "text"), [(1 / 3, "1/3"), (0.1, "1/10"), (0.35, "0.35"), (None, "–"), (0.9, "0.9")])
def test_reductions_are_fractions_where_they_are(value: float | None, text: str) -> None:
    assert formats.reduction(value) == text


@pytest.mark.parametrize(
    ("rank", "low", "high", "text"),
    [(1, 1, 3, "1–3"), (2, 2, 2, "2"), (None, None, None, "–"), (4, None, None, "4")],
)
def test_a_rank_is_an_interval(rank: int | None, low: int | None, high: int | None, text: str) -> None:
    assert formats.rank_interval({"rank": rank, "rank_low": low, "rank_high": high}) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "–"), (4.4, "4 s"), (89, "89 s"), (200, "3 min"), (4800, "80 min"), (5500, "1 h 32 min")],
)
def test_durations_are_rounded_to_what_matters(seconds: float | None, text: str) -> None:
    assert formats.duration(seconds) == text


@pytest.mark.parametrize(
    ("better", "difference", "mark"), [("x", -0.1, "◀"), ("y", 0.1, "▶"), (None, 0.1, "·"), (None, None, "–")]
)
def test_a_mark_points_at_the_better_of_two(better: str | None, difference: float | None, mark: str) -> None:
    assert formats.side({"better": better, "difference": difference}, "x") == mark


def test_times_are_in_utc() -> None:
    assert formats.moment("2026-03-01T12:01:59+00:00") == "1 March 2026, 12:01 UTC"
    assert formats.moment(datetime(2026, 3, 1, 12, 1, tzinfo=UTC)) == "1 March 2026, 12:01 UTC"
    assert formats.moment(None) == "–"
    assert formats.count(61234.4) == "61,234"
    assert formats.count(None) == "–"
