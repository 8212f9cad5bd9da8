import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.ranking.regret import chance_of_no_regret_at, chance_regret_at, regret_at, resampled_regrets


def by_trying_every_order(k: int, proxy: list[int], reference: list[int]) -> float:
    """Mean over all ways to break the proxy's ties."""
    regrets = []
    for order in itertools.permutations(range(len(proxy))):
        chosen = sorted(order, key=lambda index: -proxy[index])[:k]
        regrets.append(max(reference) - max(reference[index] for index in chosen))
    return float(np.mean(regrets))


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 9)), min_size=1, max_size=6),
    st.integers(1, 6),
)
def test_regret_with_ties_is_the_mean_over_every_order(scores: list[tuple[int, int]], k: int) -> None:
    proxy, reference = [list(values) for values in zip(*scores, strict=True)]
    found = regret_at(k, np.array(proxy, dtype=float), np.array(reference, dtype=float))
    assert found == pytest.approx(by_trying_every_order(k, proxy, reference))


def test_regret_at_all_is_zero() -> None:
    assert regret_at(3, np.array([1.0, 2.0, 3.0]), np.array([3.0, 2.0, 1.0])) == 0
    assert regret_at(5, np.array([1.0]), np.array([3.0])) == 0


def test_a_blind_pick_loses_the_distance_from_the_best_to_the_mean() -> None:
    reference = np.array([1.0, 4.0, 10.0])
    assert chance_regret_at(1, reference) == pytest.approx(10 - 5)


def test_a_blind_top_five_of_twelve_holds_the_best_with_probability_042() -> None:
    assert chance_of_no_regret_at(5, np.arange(12.0)) == pytest.approx(5 / 12)
    assert chance_of_no_regret_at(1, np.array([1.0, 3.0, 3.0])) == pytest.approx(2 / 3)
    assert chance_of_no_regret_at(5, np.arange(3.0)) == 1


def test_resampled_regret_is_that_of_the_rows_drawn() -> None:
    rng = np.random.default_rng(1)
    proxy, reference = rng.standard_normal(6), rng.standard_normal(6)
    weights = np.array([[1, 1, 1, 1, 1, 1], [3, 0, 0, 2, 1, 0], [0, 6, 0, 0, 0, 0]], dtype=float)
    found = resampled_regrets(2, proxy, reference, weights, rng)
    for counts, regret in zip(weights.astype(int), found, strict=True):
        rows = np.repeat(np.arange(6), counts)
        assert regret == pytest.approx(regret_at(2, proxy[rows], reference[rows]))


def test_ties_in_a_resample_are_broken_by_chance() -> None:
    weights = np.ones((2000, 2))
    found = resampled_regrets(1, np.zeros(2), np.array([0.0, 1.0]), weights, np.random.default_rng(0))
    assert found.mean() == pytest.approx(0.5, abs=0.05)
