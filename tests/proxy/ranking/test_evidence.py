import math

import numpy as np
import pytest

from proxy.errors import InvalidInputError
from proxy.ranking.evidence import (
    AnchorNoise,
    Evidence,
    RecipeEvidence,
    SetEvidence,
    bits_per_byte,
    suite_scores,
)
from tests.proxy.ranking.builders import from_nats, from_scores, one_set


def test_bits_per_byte_is_total_nats_over_ln2_and_total_bytes() -> None:
    part = SetEvidence(name="a", share=1.0, text_bytes=np.array([10, 30]), clusters=np.array([0, 1]))
    evidence = from_nats([part], {"a": np.array([[[7.0, 13.0]]])})
    assert bits_per_byte(evidence)["a"][0, 0] == pytest.approx(20 / (math.log(2) * 40))


def test_the_suite_score_is_the_weighted_mean_of_its_sets() -> None:
    sets = [one_set("a", 2, share=0.75), one_set("b", 3, share=0.25)]
    evidence = from_nats(sets, {"a": np.full((1, 1, 2), 400.0), "b": np.full((1, 1, 3), 800.0)})
    assert suite_scores(evidence)[0, 0] == pytest.approx((0.75 * 0.4 + 0.25 * 0.8) / math.log(2))


def test_a_seed_that_a_recipe_lacks_is_nan() -> None:
    evidence = from_scores([[1.0, 2.0], [math.nan, 3.0]])
    np.testing.assert_allclose(suite_scores(evidence), [[1.0, 2.0], [math.nan, 3.0]])
    assert evidence.recipes[1].seeds == (1,)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_no_finite_number_names_recipe_set_document_and_seed(value: float) -> None:
    nats = np.ones((2, 2, 4))
    nats[1, 1, 2] = value
    with pytest.raises(InvalidInputError, match=r"recipe-1.*document 2.*prose.*seed 1") as caught:
        from_nats([one_set("prose", 4)], {"prose": nats})
    assert caught.value.problems[0].pointer == "/recipes/recipe-1/nats/prose"


def test_losses_of_the_wrong_shape_are_refused() -> None:
    with pytest.raises(InvalidInputError, match=r"recipe-0.*\(1, 4\).*prose"):
        from_nats([one_set("prose", 4)], {"prose": np.ones((1, 1, 3))})


def test_a_recipe_without_a_set_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="'code'"):
        from_nats([one_set("code", 4)], {"prose": np.ones((1, 1, 4))})


@pytest.mark.parametrize("seeds", [(), (1, 1)])
def test_no_seed_or_the_same_seed_twice_is_refused(seeds: tuple[int, ...]) -> None:
    recipe = RecipeEvidence(recipe="web", seeds=seeds, nats={"prose": np.ones((len(seeds), 4))})
    with pytest.raises(InvalidInputError, match=r"web.*seed"):
        Evidence(sets=(one_set("prose", 4),), recipes=(recipe,))


def test_a_recipe_twice_is_refused() -> None:
    recipe = RecipeEvidence(recipe="web", seeds=(0,), nats={"prose": np.ones((1, 4))})
    with pytest.raises(InvalidInputError, match="web"):
        Evidence(sets=(one_set("prose", 4),), recipes=(recipe, recipe))


@pytest.mark.parametrize(
    "sets",
    [
        (),
        (one_set("a", 2, share=0.5), one_set("a", 2, share=0.5)),
        (one_set("a", 2, share=0.5),),
        (one_set("a", 2, share=1.5), one_set("b", 2, share=-0.5)),
        (one_set("a", 2, share=math.nan),),
        (SetEvidence(name="a", share=1.0, text_bytes=np.array([1, 2]), clusters=np.array([0])),),
        (SetEvidence(name="a", share=1.0, text_bytes=np.array([0, 0]), clusters=np.array([0, 1])),),
        (one_set("a", 0),),
    ],
    ids=["none", "twice", "half", "negative", "nan", "clusters", "no bytes", "no documents"],
)
def test_sets_that_make_no_suite_are_refused(sets: tuple[SetEvidence, ...]) -> None:
    with pytest.raises(InvalidInputError, match="/sets"):
        Evidence(sets=sets, recipes=())


@pytest.mark.parametrize("noise", [(0.0, 3.0), (1.0, 0.0), (math.nan, 1.0)])
def test_anchor_noise_must_be_positive(noise: tuple[float, float]) -> None:
    with pytest.raises(InvalidInputError, match="/anchors"):
        from_scores([[1.0]], anchors=AnchorNoise(variance=noise[0], degrees_of_freedom=noise[1]))
