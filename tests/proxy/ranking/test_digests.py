import math
from dataclasses import replace

import numpy as np
import pytest

from proxy.errors import InvalidInputError
from proxy.ranking.digests import cluster_set, digest_evidence
from proxy.ranking.documents import estimate_document_noise, estimate_pair_noise
from proxy.ranking.evidence import Digest, Evidence, Float64Array, RecipeEvidence, SetEvidence, bits_per_byte
from proxy.ranking.ranks import rank_recipes

SEEDS = ((0, 1, 2), (0, 2), (1,), (2, 1, 0), (5, 0))


def uneven_evidence() -> Evidence:
    """Three sets whose clusters are unequal and shuffled; recipes of different seeds."""
    rng = np.random.default_rng(21)
    sets = [
        SetEvidence(
            name=name,
            share=share,
            text_bytes=rng.integers(200, 3000, documents),
            clusters=rng.permutation(rng.integers(0, documents // 3, documents)),
        )
        for name, share, documents in (("web", 0.5, 60), ("code", 0.3, 90), ("wiki", 0.2, 33))
    ]
    recipes = [
        RecipeEvidence(
            recipe=f"recipe-{index}",
            seeds=seeds,
            nats={
                part.name: part.text_bytes * (0.7 + 0.1 * rng.standard_normal((len(seeds), len(part.text_bytes))))
                for part in sets
            },
        )
        for index, seeds in enumerate(SEEDS)
    ]
    return Evidence(sets=tuple(sets), recipes=tuple(recipes))


def influences(evidence: Evidence, part: SetEvidence, recipe: int) -> Float64Array:
    """The definition, cluster by cluster."""
    names = np.unique(part.clusters)
    total = part.text_bytes.sum()
    nats_SD = evidence.recipes[recipe].nats[part.name]
    rate_S = nats_SD.sum(axis=1) / total
    columns = [
        nats_SD[:, part.clusters == name].sum(axis=1) - rate_S * part.text_bytes[part.clusters == name].sum()
        for name in names
    ]
    factor = math.sqrt(len(names) / (len(names) - 1)) / (math.log(2) * total)
    return part.share * factor * np.column_stack(columns)


def test_document_noise_is_its_definition_cluster_by_cluster() -> None:
    evidence = uneven_evidence()
    own, pairs = estimate_document_noise(digest_evidence(evidence)), estimate_pair_noise(evidence)
    assert own is not None
    assert pairs is not None
    tables = [[influences(evidence, part, index) for part in evidence.sets] for index in range(len(SEEDS))]
    for a, seeds in enumerate(SEEDS):
        mean = [table.mean(axis=0) for table in tables[a]]
        assert own.own_R[a] == pytest.approx(sum((part**2).sum() for part in mean), rel=1e-12)
        distance = sum(((table - part) ** 2).sum() for table, part in zip(tables[a], mean, strict=True))
        assert own.own_double_R[a] == pytest.approx(distance / max(len(seeds) * (len(seeds) - 1), 1), rel=1e-12)
        for b in range(a):
            gaps = [(x.mean(axis=0) - y.mean(axis=0)) for x, y in zip(tables[a], tables[b], strict=True)]
            assert pairs.pair_RR[a, b] == pytest.approx(sum((gap**2).sum() for gap in gaps), rel=1e-11)
            weighted = sum((gap**2).sum() ** 2 / (len(gap) - 1) for gap in gaps)
            assert pairs.pair_degrees_RR[a, b] == pytest.approx(pairs.pair_RR[a, b] ** 2 / weighted, rel=1e-11)


def test_what_pairs_count_twice_is_the_spread_of_their_differences_over_shared_seeds() -> None:
    """Both with the seeds 0, 1 and 2: Σ_s ‖(I_as − Ī_a) − (I_bs − Ī_b)‖² / (S (S − 1))."""
    evidence = uneven_evidence()
    pairs = estimate_pair_noise(evidence)
    assert pairs is not None
    expected = 0.0
    for part in evidence.sets:
        first, second = influences(evidence, part, 0), influences(evidence, part, 3)[::-1]
        gap = first - first.mean(axis=0) - (second - second.mean(axis=0))
        expected += (gap**2).sum() / 6
    assert pairs.pair_double_RR[0, 3] == pytest.approx(expected, rel=1e-11)


def test_a_digest_ranks_as_its_evidence_does() -> None:
    evidence = uneven_evidence()
    digest = digest_evidence(evidence)
    for score_documents in ("fixed", "random"):
        of_all, of_few = (
            rank_recipes(given, rng=np.random.default_rng(0), score_documents=score_documents)  # type: ignore[arg-type]
            for given in (evidence, digest)
        )
        assert of_all == of_few
    for name, scores in bits_per_byte(evidence).items():
        np.testing.assert_array_equal(scores, bits_per_byte(digest)[name])


def test_a_recipes_digest_does_not_hang_on_the_other_recipes_or_on_shares() -> None:
    evidence = uneven_evidence()
    sets = tuple(replace(part, share=share) for part, share in zip(evidence.sets, (0.1, 0.1, 0.8), strict=True))
    alone = digest_evidence(Evidence(sets=sets, recipes=evidence.recipes[3:4])).recipes[0]
    among = digest_evidence(evidence).recipes[3]
    assert alone.document_variances == among.document_variances
    assert alone.seed_by_document == among.seed_by_document
    np.testing.assert_array_equal(alone.scores["code"], among.scores["code"])


def test_ranks_on_new_documents_need_the_documents() -> None:
    with pytest.raises(InvalidInputError, match="losses of each document"):
        rank_recipes(digest_evidence(uneven_evidence()), rng=np.random.default_rng(0), documents="random")


def test_documents_in_the_order_of_their_clusters_are_not_moved() -> None:
    sizes = np.full(6, 100)
    in_order = cluster_set(SetEvidence(name="a", share=1.0, text_bytes=sizes, clusters=np.array([0, 0, 1, 4, 4, 4])))
    assert in_order.order_D is None
    assert in_order.bytes_C.tolist() == [200, 100, 300]
    mixed = cluster_set(SetEvidence(name="a", share=1.0, text_bytes=sizes, clusters=np.array([4, 0, 1, 4, 0, 4])))
    nats = np.array([[4.0, 0.0, 1.0, 4.0, 0.0, 4.0]])
    ordered = nats[:, np.argsort(nats[0], kind="stable")]
    np.testing.assert_allclose(mixed.influences(nats), in_order.influences(ordered))


def test_a_digest_is_checked_like_evidence() -> None:
    digest = digest_evidence(uneven_evidence())
    with pytest.raises(InvalidInputError, match="/sets"):
        Digest(sets=digest.sets[:1], recipes=digest.recipes)
    with pytest.raises(InvalidInputError, match="/recipes"):
        Digest(sets=digest.sets, recipes=(digest.recipes[0], digest.recipes[0]))
