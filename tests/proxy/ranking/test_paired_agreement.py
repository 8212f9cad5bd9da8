"""What the paired comparison of two protocols claims, and what it does not."""

import numpy as np
import pytest

from proxy.errors import InvalidInputError
from proxy.ranking.evidence import Float64Array
from proxy.ranking.paired_agreement import pair_agreements
from proxy.ranking.repeatability import compare_protocols

NAMES = ("low@2", "standard@1")


def scores(noise: float, recipes: int = 16, seed: int = 0) -> Float64Array:
    drawn: Float64Array = np.arange(recipes) + np.random.default_rng(seed).normal(scale=noise, size=recipes)
    return drawn


def test_a_difference_beyond_noise_names_the_better_of_both() -> None:
    reference = np.arange(16.0)
    paired = pair_agreements((scores(0.1), scores(20.0)), reference, "lower", NAMES)
    assert paired.is_resolved
    assert paired.spearman.low is not None
    assert paired.spearman.low > 0
    assert paired.conclusion.startswith("low@2 agrees better with the references than standard@1: over 16 recipes")
    turned = pair_agreements((scores(20.0), scores(0.1)), reference, "lower", NAMES)
    assert turned.conclusion.startswith("standard@1 agrees better with the references than low@2")
    assert paired.spearman.high is not None
    assert turned.spearman.low == pytest.approx(-paired.spearman.high)
    assert turned.spearman.high == pytest.approx(-paired.spearman.low)


def test_the_figures_are_those_of_each_alone_and_the_difference_is_theirs() -> None:
    first, second, reference = scores(2.0, seed=1), scores(2.0, seed=2), np.arange(16.0)
    paired = pair_agreements((first, second), reference, "lower", NAMES)
    assert paired.first.spearman is not None
    assert paired.second.spearman is not None
    assert paired.spearman.estimate == pytest.approx(paired.first.spearman - paired.second.spearman)
    assert paired.spearman == compare_protocols((first, second), reference, "lower", np.random.default_rng(0))
    assert not paired.is_resolved
    assert paired.conclusion.startswith("No difference is resolved: over 16 recipes Spearman of low@2 less that of")


def test_references_that_are_better_when_higher() -> None:
    paired = pair_agreements((scores(0.1), scores(0.1, seed=3)), -np.arange(16.0), "higher", NAMES)
    assert paired.first.spearman == pytest.approx(1.0)
    assert "is 0, 95 % interval 0 to 0" in paired.conclusion


def test_too_few_recipes_and_ties_are_no_evidence() -> None:
    few = pair_agreements((scores(0.1, 4), scores(9.0, 4)), np.arange(4.0), "lower", NAMES)
    assert few.conclusion == "No evidence: 4 recipes have both rankings and a reference, and 5 are the least."
    assert not few.is_resolved
    tied = pair_agreements((np.ones(8), scores(0.1, 8)), np.arange(8.0), "lower", NAMES)
    assert tied.spearman.estimate is None
    assert tied.conclusion == "No evidence: ties among the 8 recipes leave a rank correlation undefined."
    one = pair_agreements(([1.0], [2.0]), [3.0], "lower", NAMES)
    assert (one.n, one.spearman.estimate) == (1, None)


def test_scores_of_other_recipes_are_refused() -> None:
    with pytest.raises(InvalidInputError):
        pair_agreements((scores(0.1, 5), scores(0.1, 6)), np.arange(6.0), "lower", NAMES)
