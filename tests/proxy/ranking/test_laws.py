import json
import math
from dataclasses import asdict, replace

import numpy as np
import pytest
from scipy.optimize import nnls

from proxy.errors import InvalidInputError
from proxy.ranking.law_points import LawPoint, Scale
from proxy.ranking.laws import LawPrediction, LossLaw, fit_law, fit_shared_law
from proxy.ranking.projection import RecipePoints, project
from tests.proxy.ranking.law_builders import (
    BUDGETS,
    CHINCHILLA,
    SIZES,
    TARGET,
    grid,
    least_squares_by_brute_force,
    recipe_laws,
)

TRUTH = CHINCHILLA.loss_at(TARGET)


def fitted(points: list[LawPoint], target: Scale = TARGET, seed: int = 0, resamples: int = 200) -> LawPrediction:
    return fit_law(points, target, np.random.default_rng(seed), resamples)


def shared(points: dict[str, list[LawPoint]], seed: int = 0, resamples: int = 200) -> dict[str, LawPrediction]:
    return fit_shared_law(points, TARGET, np.random.default_rng(seed), resamples)


def law_of(prediction: LawPrediction) -> LossLaw:
    assert prediction.law is not None
    return prediction.law


def interval(prediction: LawPrediction) -> tuple[float, float]:
    assert prediction.low is not None
    assert prediction.high is not None
    return prediction.low, prediction.high


def covers(prediction: LawPrediction, truth: float) -> bool:
    low, high = interval(prediction)
    return low <= truth <= high


def test_the_published_law_is_found_again_from_losses_that_follow_it() -> None:
    found = fitted(grid(sizes=np.geomspace(7e7, 1.6e10, 6).tolist(), budgets=np.geomspace(5e9, 5e11, 6).tolist()))
    for name, published in asdict(CHINCHILLA).items():
        assert getattr(found.law, name) == pytest.approx(published, rel=1e-5)


def test_three_sizes_and_three_budgets_are_enough_without_noise() -> None:
    found = fitted(grid())
    assert asdict(law_of(found)) == pytest.approx(asdict(CHINCHILLA), rel=1e-4)
    assert found.loss == pytest.approx(TRUTH, abs=1e-8)
    assert found.degrees == 4
    assert found.refusal is None
    assert not found.note


@pytest.mark.parametrize("law", [LossLaw(E=0.3, A=5.0, B=9000.0, alpha=0.1, beta=0.6), replace(CHINCHILLA, E=0.0)])
def test_other_laws_are_found_too(law: LossLaw) -> None:
    found = fitted(grid(law))
    assert found.loss == pytest.approx(law.loss_at(TARGET), abs=1e-6)
    assert law_of(found).alpha == pytest.approx(law.alpha, rel=1e-3)


def test_noisy_fits_are_at_least_as_low_as_brute_force_in_all_five_parameters() -> None:
    rng = np.random.default_rng(1)
    for noise in (0.003, 0.02, 0.1):
        points = grid(noise=noise, rng=rng)
        squares = fitted(points, resamples=1).squares
        assert squares is not None
        assert squares <= least_squares_by_brute_force(points, 12, rng) * (1 + 1e-6)
        law = law_of(fitted(points, resamples=1))
        assert squares == pytest.approx(sum((point.loss - law.loss_at(point.scale)) ** 2 for point in points))


def test_the_linear_part_is_non_negative_least_squares() -> None:
    rng = np.random.default_rng(2)
    points = RecipePoints(log_scale_2P=rng.standard_normal((2, 7)), weight_P=rng.uniform(0.5, 2, 7))
    exponents_B2 = rng.uniform(0.05, 1.5, (200, 2))
    loss_BP = rng.uniform(0.5, 3, (200, 7))
    found_B3 = project(points, loss_BP, exponents_B2)
    for loss_P, exponents_2, found_3 in zip(loss_BP, exponents_B2, found_B3, strict=True):
        design_P3 = np.column_stack([np.ones(7), np.exp(-exponents_2 * points.log_scale_2P.T)])
        expected_3, _ = nnls(design_P3 * points.weight_P[:, None], loss_P * points.weight_P)
        np.testing.assert_allclose(found_3, expected_3, atol=1e-8)
    assert (found_B3 == 0).any()


def test_points_of_small_standard_error_weigh_more() -> None:
    points = grid(noise=0.01, rng=np.random.default_rng(3), has_errors=True)
    off = replace(points[0], loss=points[0].loss + 0.3)
    trusted = fitted([replace(off, standard_error=0.001), *points[1:]])
    doubted = fitted([replace(off, standard_error=1.0), *points[1:]])
    assert law_of(trusted).loss_at(off.scale) == pytest.approx(off.loss, abs=0.01)
    assert law_of(doubted).loss_at(off.scale) == pytest.approx(points[0].loss, abs=0.05)


@pytest.mark.parametrize("has_errors", [True, False])
@pytest.mark.parametrize("sizes", [(1e7, 3e7, 1e8), (1e7, 2e7, 5e7, 1e8)])
def test_intervals_cover_the_loss_at_the_target(sizes: tuple[float, ...], has_errors: bool) -> None:
    rng = np.random.default_rng(4)
    fits = [fit_law(grid(sizes=sizes, noise=0.01, rng=rng, has_errors=has_errors), TARGET, rng, 120) for _ in range(60)]
    assert np.mean([covers(fit, TRUTH) for fit in fits]) > 0.87


def test_one_degree_of_freedom_gives_wide_intervals_that_cover() -> None:
    """Six points, five parameters: a bootstrap of points or of six residuals would be nearly certain."""
    rng = np.random.default_rng(5)
    places = [0, 1, 2, 3, 6, 8]
    fits = [
        fit_law([points[place] for place in places], TARGET, rng, 120)
        for points in (grid(noise=0.01, rng=rng) for _ in range(50))
    ]
    assert {fit.degrees for fit in fits} == {1}
    assert np.mean([covers(fit, TRUTH) for fit in fits]) > 0.87
    assert np.median([high - low for low, high in map(interval, fits)]) > 0.2


def test_intervals_widen_with_the_distance_of_the_target() -> None:
    points = grid(noise=0.01, rng=np.random.default_rng(6))
    near, far = (fitted(points, Scale(parameters=size, tokens=4e9)) for size in (2e8, 1e11))
    assert interval(far)[1] - interval(far)[0] > 3 * (interval(near)[1] - interval(near)[0])
    assert near.parameters_factor == pytest.approx(2)
    assert far.parameters_factor == pytest.approx(1000)
    assert near.tokens_factor == pytest.approx(1)


def test_standard_errors_that_are_too_small_for_the_residuals_are_widened() -> None:
    points = grid(noise=0.02, rng=np.random.default_rng(7), has_errors=True)
    honest = interval(fitted(points))
    boasting = interval(fitted([replace(point, standard_error=0.0002) for point in points]))
    assert boasting[1] - boasting[0] > 0.3 * (honest[1] - honest[0])


def test_shared_exponents_are_found_with_each_recipes_own_law() -> None:
    laws = recipe_laws(4, np.random.default_rng(8))
    found = shared({str(index): grid(law) for index, law in enumerate(laws)})
    for index, law in enumerate(laws):
        assert asdict(law_of(found[str(index)])) == pytest.approx(asdict(law), rel=1e-3)
        assert found[str(index)].assumed == ()


def test_shared_exponents_give_narrower_intervals_that_cover() -> None:
    rng = np.random.default_rng(9)
    inside, widths, alone = [], [], []
    for _ in range(15):
        laws = recipe_laws(6, rng)
        points = {str(index): grid(law, noise=0.01, rng=rng) for index, law in enumerate(laws)}
        for found, law in zip(fit_shared_law(points, TARGET, rng, 120).values(), laws, strict=True):
            inside.append(covers(found, law.loss_at(TARGET)))
            widths.append(interval(found)[1] - interval(found)[0])
        alone.append(interval(fit_law(points["0"], TARGET, rng, 200)))
    assert np.mean(inside) > 0.87
    assert np.median(widths) < 0.6 * np.median([high - low for low, high in alone])


def test_two_sizes_cannot_measure_the_exponent_of_size_so_it_is_assumed_and_said() -> None:
    laws = [replace(law, alpha=0.5, A=400 * law.A / 20) for law in recipe_laws(3, np.random.default_rng(10))]
    found = shared({str(index): grid(law, sizes=SIZES[:2]) for index, law in enumerate(laws)})
    for law, prediction in zip(laws, found.values(), strict=True):
        assert prediction.assumed == ("alpha",)
        assert law_of(prediction).alpha == pytest.approx(0.34)
        assert law_of(prediction).beta == pytest.approx(0.28, rel=1e-3)
        assert prediction.squares == pytest.approx(0, abs=1e-12)  # any α would fit
        assert "third size" in prediction.note
        assert covers(prediction, law.loss_at(TARGET))


def test_two_sizes_and_two_budgets_leave_both_exponents_assumed() -> None:
    found = shared({"a": grid(sizes=SIZES[:2], budgets=BUDGETS[:2])})["a"]
    assert found.assumed == ("alpha", "beta")
    assert found.degrees == 1
    assert found.loss is not None


def test_a_law_through_every_point_has_no_interval_unless_standard_errors_are_known() -> None:
    points = grid(sizes=SIZES[:2], budgets=BUDGETS[:2])[:3]
    bare = shared({"a": points})["a"]
    assert bare.degrees == 0
    assert bare.loss is not None
    assert bare.low is bare.high is None
    assert "no interval" in bare.note
    assert interval(shared({"a": [replace(point, standard_error=0.01) for point in points]})["a"])


def test_a_flat_budget_axis_drives_its_exponent_nowhere_and_the_prediction_stays() -> None:
    found = fitted(grid(replace(CHINCHILLA, B=0.0)))
    assert found.loss == pytest.approx(CHINCHILLA.E + CHINCHILLA.A * 1e9**-0.34, abs=1e-6)
    assert abs(law_of(found).B) < 1e-6


def test_equal_losses_are_a_law_without_slopes() -> None:
    found = fitted([replace(point, loss=2.5) for point in grid()])
    assert found.loss == pytest.approx(2.5)
    assert found.loss is not None
    assert all(math.isfinite(value) for value in asdict(law_of(found)).values())


def test_a_loss_that_rises_with_size_is_not_extrapolated_upwards() -> None:
    """No term may be negative: the best is then a law without that term."""
    points = [replace(point, loss=2 + 0.1 * math.log10(point.parameters)) for point in grid()]
    found = fitted(points)
    assert abs(law_of(found).A) < 1e-6
    assert found.loss == pytest.approx(np.mean([point.loss for point in points]), abs=1e-6)


def test_an_exponent_at_its_limit_is_said_to_be_unidentified() -> None:
    points = [replace(point, loss=4 - 0.05 * math.log(point.parameters)) for point in grid()]
    assert "limit" in fitted(points).note


@pytest.mark.parametrize(
    ("sizes", "budgets", "missing"),
    [
        (SIZES[:1], BUDGETS, "2 sizes, 2 different scales, 3 points"),
        (SIZES[:2], BUDGETS, "1 size."),
        (SIZES, BUDGETS[:2], "1 budget."),
        ((), (), "3 sizes, 3 budgets"),
    ],
)
def test_too_few_sizes_or_budgets_are_refused_with_what_is_missing(
    sizes: tuple[float, ...], budgets: tuple[float, ...], missing: str
) -> None:
    found = fitted(grid(sizes=sizes, budgets=budgets))
    assert [found.law, found.loss, found.low, found.high] == [None] * 4
    assert found.refusal is not None
    assert f"Missing: {missing}" in found.refusal


def test_repeated_points_are_no_new_scales() -> None:
    points = grid(sizes=SIZES[:2], budgets=BUDGETS[:2])
    assert fitted(points * 3).refusal is not None


def test_one_size_is_refused_for_shared_exponents_and_the_others_go_on() -> None:
    found = shared({"one size": grid(sizes=SIZES[:1]), "good": grid(), "none": []})
    assert list(found) == ["one size", "good", "none"]
    assert "1 size" in (found["one size"].refusal or "")
    assert found["good"].loss == pytest.approx(TRUTH, abs=1e-8)
    assert found["none"].refusal is not None
    assert found["none"].parameters_factor is None
    assert found["one size"].parameters_factor == pytest.approx(100)
    assert shared({}) == {}


def test_sizes_and_budgets_that_grow_together_cannot_be_told_apart() -> None:
    points = [point for size in np.geomspace(1e7, 1e9, 7) for point in grid(sizes=[size], budgets=[20 * size])]
    assert "move together" in (fitted(points).refusal or "")
    assert "move together" in (shared({"a": points})["a"].refusal or "")


def test_identical_recipes_have_identical_predictions() -> None:
    points = grid(noise=0.01, rng=np.random.default_rng(11))
    found = shared({"a": points, "b": list(points)})
    assert found["a"].loss == found["b"].loss
    assert found["a"].law == found["b"].law


def test_the_same_generator_gives_the_same_interval() -> None:
    points = grid(noise=0.01, rng=np.random.default_rng(12))
    assert fitted(points, seed=3) == fitted(points, seed=3)


@pytest.mark.parametrize("bad", [math.nan, math.inf, 0.0, -1.0])
@pytest.mark.parametrize("field", ["parameters", "tokens", "loss", "standard_error"])
def test_a_number_that_no_law_can_use_is_named(field: str, bad: float) -> None:
    points = grid()
    points[4] = replace(points[4], **{field: bad})
    with pytest.raises(InvalidInputError, match=f"/points/4/{field}"):
        fitted(points)
    with pytest.raises(InvalidInputError, match=f"/points/a/4/{field}"):
        shared({"a": points})


def test_a_target_of_no_size_is_named() -> None:
    with pytest.raises(InvalidInputError, match="/target/tokens"):
        fitted(grid(), Scale(parameters=1e9, tokens=math.nan))


@pytest.mark.parametrize("unit", [1e-9, 1e-3, 1e6])
def test_units_of_size_and_loss_do_not_matter(unit: float) -> None:
    points = grid(noise=0.01, rng=np.random.default_rng(13))
    scaled = [replace(point, parameters=point.parameters * unit, loss=point.loss * unit) for point in points]
    found = fitted(scaled, Scale(parameters=TARGET.parameters * unit, tokens=TARGET.tokens))
    assert found.loss == pytest.approx((fitted(points).loss or 0) * unit, rel=1e-6)


def test_predictions_are_plain_values_that_json_can_write() -> None:
    for prediction in (fitted(grid(noise=0.01, rng=np.random.default_rng(14))), fitted([])):
        assert json.loads(json.dumps(asdict(prediction), allow_nan=False))["loss"] == prediction.loss


def test_four_scales_cannot_measure_two_exponents_however_they_are_spread() -> None:
    points = [grid()[place] for place in (0, 3, 7, 2)]
    assert shared({"a": points})["a"].assumed == ("alpha", "beta")
    assert shared({"a": points, "b": points})["a"].assumed == ()
