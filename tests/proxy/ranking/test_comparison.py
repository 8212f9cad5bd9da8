import numpy as np
import pytest
from scipy import stats

from proxy.errors import NotFoundError
from proxy.ranking.comparison import PairComparison, compare_pair
from proxy.ranking.digests import digest_evidence
from proxy.ranking.evidence import Evidence
from proxy.ranking.uncertainty import measure_noise, spread_of_differences
from tests.proxy.ranking.builders import from_nats, from_scores, one_set


def compare(evidence: Evidence, a: str, b: str) -> PairComparison:
    by_name = {entry.recipe: entry for entry in evidence.recipes}
    return compare_pair(digest_evidence(evidence), Evidence(sets=evidence.sets, recipes=(by_name[a], by_name[b])))


def test_two_recipes_alone_are_a_paired_t_test() -> None:
    rng = np.random.default_rng(1)
    scores_RT = 1 + 0.1 * rng.standard_normal((2, 6))
    found = compare(from_scores(scores_RT), "recipe-0", "recipe-1").fixed
    expected = stats.ttest_rel(scores_RT[0], scores_RT[1])
    interval = expected.confidence_interval(0.95)
    assert found.difference == pytest.approx((scores_RT[0] - scores_RT[1]).mean())
    assert (found.low, found.high) == (pytest.approx(interval.low), pytest.approx(interval.high))
    assert found.p_better == pytest.approx(stats.t.cdf(-expected.statistic, 5))


def test_sides_are_symmetric() -> None:
    scores_RT = np.random.default_rng(2).normal(1, 0.1, (4, 3))
    there = compare(from_scores(scores_RT), "recipe-1", "recipe-3").fixed
    back = compare(from_scores(scores_RT), "recipe-3", "recipe-1").fixed
    assert there.difference == pytest.approx(-back.difference)
    assert there.p_better is not None
    assert back.p_better is not None
    assert there.p_better + back.p_better == pytest.approx(1)


def test_sets_are_compared_apart_and_add_up() -> None:
    rng = np.random.default_rng(3)
    sets = [one_set("prose", 20, share=0.25), one_set("code", 30, share=0.75)]
    nats = {part.name: rng.gamma(200, 4, (5, 3, len(part.text_bytes))) for part in sets}
    found = compare(from_nats(sets, nats), "recipe-0", "recipe-4")
    total = 0.25 * found.by_set["prose"].difference + 0.75 * found.by_set["code"].difference
    assert found.fixed.difference == pytest.approx(total)
    assert all(part.low is not None for part in found.by_set.values())
    assert found.fixed.standard_error is not None
    assert found.random.standard_error is not None
    assert found.random.standard_error > found.fixed.standard_error


def test_one_seed_has_a_difference_without_interval() -> None:
    found = compare(from_scores([[1.0], [1.1]]), "recipe-0", "recipe-1").fixed
    assert found.difference == pytest.approx(-0.1)
    assert (found.low, found.high, found.p_better) == (None, None, None)


def test_one_cluster_a_set_leaves_new_text_unknown() -> None:
    evidence = from_scores(np.random.default_rng(0).normal(1, 0.1, (3, 3)), documents=1)
    found = compare(evidence, "recipe-0", "recipe-1")
    assert found.random.low is None
    assert found.fixed.low is not None


def test_new_text_is_compared_as_from_all_losses() -> None:
    rng = np.random.default_rng(8)
    sets = [one_set("prose", 24, a_cluster=3)]
    evidence = from_nats(sets, {"prose": rng.gamma(200, 4, (6, 3, 24))})
    noise = measure_noise(evidence)
    spread = spread_of_differences(noise, "random")
    assert spread is not None
    found = compare(evidence, "recipe-2", "recipe-5").random
    assert found.standard_error == pytest.approx(spread.standard_error[2, 5], rel=1e-9)
    assert found.degrees == pytest.approx(spread.degrees[2, 5], rel=1e-9)


def test_an_unknown_recipe_is_named() -> None:
    few, more = (from_scores([[1.0, 1.1]] * recipes) for recipes in (2, 3))
    pair = Evidence(sets=more.sets, recipes=more.recipes[1:])
    with pytest.raises(NotFoundError, match="recipe-2"):
        compare_pair(digest_evidence(few), pair)
