import math

import numpy as np
import pytest
from scipy import integrate, stats

from proxy.ranking.calibration import (
    chance_better,
    chances_better,
    expected_regret,
    fit_calibration,
    mirrored,
    predict,
    quantile,
    why_not_calibrated,
)
from proxy.ranking.evidence import Float64Array


def calibrants(n: int, seed: int = 0, noise: float = 0.3) -> tuple[Float64Array, Float64Array]:
    rng = np.random.default_rng(seed)
    proxy = rng.normal(3.0, 0.1, n)
    return proxy, 1.0 - 4 * proxy + noise * rng.standard_normal(n)


def test_slope_and_residual_are_those_of_scipys_regression() -> None:
    proxy, goodness = calibrants(9, seed=5)
    found = fit_calibration(proxy, goodness)
    assert found.is_fitted_N.all()
    line = stats.linregress(-proxy, goodness)
    assert found.slope == pytest.approx(line.slope)
    residual = goodness - line.intercept + line.slope * proxy
    assert found.residual == pytest.approx(math.sqrt(float(residual @ residual) / 7))
    assert found.proxy_spread**2 == pytest.approx(proxy.var() * 9)
    assert line.stderr == pytest.approx(found.residual / found.proxy_spread)


def test_the_predictive_distribution_is_the_textbooks_with_an_explicit_design_matrix() -> None:
    """Contrast c = x_A − x_B of the two design rows: variance s² (2 + c (XᵀX)⁻¹ cᵀ)."""
    proxy, goodness = calibrants(7, seed=5)
    design = np.column_stack([np.ones(7), proxy])
    coefficients, squares, _, _ = np.linalg.lstsq(design, goodness)
    contrast = np.array([0.0, 0.07])
    variance = squares[0] / 5 * (2 + contrast @ np.linalg.inv(design.T @ design) @ contrast)
    calibration = fit_calibration(proxy, goodness)
    assert not calibration.is_outlier_N.any()
    found = predict(calibration, 0.07)
    assert found.difference == pytest.approx(contrast @ coefficients)
    assert found.standard_error == pytest.approx(math.sqrt(variance))
    by_line = stats.t(5).sf(-found.difference / math.sqrt(variance))
    assert chance_better(found) == pytest.approx((1 - 1 / 9) * by_line + 1 / 18)


def test_outliers_are_found_as_by_refitting_without_each_calibrant() -> None:
    proxy, goodness = calibrants(12, seed=2)
    counted = set()
    for bump in np.linspace(0, 1.7, 60):  # fine enough to see the threshold itself
        bumped = goodness + bump * (np.arange(12) == 5)
        found = fit_calibration(proxy, bumped)
        expected = [abs(left_out_residual(proxy, bumped, place)) > 3 for place in range(12)]
        assert found.is_outlier_N.tolist() == expected
        assert found.break_chance == pytest.approx((sum(expected) + 1) / 14)
        counted.add(sum(expected))
    assert counted >= {0, 1}


def left_out_residual(proxy: Float64Array, goodness: Float64Array, place: int) -> float:
    """Of one calibrant, over its standard error as predicted by the others."""
    x, y = np.delete(proxy, place), np.delete(goodness, place)
    line = stats.linregress(x, y)
    error = y - line.intercept - line.slope * x
    s = math.sqrt(float(error @ error) / (len(x) - 2))
    spread = math.sqrt(1 + 1 / len(x) + (proxy[place] - x.mean()) ** 2 / (x.var() * len(x)))
    return float((goodness[place] - line.intercept - line.slope * proxy[place]) / s / spread)


def test_outliers_are_set_aside_and_the_others_fitted_again() -> None:
    proxy, goodness = calibrants(12, seed=2)
    goodness[5] += 1.7
    found = fit_calibration(proxy, goodness)
    kept = fit_calibration(np.delete(proxy, 5), np.delete(goodness, 5))
    assert not kept.is_outlier_N.any()
    assert (found.slope, found.residual, found.degrees) == (kept.slope, kept.residual, 9)
    assert found.blind_error == pytest.approx(math.sqrt(2) * goodness.std(ddof=1))


def test_outliers_stay_where_too_few_would_be_left() -> None:
    proxy, goodness = np.array([1.0, 2.0, 3.0, 4.0, 5.0]), np.array([-1.0, -2.1, -3.0, -3.9, 5.0])
    found = fit_calibration(proxy, goodness)
    assert found.is_outlier_N.tolist() == [False] * 4 + [True]
    assert found.is_fitted_N.all()
    assert found.slope == pytest.approx(-stats.linregress(proxy, goodness).slope)


def test_a_calibrant_off_an_otherwise_exact_line_is_an_outlier() -> None:
    proxy = np.arange(8.0)
    goodness = -proxy
    goodness[3] += 0.5
    found = fit_calibration(proxy, goodness)
    assert found.is_outlier_N.tolist() == [place == 3 for place in range(8)]
    assert found.residual > 0  # it stays in the fit: without it nothing would be left to err


@pytest.mark.parametrize("difference", [-0.4, -0.02, 0.0, 0.05, 3.0])
def test_regret_and_quantiles_are_those_of_the_mixture(difference: float) -> None:
    proxy, goodness = calibrants(8, seed=1)
    found = predict(fit_calibration(proxy, goodness), difference, 0.02)
    by_line = stats.t(found.degrees, found.difference, found.standard_error)
    blind = stats.t(found.blind_degrees, 0, found.blind_error)
    share = found.break_chance
    assert found.blind_degrees == 7

    def density(value: float) -> float:
        return float((1 - share) * by_line.pdf(value) + share * blind.pdf(value))

    lost, _ = integrate.quad(lambda value: value * density(-value), 0, math.inf, limit=500)
    assert expected_regret(found) == pytest.approx(lost, rel=1e-5)
    for level in (0.025, 0.05, 0.5, 0.95):
        value = quantile(found, level)
        assert (1 - share) * by_line.cdf(value) + share * blind.cdf(value) == pytest.approx(level)


def test_what_is_gained_and_lost_differ_by_the_expected_difference() -> None:
    found = predict(fit_calibration(*calibrants(8, seed=1)), -0.1)
    expected = (1 - found.break_chance) * found.difference
    assert expected_regret(mirrored(found)) - expected_regret(found) == pytest.approx(expected)
    assert quantile(mirrored(found), 0.05) == pytest.approx(-quantile(found, 0.95))


def test_many_pairs_at_once_get_what_each_gets_alone() -> None:
    calibration = fit_calibration(*calibrants(6, seed=8))
    differences = np.array([-0.2, 0.0, 0.01])
    alone = [chance_better(predict(calibration, float(value))) for value in differences]
    assert chances_better(calibration, differences).tolist() == pytest.approx(alone)
    assert alone[1] == 0.5


@pytest.mark.parametrize("unit", [1e-90, 1e90])
def test_the_size_of_the_units_does_not_matter(unit: float) -> None:
    proxy, goodness = calibrants(8, seed=3)
    plain = predict(fit_calibration(proxy, goodness), -0.1)
    scaled = predict(fit_calibration(proxy * unit, goodness * unit), -0.1 * unit)
    assert chance_better(scaled) == pytest.approx(chance_better(plain))
    assert expected_regret(scaled) / unit == pytest.approx(expected_regret(plain))
    assert quantile(scaled, 0.05) / unit == pytest.approx(quantile(plain, 0.05))


@pytest.mark.parametrize(
    ("proxy", "goodness", "told"),
    [
        ([], [], "No recipe has both"),
        ([1.0], [1.0], "Only 1 recipe has both"),
        ([1.0, 2.0, 3.0, 4.0], [1.0, 3.0, 2.0, 4.0], "Only 4 recipes have both"),
        ([2.1] * 6, [1.0, 2.0, 3.0, 4.0, 5.0, 7.0], "All 6 calibrants have equal proxy scores"),
        ([2.1] * 5 + [2.0], [1.0, 2.0, 3.0, 4.0, 5.0, 7.0], "All but one of the 6"),
        ([2.1] * 5 + [2.3], [1.0, 2.0, 3.0, 4.0, 5.0, 7.0], "All but one of the 6"),
        ([1.0, 2.0, 3.0, 4.0, 5.0], [0.7] * 5, "All 5 calibrants have equal references"),
        ([1.1, 1.2, 1.3, 1.5, 1.9], [2.2, 2.4, 2.6, 3.0, 3.8], "exactly on a line"),
    ],
)
def test_what_cannot_calibrate_is_told(proxy: list[float], goodness: list[float], told: str) -> None:
    reason = why_not_calibrated(np.array(proxy), np.array(goodness))
    assert reason is not None
    assert told in reason


def test_five_calibrants_off_a_line_are_enough() -> None:
    assert why_not_calibrated(*calibrants(5)) is None
    assert why_not_calibrated(np.array([1.0, 1.0, 1.0, 2.0, 2.0]), np.array([1.0, 2.0, 3.0, 4.0, 6.0])) is None
