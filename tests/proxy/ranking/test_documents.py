import math

import numpy as np
import pytest

from proxy.ranking.digests import digest_evidence
from proxy.ranking.documents import (
    DocumentNoise,
    PairNoise,
    estimate_document_noise,
    estimate_pair_noise,
    sets_of_one_cluster,
)
from proxy.ranking.evidence import Evidence, Float64Array, RecipeEvidence, SetEvidence
from tests.proxy.ranking.builders import from_nats, from_scores, one_set


def document_noise(evidence: Evidence) -> DocumentNoise:
    noise = estimate_document_noise(digest_evidence(evidence))
    assert noise is not None
    return noise


def pair_noise(evidence: Evidence) -> PairNoise:
    noise = estimate_pair_noise(evidence)
    assert noise is not None
    return noise


def jackknife(nats_D: Float64Array, bytes_D: Float64Array, clusters_D: Float64Array) -> float:
    """Delete-one-cluster variance of a ratio: the linearised one's textbook companion."""
    kept = [clusters_D != cluster for cluster in np.unique(clusters_D)]
    values = np.array([nats_D[keep].sum() / (math.log(2) * bytes_D[keep].sum()) for keep in kept])
    return float((len(values) - 1) / len(values) * ((values - values.mean()) ** 2).sum())


def uneven(documents: int, seeds: int, recipes: int = 2) -> tuple[SetEvidence, Float64Array]:
    rng = np.random.default_rng(11)
    sizes = rng.integers(200, 3000, documents)
    part = SetEvidence(name="a", share=1.0, text_bytes=sizes, clusters=rng.integers(0, documents // 3, documents))
    nats = sizes * (
        0.7 + 0.1 * rng.standard_normal(documents) + 0.05 * rng.standard_normal((recipes, seeds, documents))
    )
    return part, nats


def test_the_variance_of_a_score_is_close_to_the_cluster_jackknife() -> None:
    part, nats_RSD = uneven(600, 1)
    noise = document_noise(from_nats([part], {"a": nats_RSD}))
    expected = jackknife(nats_RSD[0, 0], part.text_bytes, part.clusters)
    assert noise.own_R[0] == pytest.approx(expected, rel=0.05)


def test_the_variance_of_a_difference_is_close_to_its_cluster_jackknife() -> None:
    part, nats_RSD = uneven(600, 1)
    noise = pair_noise(from_nats([part], {"a": nats_RSD}))
    expected = jackknife(nats_RSD[0, 0] - nats_RSD[1, 0], part.text_bytes, part.clusters)
    assert noise.pair_RR[0, 1] == pytest.approx(expected, rel=0.05)
    assert noise.pair_RR[0, 0] == 0


def test_chunks_of_one_source_count_as_one_draw() -> None:
    rng = np.random.default_rng(2)
    by_source = np.repeat(700 + 70 * rng.standard_normal(40), 5)
    nats = by_source[None, None, :]
    chunked = document_noise(from_nats([one_set("a", 200, a_cluster=5)], {"a": nats}))
    ignored = document_noise(from_nats([one_set("a", 200)], {"a": nats}))
    assert chunked.own_R[0] == pytest.approx(5 * ignored.own_R[0], rel=0.05)


def test_sets_add_with_the_square_of_their_share_and_by_satterthwaite() -> None:
    rng = np.random.default_rng(3)
    losses = {"a": 700 + rng.standard_normal((1, 1, 30)), "b": 700 + 5 * rng.standard_normal((1, 1, 12))}
    alone = [document_noise(from_nats([one_set(name, v.shape[2])], {name: v})).own_R[0] for name, v in losses.items()]
    sets = [one_set("a", 30, share=0.75), one_set("b", 12, share=0.25)]
    both = document_noise(from_nats(sets, losses))
    parts = [0.75**2 * alone[0], 0.25**2 * alone[1]]
    assert both.own_R[0] == pytest.approx(sum(parts))
    expected = sum(parts) ** 2 / (parts[0] ** 2 / 29 + parts[1] ** 2 / 11)
    assert both.own_degrees_R[0] == pytest.approx(expected)


def test_seed_by_document_noise_is_measured_as_counted_twice() -> None:
    """Pure seed × document noise: all of the document variance of a mean over seeds is seed noise seen again."""
    rng = np.random.default_rng(6)
    nats = 700 + 30 * rng.standard_normal((6, 4, 400))
    evidence = from_nats([one_set("a", 400)], {"a": nats})
    noise, pairs = document_noise(evidence), pair_noise(evidence)
    off_diagonal = ~np.eye(6, dtype=bool)
    assert pairs.pair_double_RR[off_diagonal].mean() == pytest.approx(pairs.pair_RR[off_diagonal].mean(), rel=0.05)
    assert noise.own_double_R.mean() == pytest.approx(noise.own_R.mean(), rel=0.05)


def test_recipes_that_share_one_seed_show_nothing_counted_twice() -> None:
    rng = np.random.default_rng(6)
    recipes = [
        RecipeEvidence(recipe="a", seeds=(0, 1), nats={"a": 700 + rng.standard_normal((2, 20))}),
        RecipeEvidence(recipe="b", seeds=(1,), nats={"a": 700 + rng.standard_normal((1, 20))}),
    ]
    evidence = Evidence(sets=(one_set("a", 20),), recipes=tuple(recipes))
    noise = document_noise(evidence)
    assert pair_noise(evidence).pair_double_RR[0, 1] == 0
    assert noise.own_double_R[0] > 0
    assert noise.own_double_R[1] == 0


def test_equal_documents_have_no_noise_and_finite_degrees() -> None:
    evidence = from_scores([[1.0, 1.1], [1.2, 1.3]], documents=5)
    noise = document_noise(evidence)
    np.testing.assert_allclose(noise.own_R, 0, atol=1e-25)
    assert np.isfinite(noise.own_degrees_R).all()
    assert np.isfinite(pair_noise(evidence).pair_degrees_RR).all()


def test_a_set_of_one_cluster_is_named_and_gives_nothing() -> None:
    evidence = from_scores([[1.0, 1.1]], documents=1)
    assert sets_of_one_cluster(evidence) == ["prose"]
    assert estimate_pair_noise(evidence) is None
    digest = digest_evidence(evidence)
    assert sets_of_one_cluster(digest) == ["prose"]
    assert estimate_document_noise(digest) is None
