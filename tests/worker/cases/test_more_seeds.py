"""Which rates of a swept reference get more seeds."""

import pytest

from worker.studies.seeds import Tried, rates_of_more_seeds


def sweep(*outcomes: tuple[float, float | None]) -> list[Tried]:
    """(rate, score), None for one that was given up."""
    return [Tried(rate=rate, score=score, was_given_up=score is None) for rate, score in outcomes]


@pytest.mark.parametrize(
    ("sweeps", "rates"),
    [
        ([sweep((1, None), (2, 3.0), (4, 3.1))], [1, 2]),  # with one that is given up soon
        ([sweep((1, 3.5), (2, 3.0), (4, 3.1))], [2, 4]),  # with the second best
        ([sweep((1, 3.5), (2, 3.0)), sweep((1, 3.5), (2, 3.6))], [1, 2]),  # the best on each suite
        ([sweep((1, None), (2, None))], []),
        ([sweep((1, 3.0), (2, 3.1)), sweep((1, None), (2, None))], []),
    ],
)
def test_more_seeds_are_of_the_best_rate_and_one_beside_it(sweeps: list[list[Tried]], rates: list[float]) -> None:
    assert rates_of_more_seeds(sweeps) == rates
