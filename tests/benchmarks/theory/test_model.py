"""The random-feature model of the theory benchmark against its definition."""

import numpy as np
import pytest

from tests.benchmarks.theory.ladders import rank_agreement
from tests.benchmarks.theory.model import DIVERGED, Array, Recipe, draw_features, expected_losses, see_through
from tests.benchmarks.theory.oracles import stepped_loss, trained_losses

FUNCTIONS, WIDTH, BATCH = 24, 6, 3


def draw(rng: np.random.Generator, noise: float) -> Recipe:
    variance_D = np.arange(1, FUNCTIONS + 1.0) ** -rng.uniform(0.8, 1.5)
    return Recipe(variance_D=variance_D, target_D=rng.standard_normal(FUNCTIONS), noise=noise)


def losses(features_MD: Array, recipe: Recipe, validation: Recipe, rate: float, steps: list[float]) -> Array:
    seen = see_through(features_MD, recipe, validation)
    found: Array = expected_losses(seen, np.array([rate]), np.array(steps), BATCH)[0]
    return found


@pytest.mark.parametrize("rate", [1e-6, 1e-3, 0.05, 0.3])
@pytest.mark.parametrize("steps", [1, 2, 200])
def test_closed_form_is_the_stepped_recursion(rate: float, steps: int) -> None:
    rng = np.random.default_rng(steps)
    recipe, validation, features_MD = draw(rng, 0.7), draw(rng, 0.0), draw_features(WIDTH, FUNCTIONS, rng)
    expected = stepped_loss(features_MD, recipe, validation, rate, steps, BATCH)
    assert losses(features_MD, recipe, validation, rate, [steps])[0] == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("rate", [0.01, 0.15])
def test_closed_form_is_the_mean_of_trainings(rate: float) -> None:
    rng = np.random.default_rng(5)
    recipe, validation, features_MD = draw(rng, 1.0), draw(rng, 0.0), draw_features(WIDTH, FUNCTIONS, rng)
    trained_N = trained_losses(features_MD, recipe, validation, rate, 50, BATCH, 3000, rng)
    expected = losses(features_MD, recipe, validation, rate, [50])[0]
    assert abs(trained_N.mean() - expected) < 4 * trained_N.std() / np.sqrt(len(trained_N))
    assert trained_N.std() / np.sqrt(len(trained_N)) < 0.03 * expected  # else the line above proves little


def test_an_untrained_model_loses_everything_it_could_explain() -> None:
    rng = np.random.default_rng(1)
    recipe, validation, features_MD = draw(rng, 1.0), draw(rng, 0.0), draw_features(WIDTH, FUNCTIONS, rng)
    assert losses(features_MD, recipe, validation, 0.1, [0])[0] == pytest.approx(1)


def test_a_rate_towards_zero_with_as_much_travel_reaches_least_squares() -> None:
    rng = np.random.default_rng(2)
    recipe, validation, features_MD = draw(rng, 1.0), draw(rng, 0.0), draw_features(WIDTH, FUNCTIONS, rng)
    base_ND = rng.standard_normal((200_000, FUNCTIONS)) * np.sqrt(recipe.variance_D)
    fitted_M = np.linalg.lstsq(base_ND @ features_MD.T, base_ND @ recipe.target_D, rcond=None)[0]
    gap_D = features_MD.T @ fitted_M - validation.target_D
    reached = validation.variance_D @ gap_D**2 / (validation.variance_D @ validation.target_D**2)
    assert losses(features_MD, recipe, validation, 1e-7, [1e11])[0] == pytest.approx(reached, rel=0.02)
    assert see_through(features_MD, recipe, validation).floor == pytest.approx(reached, rel=0.02)


def test_as_wide_as_the_functions_the_right_target_is_reached_exactly_whatever_the_noise() -> None:
    rng = np.random.default_rng(3)
    recipe, features_MD = draw(rng, 9.0), draw_features(FUNCTIONS, FUNCTIONS, rng)
    assert see_through(features_MD, recipe, recipe).floor == pytest.approx(0, abs=1e-8)


def test_noise_raises_the_loss_in_proportion_and_less_at_a_lower_rate() -> None:
    rng = np.random.default_rng(4)
    clean, validation, features_MD = draw(rng, 0.0), draw(rng, 0.0), draw_features(WIDTH, FUNCTIONS, rng)

    def cost(noise: float, rate: float) -> float:
        noisy = Recipe(variance_D=clean.variance_D, target_D=clean.target_D, noise=noise)
        at_steps = [20 / rate]
        found = losses(features_MD, noisy, validation, rate, at_steps) - losses(
            features_MD, clean, validation, rate, at_steps
        )
        return float(found[0])

    assert cost(2.0, 0.1) == pytest.approx(2 * cost(1.0, 0.1))
    assert 0 < cost(1.0, 0.001) < 0.02 * cost(1.0, 0.1)


def test_a_rate_beyond_stability_is_a_tie_of_broken_runs() -> None:
    rng = np.random.default_rng(6)
    recipe, validation, features_MD = draw(rng, 1.0), draw(rng, 0.0), draw_features(WIDTH, FUNCTIONS, rng)
    assert losses(features_MD, recipe, validation, 50.0, [10.0, 1e6]).tolist() == [DIVERGED, DIVERGED]


def test_agreement_is_of_losses_and_nothing_where_all_runs_broke() -> None:
    assert rank_agreement(np.array([1.0, 2.0, 3.0]), np.array([0.1, 0.2, 0.9])) == (1, 1)
    assert rank_agreement(np.array([3.0, 2.0, 1.0]), np.array([0.1, 0.2, 0.9])) == (-1, 0)
    assert rank_agreement(np.full(3, DIVERGED), np.array([0.1, 0.2, 0.9])) == (0, 0)
