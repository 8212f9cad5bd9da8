import numpy as np
import pytest

from proxy.ranking.reference_noise import errors_of_best
from proxy.ranking.tuning import SweepPoint, label_sweeps


def point(recipe: str, rate: float, value: float | None, seed: int = 0, **more: bool) -> SweepPoint:
    return SweepPoint(recipe=recipe, learning_rate=rate, value=value, seed=seed, **more)


def errors(points: list[SweepPoint]) -> dict[str, float]:
    return errors_of_best(points, label_sweeps(points, "lower"))


def test_variance_is_pooled_and_shared_by_the_seeds_of_the_best() -> None:
    points = [point("a", 1, 1.0), point("a", 1, 1.2, 1), point("a", 2, 2.0), point("b", 1, 3.0), point("b", 1, 3.4, 1)]
    pooled = (0.02 + 0.08) / 2
    assert errors(points) == {"a": pytest.approx((pooled / 2) ** 0.5), "b": pytest.approx((pooled / 2) ** 0.5)}


def test_a_best_value_of_one_seed_is_less_certain() -> None:
    points = [point("a", 1, 1.0), point("a", 2, 2.0), point("a", 2, 2.2, 1)]
    assert errors(points)["a"] == pytest.approx(np.std([2.0, 2.2], ddof=1))


def test_without_a_second_seed_nothing_is_known() -> None:
    assert errors([point("a", 1, 1.0), point("a", 2, 2.0), point("b", 1, 1.5)]) == {}


def test_what_was_given_up_does_not_count() -> None:
    points = [
        point("a", 1, 1.0),
        point("a", 1, 1.1, 1),
        point("a", 9, 5.0, stopped_early=True),
        point("a", 9, 9.0, 1, stopped_early=True),
    ]
    assert errors(points)["a"] == pytest.approx(0.05)
