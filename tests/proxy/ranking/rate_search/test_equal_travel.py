"""The numbers of a rate at one level of Σ rates: against arithmetic by hand, and against the rule's own."""

import pytest

from proxy.ranking.rate_search import LadderRun, row_at, search_rate
from tests.proxy.ranking.rate_search.ladders import ladder_of

LEVEL = 0.95


def runs_of(scores: dict[str, tuple[float, ...]], progress: dict[str, tuple[float | None, ...]]) -> list[LadderRun]:
    return [
        LadderRun(anchor=anchor, rate=1e-3, seed=seed, score=score, progress={"held": progress[anchor][seed]})
        for anchor, row in scores.items()
        for seed, score in enumerate(row)
    ]


def test_the_numbers_of_a_level_by_hand() -> None:
    """Residuals are ± .5, ± .5 and 0: 1 over 2 degrees of freedom. Between anchors 28.5, so that F is 57."""
    scores = {"a": (1.0, 3.0), "b": (5.0, 5.0), "c": (9.0, 10.0)}
    progress = {"a": (0.1, 0.3), "b": (0.4, 0.6), "c": (None, None)}
    row = row_at(runs_of(scores, progress)[::-1], LEVEL)
    assert row.scores == {"a": 2.0, "b": 5.0, "c": 9.5}
    assert row.ranks == {"a": 1, "b": 2, "c": 3}
    assert row.score == pytest.approx(5.5)
    assert row.reliability == pytest.approx(1 - 1 / 57)
    assert row.reliability_low == pytest.approx(1 - 19 / 57)  # F(.95; 2, 2) is 19
    assert row.progress_median == pytest.approx(0.35)  # of .2 and .5


def test_equal_means_share_a_rank_and_without_noise_there_is_no_reliability() -> None:
    row = row_at(
        runs_of({"a": (2.0, 2.0), "b": (1.0, 1.0), "c": (2.0, 2.0)}, dict.fromkeys("abc", (None, None))), LEVEL
    )
    assert row.ranks == {"a": 2, "b": 1, "c": 2}
    assert (row.reliability, row.progress_median) == (None, None)


def test_at_the_end_of_its_runs_a_rate_has_the_numbers_of_the_rule() -> None:
    ladder = ladder_of()
    for expected in search_rate(ladder).rates:
        row = row_at(ladder.runs_at(expected.rate), LEVEL)
        assert row.ranks == expected.ranks
        for name in ("score", "progress_median", "reliability", "reliability_low"):
            assert getattr(row, name) == pytest.approx(getattr(expected, name), abs=1e-12)
