import numpy as np
import pytest

from proxy.ranking.best import chances_of_being_best


def test_one_recipe_is_the_best() -> None:
    chances = chances_of_being_best(np.array([1.0]), np.array([[1e-4]]), 5, np.random.default_rng(0))
    assert chances.p_best_R.tolist() == [1.0]
    assert chances.expected_regret_R.tolist() == [0.0]


def test_equal_scores_have_equal_chances() -> None:
    chances = chances_of_being_best(np.full(4, 1.5), 1e-4 * np.eye(4), 9, np.random.default_rng(0))
    np.testing.assert_allclose(chances.p_best_R, 0.25, atol=0.03)


def test_recipes_far_apart_are_certain_and_cost_their_distance() -> None:
    chances = chances_of_being_best(np.array([1.0, 2.0, 4.0]), 1e-8 * np.eye(3), 50, np.random.default_rng(0))
    assert chances.p_best_R.tolist() == [1.0, 0.0, 0.0]
    np.testing.assert_allclose(chances.expected_regret_R, [0, 1, 3], atol=1e-3)


def test_draws_are_shrunk_so_the_leader_is_less_sure_than_flat_draws_say() -> None:
    rng = np.random.default_rng(1)
    mean_R = rng.standard_normal(20)
    flat = (mean_R + rng.standard_normal((4000, 20))).argmin(axis=1)
    shrunk = chances_of_being_best(mean_R, np.eye(20), 1e6, rng).p_best_R
    leader = int(mean_R.argmin())
    assert shrunk[leader] < 0.8 * (flat == leader).mean()
    assert shrunk.argmax() == leader


def test_noise_that_all_recipes_share_changes_nothing() -> None:
    mean_R = np.array([1.0, 1.01, 1.02])
    own, shared = 1e-4 * np.eye(3), 1e-4 * np.eye(3) + 1.0
    first = chances_of_being_best(mean_R, own, 10, np.random.default_rng(3))
    second = chances_of_being_best(mean_R, shared, 10, np.random.default_rng(3))
    np.testing.assert_allclose(first.p_best_R, second.p_best_R, atol=0.04)


def test_many_recipes_are_drawn_well_within_a_second() -> None:
    rng = np.random.default_rng(4)
    chances = chances_of_being_best(rng.standard_normal(200), 0.1 * np.eye(200), 199, rng)
    assert chances.p_best_R.sum() == pytest.approx(1)
    assert chances.p_best_R.argmax() == chances.expected_regret_R.argmin()


def test_independent_noise_gives_the_chances_that_its_eigenvectors_give() -> None:
    """Both ways draw from the same posterior; a trace of covariance between two recipes forces the general one."""
    rng = np.random.default_rng(5)
    mean_R = 0.01 * rng.standard_normal(12)
    covariance_RR = np.diag(1e-4 * rng.uniform(0.5, 4, 12)) + 3e-4
    nearly_RR = covariance_RR.copy()
    nearly_RR[0, 1] = nearly_RR[1, 0] = 3e-4 * (1 + 1e-6)
    quick = chances_of_being_best(mean_R, covariance_RR, 8, rng)
    general = chances_of_being_best(mean_R, nearly_RR, 8, rng)
    np.testing.assert_allclose(quick.p_best_R, general.p_best_R, atol=0.04)
    np.testing.assert_allclose(quick.expected_regret_R, general.expected_regret_R, rtol=0.06, atol=2e-4)
