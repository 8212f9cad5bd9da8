import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import InvalidInputError
from proxy.ranking.rates import RateOptimum, optimum_rate


@given(st.floats(-8.5, -4.5), st.floats(0.01, 5))
def test_the_vertex_of_a_parabola_in_log_rate_is_found_on_any_grid(log_optimum: float, curvature: float) -> None:
    rates = [1e-4, 2.5e-4, 4e-4, 1e-3, 3e-3, 1.1e-2, 2e-2]
    losses = [3 + curvature * (math.log(rate) - log_optimum) ** 2 for rate in rates]
    found = optimum_rate(rates, losses)
    assert found.is_interior
    assert found.rate == pytest.approx(math.exp(log_optimum))


def test_the_order_of_rates_does_not_matter_and_seeds_are_averaged() -> None:
    found = optimum_rate([1e-2, 1e-4, 1e-3, 1e-3], [2.0, 2.0, 1.5, 0.5])
    assert found == RateOptimum(rate=pytest.approx(1e-3), is_interior=True)


@pytest.mark.parametrize("losses", [[1.0, 2.0, 3.0], [3.0, 2.0, 1.0], [1.0, 1.0, 1.0], [2.0, 1.0, 1.0]])
def test_without_worse_rates_on_both_sides_the_best_tried_is_not_interior(losses: list[float]) -> None:
    found = optimum_rate([1e-4, 1e-3, 1e-2], losses)
    assert not found.is_interior
    assert found.rate in (1e-4, 1e-3, 1e-2)


@pytest.mark.parametrize("count", [1, 2])
def test_under_three_rates_have_no_inside(count: int) -> None:
    assert not optimum_rate([1e-4, 1e-3][:count], [1.0, 2.0][:count]).is_interior


def test_a_diverged_neighbour_bounds_the_optimum_but_moves_nothing() -> None:
    assert optimum_rate([1e-4, 1e-3, 1e-2], [2.0, 1.0, math.inf]) == RateOptimum(rate=1e-3, is_interior=True)


def test_a_plateau_of_equal_minima_lies_in_its_middle() -> None:
    found = optimum_rate([1e-4, 1e-3, 1e-2, 1e-1], [2.0, 1.0, 1.0, 2.0])
    assert found.is_interior
    assert found.rate == pytest.approx(math.sqrt(1e-3 * 1e-2))


@pytest.mark.parametrize(
    ("rates", "losses"),
    [
        ([], []),
        ([1e-3], []),
        ([0.0], [1.0]),
        ([math.nan], [1.0]),
        ([1e-3], [math.nan]),
        ([1e-3], [-math.inf]),
        ([1e-3, 1e-2], [math.inf, math.inf]),
    ],
)
def test_rates_and_losses_that_are_no_sweep_are_refused(rates: list[float], losses: list[float]) -> None:
    with pytest.raises(InvalidInputError):
        optimum_rate(rates, losses)


def test_noise_moves_the_vertex_less_than_the_grid_is_wide() -> None:
    rng = np.random.default_rng(0)
    rates = np.geomspace(2.5e-4, 8e-3, 6)
    found = [
        optimum_rate(rates.tolist(), (3 + 0.1 * np.log(rates / 1.2e-3) ** 2 + 0.003 * rng.standard_normal(6)).tolist())
        for _ in range(100)
    ]
    assert np.std([math.log(optimum.rate) for optimum in found]) < math.log(2) / 4
