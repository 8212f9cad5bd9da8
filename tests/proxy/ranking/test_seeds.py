import math

import numpy as np
import pytest

from proxy.ranking.evidence import AnchorNoise, Float64Array
from proxy.ranking.seeds import SeedNoise, estimate_seed_noise, fit_seeds, noise_differs


def seed_noise(scores_RT: Float64Array, anchors: AnchorNoise | None = None) -> SeedNoise:
    noise = estimate_seed_noise(scores_RT, fit_seeds(scores_RT), anchors)
    assert noise is not None
    return noise


def draw(recipes: int, seeds: int, *, common: float = 0.05, seed: int = 0) -> Float64Array:
    rng = np.random.default_rng(seed)
    own = 0.01 * rng.standard_normal((recipes, seeds))
    table: Float64Array = 1.5 + common * rng.standard_normal(seeds) + own
    return table


def test_pooled_variance_is_the_mean_of_the_textbook_two_way_residuals() -> None:
    table = draw(6, 3)
    residual = table - table.mean(axis=1, keepdims=True) - table.mean(axis=0) + table.mean()
    own_R = (residual**2).sum(axis=1) / (3 - 1) * 6 / (6 - 1)
    noise = seed_noise(table)
    assert noise.pooled == pytest.approx(own_R.mean())
    assert noise.pooled_degrees == (6 - 1) * (3 - 1)
    assert noise.is_paired


def test_residuals_of_an_unbalanced_table_are_those_of_least_squares() -> None:
    table = draw(5, 4)
    table[0, 2:] = math.nan
    table[3, 0] = math.nan
    recipe_N, seed_N = np.nonzero(~np.isnan(table))
    design = np.hstack([np.eye(5)[recipe_N], np.eye(4)[seed_N]])
    observed = table[recipe_N, seed_N]
    expected = observed - design @ np.linalg.lstsq(design, observed, rcond=None)[0]
    fit = fit_seeds(table)
    np.testing.assert_allclose(fit.residual_N, expected, atol=1e-12)
    assert fit.degrees == len(observed) - np.linalg.matrix_rank(design)
    assert (1 - fit.leverage_N).sum() == pytest.approx(fit.degrees)


def test_what_a_seed_does_to_all_recipes_is_measured_and_kept_out_of_their_own_noise() -> None:
    tables = [draw(8, 4, common=0.05, seed=seed) for seed in range(300)]
    noises = [seed_noise(table) for table in tables]
    assert np.mean([noise.pooled for noise in noises]) == pytest.approx(0.01**2, rel=0.05)
    unbiased = [noise.common_square - noise.common_bias * noise.pooled for noise in noises]
    assert np.mean(unbiased) == pytest.approx(0.05**2, rel=0.2)


def test_recipes_that_share_no_seed_are_measured_one_by_one() -> None:
    table = np.full((2, 4), math.nan)
    table[0, :2], table[1, 2:] = [1.0, 1.2], [2.0, 2.4]
    noise = seed_noise(table)
    assert noise.pooled == pytest.approx((0.02 + 0.08) / 2)
    assert noise.pooled_degrees == 2
    assert not noise.is_paired


def test_a_recipe_of_one_seed_takes_the_noise_of_the_others() -> None:
    table = draw(4, 3)
    table[2, 1:] = math.nan
    noise = seed_noise(table)
    assert noise.variance_R[2] == noise.pooled


def test_no_variance_is_taken_below_the_pool_and_a_noisy_recipe_above_it() -> None:
    table = draw(10, 5)
    table[4] = 1.5 + 20 * (table[4] - 1.5)
    noise = seed_noise(table)
    assert (noise.variance_R >= noise.pooled).all()
    assert noise.variance_R.argmax() == 4
    assert noise.variance_R[4] > 3 * noise.pooled
    assert 1 <= noise.degrees_R[4] < noise.pooled_degrees


def test_evenly_noisy_recipes_share_one_variance() -> None:
    tables = [draw(10, 3, seed=seed) for seed in range(50)]
    shares = [(seed_noise(table).variance_R == seed_noise(table).pooled).mean() for table in tables]
    assert np.mean(shares) > 0.85


def test_anchors_are_pooled_by_their_degrees_of_freedom() -> None:
    table = draw(3, 2)
    alone = seed_noise(table)
    pooled = seed_noise(table, AnchorNoise(variance=4e-4, degrees_of_freedom=6))
    assert pooled.pooled == pytest.approx((2 * alone.pooled + 6 * 4e-4) / 8)
    assert pooled.pooled_degrees == 8


def test_anchors_give_noise_to_recipes_of_one_seed() -> None:
    noise = seed_noise(np.array([[1.0], [1.1]]), AnchorNoise(variance=4e-4, degrees_of_freedom=6))
    np.testing.assert_allclose(noise.variance_R, 4e-4)
    np.testing.assert_allclose(noise.degrees_R, 6)


def test_anchors_do_not_compare_recipes_that_share_no_seed() -> None:
    """A seed moves all recipes by .05 here, five times what it moves one: taken from the anchors alone, two recipes of
    the same quality would lie five standard errors apart."""
    known = AnchorNoise(variance=0.01**2, degrees_of_freedom=50)
    alone = np.array([[1.0, math.nan], [math.nan, 1.0 + 0.05 * math.sqrt(2)]])
    assert estimate_seed_noise(alone, fit_seeds(alone), known) is None
    same = np.array([[1.0, math.nan], [1.02, math.nan]])  # one seed, and a column that nobody has
    assert seed_noise(same, known).pooled_degrees == 50
    twice = np.full((2, 4), math.nan)
    twice[0, :2], twice[1, 2:] = [1.0, 1.05], [1.0, 1.08]
    assert seed_noise(twice, known).pooled_degrees == 2
    told = draw(6, 4)
    told[:3, 2:] = told[3:, :2] = math.nan  # three recipes a group: what a seed does is seen within each
    noise = seed_noise(told, known)
    assert noise.pooled_degrees > 50
    assert noise.common_degrees == 2


@pytest.mark.parametrize("table", [[[1.0], [2.0]], [[1.0, 1.0], [2.0, 2.0]], [[0.3, 0.3, 0.3]], [[1.0]]])
def test_without_a_second_seed_or_without_any_effect_of_it_noise_is_unknown(table: list[list[float]]) -> None:
    scores = np.array(table)
    assert estimate_seed_noise(scores, fit_seeds(scores), None) is None


def test_unequal_noise_is_found_and_equal_noise_left_alone() -> None:
    rng = np.random.default_rng(4)
    loud = np.where(np.arange(12) < 3, 8.0, 1.0)[:, None]
    equal = [noise_differs(fit_seeds(draw(12, 3, seed=seed)), 12, rng) for seed in range(40)]
    unequal = [noise_differs(fit_seeds(draw(12, 3, common=0, seed=seed) * loud), 12, rng) for seed in range(40)]
    assert np.mean(equal) < 0.2
    assert np.mean(unequal) > 0.9


def test_three_recipes_of_two_seeds_cannot_show_unequal_noise() -> None:
    rng = np.random.default_rng(5)
    assert not any(noise_differs(fit_seeds(draw(3, 2, seed=seed)), 3, rng) for seed in range(20))


def test_two_recipes_cannot_show_unequal_noise() -> None:
    assert not noise_differs(fit_seeds(draw(2, 5)), 2, np.random.default_rng(0))


def test_groups_of_seeds_leave_out_what_cannot_be_told_apart() -> None:
    """Recipes 0–2 have the seeds 0–2, recipes 3–5 the seeds 3–5: two groups cost one degree of freedom less each."""
    table = np.full((6, 6), math.nan)
    table[:3, :3], table[3:, 3:] = draw(3, 3), draw(3, 3, seed=1)
    fit = fit_seeds(table)
    assert fit.degrees == 2 * (3 - 1) * (3 - 1)
    assert fit.basis_NQ.shape == (18, 4)


def test_thousands_of_seeds_that_no_two_recipes_share_are_fitted_at_once() -> None:
    table = np.full((1500, 3000), math.nan)
    for index in range(1500):
        table[index, 2 * index : 2 * index + 2] = [1.0, 1.0 + 1e-3 * (index + 1)]
    fit = fit_seeds(table)
    assert fit.degrees == 1500
    assert fit.basis_NQ.shape == (3000, 0)


def test_a_bounded_prior_leaves_the_variance_of_like_recipes_and_lowers_its_degrees() -> None:
    table = draw(12, 4)
    plain = seed_noise(table)
    bounded = estimate_seed_noise(table, fit_seeds(table), None, most_prior=8)
    assert bounded is not None
    assert bounded.pooled == plain.pooled
    assert (bounded.variance_R >= plain.pooled).all()
    np.testing.assert_allclose(bounded.degrees_R, 8 + (4 - 1) * (12 - 1) / 12)
    few = draw(3, 2)
    still = estimate_seed_noise(few, fit_seeds(few), None, most_prior=8)
    assert still is not None
    assert still.degrees_R.max() <= still.pooled_degrees == 2
