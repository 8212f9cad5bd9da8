import math

import numpy as np
import pytest
from scipy import stats

from proxy.ranking.studentized_range import studentized_range


@pytest.mark.parametrize("recipes", [2, 3, 12, 100, 1000])
@pytest.mark.parametrize("degrees", [1.0, 1.3, 5.0, 300.0])
def test_quantiles_are_those_of_scipy(recipes: int, degrees: float) -> None:
    expected = stats.studentized_range.ppf(0.95, recipes, degrees)
    assert studentized_range(0.95, recipes, degrees) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("level", [0.5, 0.8, 0.99, 0.9995])
def test_any_level_is_that_of_scipy(level: float) -> None:
    expected = stats.studentized_range.ppf(level, 7, 4.5)
    assert studentized_range(level, 7, 4.5) == pytest.approx(expected, rel=1e-7)


@pytest.mark.parametrize("degrees", [1.0, 2.5, 40.0, 1e4, 1e6])
def test_two_means_are_students_t(degrees: float) -> None:
    expected = math.sqrt(2) * stats.t.ppf(0.975, degrees)
    assert studentized_range(0.95, 2, degrees) == pytest.approx(expected, rel=1e-9)


def test_quantiles_grow_with_recipes_and_fall_with_degrees() -> None:
    table = [[studentized_range(0.95, recipes, degrees) for degrees in (1, 2, 8, 1e3)] for recipes in (2, 5, 90, 5000)]
    assert (np.diff(table, axis=0) > 0).all()
    assert (np.diff(table, axis=1) < 0).all()
