"""Reading a ladder of the theory benchmark, on ladders whose answers are known."""

import numpy as np
import pytest

from tests.benchmarks.theory.claims import interval, own_optima_octaves, relative_to_optimum, spearman_at
from tests.benchmarks.theory.ladders import RATES_E, RECIPES, STEPS_T, WIDTHS_W, Ladder
from tests.benchmarks.theory.recipes import KINDS, draw_recipes

SETS = 3


def ladder(common: int) -> Ladder:
    """Its Spearman counts W, E, T as the digits of a number."""
    shape = (SETS, len(WIDTHS_W), len(RATES_E), len(STEPS_T))
    digits = 1e4 * np.arange(shape[1])[:, None, None] + 100 * np.arange(shape[2])[:, None] + np.arange(shape[3])
    own_KWTR = np.full((SETS, len(WIDTHS_W), len(STEPS_T), RECIPES), common)
    own_KWTR[1, ..., 0] = common - 2
    return Ladder(
        spearman_KWET=np.broadcast_to(digits, shape),
        accuracy_KWET=np.zeros(shape),
        progress_KWET=np.zeros(shape),
        common_KWT=np.full((SETS, len(WIDTHS_W), len(STEPS_T)), common),
        own_KWTR=own_KWTR,
        inside_K=np.ones(SETS),
        limit_K=np.ones(SETS),
    )


def test_a_cell_is_found_by_its_width_rate_and_steps() -> None:
    assert spearman_at(ladder(5), 64, 1 / 256, 1024).tolist() == [30202] * SETS


def test_a_multiple_of_the_common_optimum_is_read_at_that_rate() -> None:
    assert relative_to_optimum(ladder(5), 8, 64, 1 / 4).tolist() == [300] * SETS
    assert relative_to_optimum(ladder(5), 8, 64, 2).tolist() == [600] * SETS


def test_a_multiple_beyond_the_ladder_is_no_number() -> None:
    assert np.isnan(relative_to_optimum(ladder(5), 8, 64, 1 / 64)).all()


def test_own_optima_are_told_in_octaves_of_the_rate() -> None:
    assert own_optima_octaves(ladder(5), 16, 256).tolist() == [0, 2, 0]


def test_the_interval_is_students() -> None:
    mean, low, high = interval(np.array([1.0, 2.0, 3.0]))
    assert (mean, high - mean, mean - low) == pytest.approx((2, 4.302653 / 3**0.5, 4.302653 / 3**0.5))


def test_a_kind_differs_in_what_it_names_alone() -> None:
    for name, kind in KINDS.items():
        _, recipes = draw_recipes(kind, 4, np.random.default_rng(0))
        shares = {tuple(np.round(recipe.variance_D / recipe.variance_D.sum(), 12)) for recipe in recipes}
        assert len({recipe.noise for recipe in recipes}) == (4 if "noise" in name else 1)
        assert len(shares) == (4 if "coverage" in name else 1)
        assert len({round(recipe.variance_D.sum(), 9) for recipe in recipes}) == (4 if "scale" in name else 1)


def test_a_foreign_share_moves_the_target_away_from_validations() -> None:
    validation, recipes = draw_recipes(KINDS["targets only"], 200, np.random.default_rng(1))
    distances = [validation.variance_D @ (one.target_D - validation.target_D) ** 2 for one in recipes]
    assert np.mean(distances) == pytest.approx(1 / 6, rel=0.2)  # E w² · 2 for w uniform up to 1/2
