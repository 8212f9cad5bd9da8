import math

import numpy as np
import pytest
from scipy.stats import rankdata

from proxy.errors import InvalidInputError
from proxy.ranking.repeatability import (
    NoisyScores,
    compare_protocols,
    noise_only_interval,
    perfect_proxy,
    reliability,
    reliability_ceiling,
)


def noisy(means: list[float], error: float) -> NoisyScores:
    return NoisyScores(means=np.array(means), standard_errors=np.full(len(means), error))


def test_reliability_is_the_share_of_variance_that_is_not_noise() -> None:
    assert reliability(noisy([1.0, 2.0, 3.0], 0.5)) == pytest.approx(1 - 0.25)
    assert reliability(noisy([1.0, 2.0, 3.0], 0.0)) == 1
    assert reliability(noisy([1.0, 2.0, 3.0], 5.0)) == 0


@pytest.mark.parametrize("means", [[1.0, 2.0], [1.0, 1.0, 1.0]])
def test_too_few_or_equal_recipes_have_no_reliability(means: list[float]) -> None:
    assert reliability(noisy(means, 0.1)) is None
    assert reliability_ceiling(noisy(means, 0.1), noisy(means, 0.1)) is None


def test_the_ceiling_is_what_a_perfect_proxy_reaches_through_noise() -> None:
    rng = np.random.default_rng(0)
    truth = rng.standard_normal(4000)
    lists = [truth + error * rng.standard_normal(4000) for error in (0.5, 1.0)]
    ceiling = reliability_ceiling(noisy(list(lists[0]), 0.5), noisy(list(lists[1]), 1.0))
    assert ceiling == pytest.approx(np.corrcoef(*lists)[0, 1], abs=0.03)
    assert ceiling == pytest.approx(math.sqrt(0.8 * 0.5), abs=0.03)


def test_without_noise_the_same_recipes_agree_as_before() -> None:
    low, high = noise_only_interval(
        noisy([1.0, 2.0, 3.0, 4.0], 0.0), noisy([1.0, 2.0, 4.0, 3.0], 0.0), np.random.default_rng(0), draws=20
    )
    assert low == high == pytest.approx(0.8)


def test_noise_only_intervals_hold_a_repetition_with_new_seeds() -> None:
    rng = np.random.default_rng(1)
    inside = []
    for _ in range(60):
        proxy = rng.standard_normal(15)
        reference = proxy + 0.3 * rng.standard_normal(15)
        first, again = (proxy + 0.3 * rng.standard_normal((2, 15))).tolist()
        low, high = noise_only_interval(noisy(first, 0.3), noisy(list(reference), 0.0), rng, draws=150)
        assert low is not None
        assert high is not None
        ranks = [np.argsort(np.argsort(values)) for values in (again, reference)]
        inside.append(low <= np.corrcoef(*ranks)[0, 1] <= high)
    assert np.mean(inside) > 0.85


def test_equal_scores_and_few_recipes_have_no_noise_only_interval() -> None:
    rng = np.random.default_rng(0)
    assert noise_only_interval(noisy([1.0, 2.0], 0.1), noisy([1.0, 2.0], 0.1), rng) == (None, None)
    assert noise_only_interval(noisy([1.0] * 4, 0.0), noisy([1.0] * 4, 0.0), rng, draws=10) == (None, None)


def test_two_protocols_are_compared_on_the_same_resampled_recipes() -> None:
    rng = np.random.default_rng(2)
    reference = rng.standard_normal(30)
    good, poor = reference + 0.2 * rng.standard_normal(30), rng.standard_normal(30)
    found = compare_protocols((good, poor), reference, "lower", rng)
    assert found.estimate is not None
    assert found.low is not None
    assert found.high is not None
    assert 0 < found.low < found.estimate < found.high
    same = compare_protocols((good, good), reference, "lower", rng)
    assert same.estimate == same.low == same.high == 0


def test_a_perfect_proxy_misses_what_the_noise_of_references_has_moved() -> None:
    """One recipe far behind keeps the values' reliability above .99, while the others change places."""
    exact, rng = perfect_proxy(noisy([1.0, 2.0, 3.0], 0.0), np.random.default_rng(0)), np.random.default_rng(0)
    assert (exact.estimate, exact.low, exact.high) == (1.0, 1.0, 1.0)
    close = noisy([0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 9.0], 0.2)
    found = perfect_proxy(close, rng)
    again = []
    for _ in range(500):
        true = close.means + 0.2 * rng.standard_normal(8)
        again.append(float(np.corrcoef(rankdata(true), rankdata(close.means))[0, 1]))
    assert found.estimate == pytest.approx(np.mean(again), abs=0.02)
    assert found.estimate is not None
    assert found.estimate < 0.9 < (reliability(close) or 0.0)
    assert found.low is not None
    assert found.high is not None
    assert found.low < found.estimate < found.high
    assert perfect_proxy(noisy([1.0, 2.0], 0.1), rng).estimate is None
    assert perfect_proxy(noisy([1.0] * 4, 0.1), rng).estimate is None


def test_two_protocols_that_give_the_same_order_of_few_may_differ_in_new_recipes() -> None:
    reference = np.arange(8, dtype=np.float64)
    found = compare_protocols((reference, np.exp(reference)), reference, "lower", np.random.default_rng(0))
    assert found.estimate == 0
    assert found.low is not None
    assert found.high is not None
    assert found.low == pytest.approx(-0.1027, abs=1e-3)
    assert found.high == pytest.approx(-found.low)
    one = compare_protocols((reference, reference + 3), reference, "lower", np.random.default_rng(0))
    assert one.low == one.high == 0


def test_differences_of_few_recipes_hold_the_true_one() -> None:
    """Pearson's r is .97 and .9, .93 between the protocols; percentiles alone hold it in 57 of 100 draws of five."""
    correlations = np.array([[1.0, 0.97, 0.9], [0.97, 1.0, 0.93], [0.9, 0.93, 1.0]])
    true = 6 / math.pi * (math.asin(0.97 / 2) - math.asin(0.9 / 2))
    rng = np.random.default_rng(1)
    for n in (5, 8):
        inside = []
        for _ in range(60):
            reference, first, second = (rng.standard_normal((n, 3)) @ np.linalg.cholesky(correlations).T).T
            found = compare_protocols((first, second), reference, "lower", rng, resamples=200)
            if found.low is not None and found.high is not None:
                inside.append(found.low <= true <= found.high)
        assert len(inside) > 40
        assert np.mean(inside) > 0.9


@pytest.mark.parametrize("n", [0, 1, 4])
def test_protocols_on_few_recipes_have_no_interval(n: int) -> None:
    values = list(range(n))
    found = compare_protocols((values, values), values, "lower", np.random.default_rng(0))
    assert found.low is found.high is None
    assert (found.estimate is None) == (n < 2)


def test_protocols_need_a_score_for_each_reference() -> None:
    with pytest.raises(InvalidInputError, match="/proxies"):
        compare_protocols(([1.0, 2.0], [1.0]), [1.0, 2.0], "lower", np.random.default_rng(0))
