import numpy as np
import pytest

from proxy.ranking.agreement import measure_agreement
from proxy.ranking.breakdown import ComparedRecipe, break_down


def recipes(n: int, error: float | None = 0.1, seed: int = 0) -> list[ComparedRecipe]:
    rng = np.random.default_rng(seed)
    truth = rng.standard_normal(n)
    proxy, reference = truth + 0.1 * rng.standard_normal(n), truth + 0.1 * rng.standard_normal(n)
    return [
        ComparedRecipe(
            proxy=float(proxy[i]),
            reference=float(reference[i]),
            proxy_error=error,
            reference_error=error,
            axis=["mixture", "filter", None][i % 3],
        )
        for i in range(n)
    ]


def test_axes_are_measured_apart() -> None:
    found = break_down(recipes(18), "lower", np.random.default_rng(0))
    assert {axis: part.n for axis, part in found.by_axis.items()} == {"mixture": 6, "filter": 6}
    own = [recipe for recipe in recipes(18) if recipe.axis == "filter"]
    alone = measure_agreement(
        [one.proxy for one in own], [one.reference for one in own], "lower", np.random.default_rng(9)
    )
    assert found.by_axis["filter"].spearman == alone.spearman
    assert found.by_axis["filter"].spearman_low is not None


def test_an_axis_of_one_recipe_is_left_out_and_one_of_three_is_no_evidence() -> None:
    found = break_down(recipes(7), "lower", np.random.default_rng(0))
    assert {axis: part.n for axis, part in found.by_axis.items()} == {"mixture": 3, "filter": 2}
    assert all(part.spearman_low is None and not part.is_evidence for part in found.by_axis.values())


def test_easy_recipes_flatter_and_are_taken_out() -> None:
    hard = recipes(12, seed=1)
    easy = [ComparedRecipe(proxy=10.0 + i, reference=10.0 + i, kind="easy") for i in range(3)]
    found = break_down([*hard, *easy], "lower", np.random.default_rng(0))
    assert found.without_easy is not None
    assert found.without_easy.n == 12
    everybody = measure_agreement(
        [one.proxy for one in [*hard, *easy]],
        [one.reference for one in [*hard, *easy]],
        "lower",
        np.random.default_rng(0),
    )
    assert found.without_easy.spearman is not None
    assert everybody.spearman is not None
    assert found.without_easy.spearman < everybody.spearman
    assert break_down(hard, "lower", np.random.default_rng(0)).without_easy is None


def test_noise_limits_what_can_be_reached() -> None:
    quiet = break_down(recipes(15, error=0.01), "lower", np.random.default_rng(0))
    noisy = break_down(recipes(15, error=0.5), "lower", np.random.default_rng(0))
    assert quiet.ceiling == pytest.approx(1, abs=1e-3)
    assert noisy.ceiling is not None
    assert noisy.ceiling < 0.9
    assert noisy.noise_only_low is not None
    assert quiet.noise_only_low is not None
    assert noisy.noise_only_low < quiet.noise_only_low


@pytest.mark.parametrize("n", [0, 1, 2, 8])
def test_unknown_seed_noise_has_no_ceiling(n: int) -> None:
    found = break_down(recipes(n, error=None), "higher", np.random.default_rng(0))
    assert (found.ceiling, found.noise_only_low) == (None, None)
    assert "seed noise" in found.ceiling_note


def test_references_of_one_seed_are_exact_and_it_says_so() -> None:
    some = [ComparedRecipe(proxy=float(i), reference=float(i), proxy_error=0.5) for i in range(6)]
    found = break_down(some, "lower", np.random.default_rng(0))
    assert found.ceiling is not None
    assert found.ceiling < 1
    assert found.ceiling_note == "6 of 6 references have one seed and are taken as exact"


def test_equal_scores_are_no_crash() -> None:
    some = [ComparedRecipe(proxy=1.0, reference=1.0, proxy_error=0.1) for _ in range(6)]
    found = break_down(some, "lower", np.random.default_rng(0))
    assert found.ceiling is None
