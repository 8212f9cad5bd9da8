import numpy as np
import pytest
from scipy import stats

from proxy.errors import InvalidInputError
from proxy.ranking.bridges import measure_bridge


def test_the_offset_has_students_interval() -> None:
    rng = np.random.default_rng(3)
    old, new = rng.standard_normal(7), rng.standard_normal(7) + 2
    bridge = measure_bridge(old, new)
    expected = stats.ttest_rel(new, old).confidence_interval(0.95)
    assert bridge.offset == pytest.approx((new - old).mean())
    assert (bridge.low, bridge.high) == (pytest.approx(expected.low), pytest.approx(expected.high))
    assert bridge.reason is None


def test_a_carried_over_score_is_covered() -> None:
    rng = np.random.default_rng(4)
    covered = 0
    for _ in range(1000):
        old = rng.standard_normal(6)
        new = old + 0.3 + 0.1 * rng.standard_normal(6)
        bridge = measure_bridge(old[:5], new[:5])
        assert bridge.offset is not None
        assert bridge.one_more is not None
        covered += abs(old[5] + bridge.offset - new[5]) <= bridge.one_more
    assert 0.93 <= covered / 1000 <= 0.97


@pytest.mark.parametrize("n", [0, 1, 2])
def test_too_few_recipes_are_no_bridge(n: int) -> None:
    bridge = measure_bridge(np.arange(n), np.arange(n) + 1)
    assert (bridge.offset, bridge.low, bridge.one_more) == (None, None, None)
    assert f"{n} recipes" in str(bridge.reason)


def test_the_same_measure_is_bridged_exactly() -> None:
    bridge = measure_bridge([1.0, 2.0, 3.0], [1.5, 2.5, 3.5])
    assert (bridge.offset, bridge.low, bridge.high, bridge.one_more) == (0.5, 0.5, 0.5, 0.0)
    assert bridge.order_kept == 1


def test_a_new_version_that_reorders_says_so() -> None:
    assert measure_bridge([1.0, 2.0, 3.0], [3.0, 2.0, 1.0]).order_kept == 0
    assert measure_bridge([1.0, 1.0, 3.0], [1.0, 2.0, 3.0]).order_kept == pytest.approx(2 / 3)


def test_bad_scores_are_named() -> None:
    with pytest.raises(InvalidInputError, match=r"new/1.*finite"):
        measure_bridge([1, 2, 3], [1, np.nan, 3])
    with pytest.raises(InvalidInputError, match="one score a recipe"):
        measure_bridge([1, 2, 3], [1, 2])
