import json
import math
from collections.abc import Sequence
from dataclasses import asdict, replace

import numpy as np
import pytest

from proxy.errors import InvalidInputError
from proxy.ranking.evidence import Float64Array
from proxy.ranking.extrapolation import Exponents, Extrapolation, RecipeProxies, Trust, extrapolate
from proxy.ranking.law_points import LawPoint, Scale
from proxy.ranking.laws import LossLaw
from tests.proxy.ranking.law_builders import BUDGETS, CHINCHILLA, SIZES, TARGET, grid, recipe_laws

LARGEST = Scale(parameters=SIZES[-1], tokens=BUDGETS[-1])


def run(
    recipes: Sequence[RecipeProxies], exponents: Exponents = "shared", direction: str = "lower", seed: int = 0
) -> Extrapolation:
    rng = np.random.default_rng(seed)
    return extrapolate(recipes, TARGET, "higher" if direction == "higher" else "lower", rng, exponents)


def measured(laws: Sequence[LossLaw], *, noise: float = 0.0, seed: int = 0) -> list[RecipeProxies]:
    """References are what each law gives at the target."""
    rng = np.random.default_rng(seed)
    return [
        RecipeProxies(recipe=f"recipe-{index}", points=grid(law, noise=noise, rng=rng), reference=law.loss_at(TARGET))
        for index, law in enumerate(laws)
    ]


def crossing_laws(count: int, seed: int = 1) -> list[LossLaw]:
    """What is good at small scale is bad at large: a low floor comes with a slow start."""
    floor_R: Float64Array = 0.1 * np.random.default_rng(seed).standard_normal(count)
    return [
        replace(CHINCHILLA, E=1.69 + floor, B=410.7 * math.exp(-0.8 * floor), A=406.4 * math.exp(-0.8 * floor))
        for floor in floor_R.tolist()
    ]


def test_a_law_that_sees_a_crossing_ranks_better_and_is_trusted() -> None:
    found = run(measured(crossing_laws(16)))
    assert found.law_agreement.spearman == 1.0
    assert found.single_scale_agreement.spearman is not None
    assert found.single_scale_agreement.spearman < -0.5
    assert found.trust is Trust.LAW
    assert found.rank_by == "law"
    assert found.difference.low is not None
    assert found.difference.low > 0
    assert "ranks better" in found.sentence


def test_a_law_of_too_noisy_points_ranks_worse_than_its_largest_scale() -> None:
    """Recipes differ in their floors alone, and slopes of noisy small proxies are nothing but noise."""
    laws = [replace(CHINCHILLA, E=1.6 + 0.01 * index) for index in range(20)]
    exact = measured(laws)
    rng = np.random.default_rng(2)
    loud = [replace(entry, points=[_shake(point, rng) for point in entry.points]) for entry in exact]
    found = run(loud)
    assert found.single_scale_agreement.spearman == 1.0
    assert found.trust is Trust.SINGLE_SCALE
    assert found.rank_by == "single scale"
    assert "ranks worse" in found.sentence


def _shake(point: LawPoint, rng: np.random.Generator) -> LawPoint:
    """Noise at every scale but the largest."""
    if point.scale == LARGEST:
        return point
    return replace(point, loss=point.loss + 0.3 * rng.standard_normal())


def test_where_both_rank_alike_the_single_scale_stays() -> None:
    found = run(measured([replace(CHINCHILLA, E=1.6 + 0.01 * index) for index in range(14)], noise=0.002))
    assert found.trust is Trust.NEITHER
    assert found.rank_by == "single scale"
    assert "neither is shown to be better" in found.sentence


def test_two_rankings_of_equal_worth_are_seldom_told_apart() -> None:
    claims = []
    for seed in range(12):
        laws = recipe_laws(14, np.random.default_rng(seed))
        blind = [replace(entry, reference=float(index % 7)) for index, entry in enumerate(measured(laws, seed=seed))]
        claims.append(run(blind, seed=seed).trust is not Trust.NEITHER)
    assert np.mean(claims) < 0.2


def test_figures_of_each_recipe_are_its_own() -> None:
    laws = crossing_laws(6)
    found = run(measured(laws))
    assert found.single_scale == LARGEST
    predicted = [law.loss_at(TARGET) for law in laws]
    assert [entry.prediction.loss for entry in found.recipes] == pytest.approx(predicted, abs=1e-6)
    assert [entry.law_rank for entry in found.recipes] == (np.argsort(np.argsort(predicted)) + 1).tolist()
    at_largest = [law.loss_at(LARGEST) for law in laws]
    assert [entry.single_scale_loss for entry in found.recipes] == pytest.approx(at_largest)
    assert [entry.single_scale_rank for entry in found.recipes] == (np.argsort(np.argsort(at_largest)) + 1).tolist()


def test_references_where_higher_is_better_turn_both_agreements() -> None:
    recipes = [replace(entry, reference=-(entry.reference or 0)) for entry in measured(crossing_laws(16))]
    assert run(recipes, direction="higher").law_agreement.spearman == 1.0
    assert run(recipes, direction="lower").law_agreement.spearman == -1.0


@pytest.mark.parametrize("count", [0, 1, 4, 11])
def test_few_references_show_nothing(count: int) -> None:
    recipes = measured(crossing_laws(14))
    bare = [replace(entry, reference=entry.reference if index < count else None) for index, entry in enumerate(recipes)]
    found = run(bare)
    assert found.compared == count
    assert found.trust is Trust.NEITHER
    assert found.rank_by == "single scale"
    assert "too few" in found.sentence
    assert all(entry.law_rank is not None for entry in found.recipes)


def test_the_single_scale_is_the_largest_that_all_have_and_averages_its_points() -> None:
    first, second = measured(crossing_laws(2))
    lacking = replace(first, points=[point for point in first.points if point.scale != LARGEST])
    repeated = replace(second, points=[*second.points, *(replace(point, loss=9.0) for point in second.points)])
    found = run([lacking, repeated])
    assert found.single_scale == Scale(parameters=SIZES[-2], tokens=BUDGETS[-1])
    own = next(point.loss for point in second.points if point.scale == found.single_scale)
    assert found.recipes[1].single_scale_loss == pytest.approx((own + 9) / 2)


def test_proxies_at_the_targets_scale_are_left_out_of_both_rankings() -> None:
    recipes = measured(crossing_laws(3))
    leaking = [
        replace(entry, points=[*entry.points, LawPoint(parameters=2e9, tokens=2e10, loss=2.0)]) for entry in recipes
    ]
    assert run(leaking).left_out == 3
    assert run(leaking).recipes == run(recipes).recipes


def test_a_recipe_of_one_size_keeps_its_place_in_the_single_scale_ranking() -> None:
    recipes = measured(crossing_laws(3))
    small = replace(recipes[0], points=[point for point in recipes[0].points if point.parameters == SIZES[-1]])
    found = run([small, *recipes[1:]])
    assert found.recipes[0].prediction.refusal is not None
    assert found.recipes[0].law_rank is None
    assert found.recipes[0].single_scale_rank is not None
    assert found.compared == 2


def test_one_size_everywhere_leaves_the_single_scale() -> None:
    recipes = [
        replace(entry, points=[point for point in entry.points if point.parameters == SIZES[0]])
        for entry in measured(crossing_laws(13))
    ]
    found = run(recipes)
    assert found.single_scale == Scale(parameters=SIZES[0], tokens=BUDGETS[-1])
    assert found.rank_by == "single scale"
    assert "No recipe has proxies at enough sizes" in found.sentence
    assert found.law_agreement.n == 0


def test_recipes_without_a_common_scale_have_nothing_to_compare() -> None:
    first, second = measured(crossing_laws(2))
    shifted = [replace(point, tokens=point.tokens * 1.5) for point in second.points]
    found = run([first, replace(second, points=shifted)])
    assert found.single_scale is None
    assert found.rank_by is None
    assert "share no scale" in found.sentence


def test_identical_recipes_share_their_ranks_and_show_nothing() -> None:
    law = crossing_laws(1) * 13
    found = run(measured(law))
    assert {entry.law_rank for entry in found.recipes} == {1}
    assert found.difference.estimate is None
    assert found.trust is Trust.NEITHER
    assert "no ranking" in found.sentence
    assert "equal" in found.law_agreement.note


def test_own_exponents_refuse_what_shared_ones_can_fit() -> None:
    recipes = [
        replace(entry, points=[point for point in entry.points if point.parameters != SIZES[0]])
        for entry in measured(crossing_laws(3))
    ]
    assert all(entry.prediction.refusal for entry in run(recipes, "own").recipes)
    assert all(entry.prediction.assumed == ("alpha",) for entry in run(recipes).recipes)
    assert run(measured(crossing_laws(3)), "own").recipes[0].prediction.refusal is None


def test_no_recipe_at_all_is_answered() -> None:
    found = run([])
    assert found.recipes == ()
    assert found.rank_by is None
    assert found.trust is Trust.NEITHER


def test_a_recipe_given_twice_and_values_that_are_no_numbers_are_named() -> None:
    (entry,) = measured(crossing_laws(1))
    with pytest.raises(InvalidInputError, match="appears twice"):
        run([entry, entry])
    with pytest.raises(InvalidInputError, match="/recipes/recipe-0/reference"):
        run([replace(entry, reference=math.nan)])
    with pytest.raises(InvalidInputError, match="/recipes/recipe-0/points/0/loss"):
        run([replace(entry, points=[replace(entry.points[0], loss=math.inf)])])


def test_figures_are_plain_values_that_json_can_write() -> None:
    extrapolation = run(measured(crossing_laws(13), noise=0.01))
    assert json.loads(json.dumps(asdict(extrapolation), allow_nan=False))["compared"] == extrapolation.compared
