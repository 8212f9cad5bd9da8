"""Which rates of a swept reference get more seeds."""

import pytest

from worker.studies.seeds import Tried, rates_of_more_seeds, with_one_beside

BROKE = float("nan")


def sweep(*outcomes: tuple[float, float | None]) -> list[Tried]:
    """(rate, score), None for one that was given up, `BROKE` for one that diverged."""
    return [
        Tried(rate=rate, score=None if score is BROKE else score, was_given_up=score is None)
        for rate, score in outcomes
    ]


@pytest.mark.parametrize(
    ("sweeps", "rates"),
    [
        ([sweep((1, None), (2, 3.0), (4, 3.1))], [1, 2]),  # with one that is given up soon
        ([sweep((1, 3.5), (2, 3.0), (4, 3.1))], [2, 4]),  # with the second best
        ([sweep((1, 3.5), (2, 3.0)), sweep((1, 3.5), (2, 3.6))], [1, 2]),  # the best on each suite
        ([sweep((1, BROKE), (2, 3.0), (4, 3.1))], [2, 4]),
        ([sweep((1, BROKE), (2, 3.0), (4, None))], [2, 4]),
        ([sweep((1, 3.0), (2, BROKE), (4, BROKE))], [1, 2]),  # one rate alone would be no sweep
        ([sweep((1, None), (2, None))], []),
        ([sweep((1, 3.0), (2, 3.1)), sweep((1, None), (2, None))], []),
    ],
)
def test_more_seeds_are_of_the_best_rate_and_one_beside_it(sweeps: list[list[Tried]], rates: list[float]) -> None:
    assert rates_of_more_seeds(sweeps) == rates


def test_a_rate_beside_is_none_of_those_that_are_ruled_out() -> None:
    tried = [sweep((1, None), (2, 3.0), (4, 3.1))]
    assert with_one_beside({4}, tried) == [1, 4]
    assert with_one_beside({4}, tried, but={1}) == [2, 4]
    assert with_one_beside({2, 4}, tried) == [2, 4]
