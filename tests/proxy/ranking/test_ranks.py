import math
from dataclasses import asdict

import numpy as np
import pytest
from scipy import stats

from proxy.ranking.evidence import AnchorNoise, Evidence, RecipeEvidence
from proxy.ranking.ranks import RankedRecipe, Ranking, critical_ranges, rank_recipes
from proxy.ranking.uncertainty import measure_noise, probabilities_of_being_better, spread_of_differences
from tests.proxy.ranking.builders import from_nats, from_scores, one_set


def rank(evidence: Evidence, **options: object) -> Ranking:
    return rank_recipes(evidence, rng=np.random.default_rng(0), **options)  # type: ignore[arg-type]


def noisy(recipes: int, seeds: int, *, apart: float, seed: int = 1) -> Evidence:
    rng = np.random.default_rng(seed)
    means = 700 + apart * np.arange(recipes)[:, None, None]
    documents = 5 * rng.standard_normal(30) + 3 * rng.standard_normal((recipes, 1, 30))
    documents -= documents.mean(axis=-1, keepdims=True)
    nats = means + documents + 2 * rng.standard_normal((recipes, seeds, 30))
    return from_nats([one_set("prose", 30)], {"prose": nats})


def test_a_pair_is_resolved_exactly_at_the_studentized_range() -> None:
    """Two recipes, three shared seeds: the difference d has se² = 2v/3 and 2 degrees of freedom."""
    noise = np.array([0.01, -0.01, 0.0])
    variance = 2 * (noise**2).sum() / ((2 - 1) * (3 - 1))
    critical = stats.studentized_range.ppf(0.95, 2, 2) / math.sqrt(2) * math.sqrt(2 * variance / 3)
    for factor, is_resolved in ((0.999, False), (1.001, True)):
        entries = rank(from_scores([1 + noise, 1 + factor * critical - noise])).entries
        assert (entries[0].rank_high == 1) is is_resolved
        assert (entries[0].letters == entries[1].letters) is not is_resolved


def test_the_simultaneous_test_of_one_pair_is_students_t() -> None:
    degrees = np.array([[1.0, 4.0], [37.0, 1.0]])
    expected = stats.t.ppf(0.975, degrees) * math.sqrt(2)
    np.testing.assert_allclose(critical_ranges(0.95, 2, np.full((2, 2), 4.0)), expected[0, 1], rtol=1e-6)
    np.testing.assert_allclose(critical_ranges(0.95, 2, degrees), expected, rtol=1e-2)


@pytest.mark.parametrize("recipes", [2, 12])
def test_interpolated_critical_values_are_never_too_small_and_hardly_too_large(recipes: int) -> None:
    degrees = np.array([1.0, 1.1, 2.3, 5.7, 41.0])
    exact = np.array([stats.studentized_range.ppf(0.95, recipes, value) for value in degrees])
    ratio = critical_ranges(0.95, recipes, degrees) / exact
    assert ratio.min() > 1 - 1e-5
    assert ratio.max() < 1.01


def test_pair_probability_is_students_t_with_satterthwaite_degrees() -> None:
    """Welch's test: unshared seeds, so two independent variances from one pool and no pairing."""
    table = np.full((2, 6), math.nan)
    table[0, :3], table[1, 3:] = [1.0, 1.02, 1.01], [1.03, 1.05, 1.04]
    noise = measure_noise(from_scores(table))
    spread = spread_of_differences(noise, "fixed")
    assert spread is not None
    expected = stats.ttest_ind(table[0, :3], table[1, 3:], alternative="less").pvalue
    assert probabilities_of_being_better(noise, spread)[0, 1] == pytest.approx(1 - expected)
    assert probabilities_of_being_better(noise, spread)[0, 0] == pytest.approx(0.5)


def test_rank_intervals_count_what_is_resolved() -> None:
    ranking = rank(noisy(5, 4, apart=10))
    assert [entry.recipe for entry in ranking.entries] == [f"recipe-{index}" for index in range(5)]
    assert [(entry.rank_low, entry.rank_high) for entry in ranking.entries] == [(i, i) for i in range(1, 6)]
    assert [entry.letters for entry in ranking.entries] == list("abcde")
    assert ranking.entries[0].p_best == pytest.approx(1, abs=0.01)
    assert ranking.warnings == []


def test_recipes_that_cannot_be_told_apart_share_a_letter_and_all_ranks() -> None:
    entries = rank(noisy(5, 3, apart=0, seed=3)).entries
    assert {(entry.rank_low, entry.rank_high) for entry in entries} == {(1, 5)}
    assert {entry.letters for entry in entries} == {"a"}
    assert sorted(entry.rank for entry in entries) == [1, 2, 3, 4, 5]


def test_chances_of_being_best_sum_to_one_and_the_leader_regrets_least() -> None:
    entries = rank(noisy(6, 3, apart=0.5)).entries
    assert sum(value(entry.p_best) for entry in entries) == pytest.approx(1)
    assert value(entries[0].expected_regret) == min(value(entry.expected_regret) for entry in entries)


def value(figure: float | None) -> float:
    assert figure is not None
    return figure


def width(entry: RankedRecipe) -> float:
    return value(entry.score_high) - value(entry.score_low)


def test_new_documents_make_score_intervals_wider_than_this_suite_alone() -> None:
    evidence = noisy(4, 3, apart=1)
    here, elsewhere = rank(evidence, score_documents="fixed"), rank(evidence)
    assert all(width(a) < width(b) for a, b in zip(here.entries, elsewhere.entries, strict=True))
    for entry in here.entries:
        assert value(entry.score_low) < entry.score < value(entry.score_high)


def test_ranks_on_new_documents_resolve_no_more_than_on_this_suite() -> None:
    evidence = noisy(8, 3, apart=1.2)
    fixed, random = rank(evidence).entries, rank(evidence, documents="random").entries
    spans = [[value(e.rank_high) - value(e.rank_low) for e in entries] for entries in (fixed, random)]
    assert sum(spans[0]) < sum(spans[1])


def test_a_higher_level_widens_every_interval() -> None:
    evidence = noisy(4, 3, apart=1)
    pairs = zip(rank(evidence, level=0.8).entries, rank(evidence, level=0.99).entries, strict=True)
    assert all(width(a) < width(b) for a, b in pairs)


def test_unequal_seeds_are_ranked_with_the_intervals_they_earn() -> None:
    evidence = noisy(5, 4, apart=1)
    last = evidence.recipes[4]
    short = RecipeEvidence(recipe="short", seeds=(2,), nats={"prose": last.nats["prose"][2:3]})
    ranking = rank(Evidence(sets=evidence.sets, recipes=(*evidence.recipes[:4], short)))
    by_name = {entry.recipe: entry for entry in ranking.entries}
    assert by_name["short"].seeds == 1
    assert width(by_name["short"]) > width(by_name["recipe-0"])


def test_an_uneven_share_of_lucky_seeds_resolves_nothing() -> None:
    """Seed 2 helps every recipe: the recipe that lacks it must not look worse for it."""
    rng = np.random.default_rng(8)
    table = 1.5 + np.array([0.0, 0.0, -0.3]) + 1e-3 * rng.standard_normal((6, 3))
    table[0, 2] = math.nan
    entries = rank(from_scores(table)).entries
    assert entries[-1].recipe == "recipe-0"
    assert entries[-1].rank_low == 1


def test_one_seed_everywhere_gives_ranks_without_intervals_and_says_so() -> None:
    ranking = rank(from_scores([[1.2], [1.1]]))
    assert [(entry.recipe, entry.rank) for entry in ranking.entries] == [("recipe-1", 1), ("recipe-0", 2)]
    for entry in ranking.entries:
        assert entry.rank_low is entry.rank_high is entry.score_low is entry.score_high is entry.p_best is None
        assert entry.letters == ""
    assert "second seed" in ranking.warnings[0]


def test_anchors_give_one_seed_its_intervals() -> None:
    anchors = AnchorNoise(variance=1e-4, degrees_of_freedom=10)
    entries = rank(from_scores([[1.2], [1.1], [2.0]], anchors=anchors)).entries
    assert [(entry.rank_low, entry.rank_high) for entry in entries] == [(1, 1), (2, 2), (3, 3)]
    assert entries[0].score_low is not None


def test_seeds_without_effect_give_no_intervals_and_say_so() -> None:
    ranking = rank(from_scores([[1.1, 1.1], [1.2, 1.2]]))
    assert ranking.entries[0].rank_low is None
    assert "identical" in ranking.warnings[0]


def test_equal_scores_share_the_first_rank_in_order_of_name() -> None:
    ranking = rank(from_scores(np.full((3, 2), 1.5)))
    assert [(entry.recipe, entry.rank) for entry in ranking.entries] == [(f"recipe-{i}", 1) for i in range(3)]


def test_one_document_a_set_leaves_score_intervals_out_and_keeps_ranks() -> None:
    ranking = rank(from_scores([[1.1, 1.11], [1.2, 1.22], [1.3, 1.29]], documents=1))
    assert ranking.entries[0].score_low is None
    assert ranking.entries[0].rank_low == 1
    assert any("prose" in warning and "single cluster" in warning for warning in ranking.warnings)
    assert not any(
        "cluster" in text for text in rank(from_scores([[1.1, 1.2]], documents=1), score_documents="fixed").warnings
    )


def test_one_document_a_set_leaves_ranks_on_new_documents_out() -> None:
    ranking = rank(from_scores([[1.1, 1.11], [1.2, 1.22]], documents=1), documents="random")
    assert ranking.entries[0].rank_low is None
    assert ranking.entries[0].p_best is None


def test_one_recipe_is_first_and_its_rank_says_nothing() -> None:
    ranking = rank(noisy(1, 3, apart=0))
    entry = ranking.entries[0]
    assert (entry.rank, entry.rank_low, entry.rank_high, entry.p_best, entry.letters) == (1, 1, 1, 1.0, "a")
    assert entry.score_low is not None
    assert any("only one recipe" in warning for warning in ranking.warnings)


def test_no_recipe_is_an_empty_ranking() -> None:
    ranking = rank(Evidence(sets=(one_set("prose", 3),), recipes=()))
    assert ranking.entries == []
    assert ranking.warnings


def test_few_degrees_of_freedom_unshared_seeds_and_unequal_noise_are_said() -> None:
    assert any("1 degrees" in text for text in rank(from_scores([[1.0, 1.1], [1.3, 1.2]])).warnings)
    apart = np.full((3, 6), math.nan)
    for index in range(3):
        apart[index, 2 * index : 2 * index + 2] = [1.0, 1.01 + index / 100]
    assert any("share too few seeds" in text for text in rank(from_scores(apart)).warnings)
    rng = np.random.default_rng(2)
    loud = 1.5 + 0.01 * np.where(np.arange(10) < 2, 15.0, 1.0)[:, None] * rng.standard_normal((10, 4))
    assert any("differs between recipes" in text for text in rank(from_scores(loud)).warnings)


def test_an_entry_holds_plain_values_that_json_can_write() -> None:
    for figure in asdict(rank(noisy(3, 2, apart=1)).entries[0]).values():
        assert type(figure) in (int, float, str, dict)


def test_the_same_generator_gives_the_same_ranking() -> None:
    evidence = noisy(6, 2, apart=0.3)
    assert rank(evidence) == rank(evidence)
