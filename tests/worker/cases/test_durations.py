"""Budgets as people write them."""

import pytest

from proxy.errors import InvalidInputError
from worker.replications.costs import runs_paid_for
from worker.replications.requests import MOST_RUNS, parse_budget, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("2h", 7200), ("90m", 5400), ("1h30m", 5400), ("1.5h", 5400), ("1d2h3m4s", 93_784), (" 45s ", 45)],
)
def test_durations_are_read(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "2", "h", "-2h", "2h 30m", "30m2h", "1e3h", "inf", "2hh", "٢h"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError, match="is no duration"):
        parse_duration(text)


def test_a_budget_is_kept_as_its_words_alone() -> None:
    assert parse_budget(" " * 100 + "2h\n", None).text == "2h"


def test_no_budget_is_more_runs_than_any_race_has() -> None:
    assert runs_paid_for(parse_budget("999999999d", None), 1e-300) == MOST_RUNS
    assert runs_paid_for(parse_budget("999999999d", 7), 1e-300) == 7
