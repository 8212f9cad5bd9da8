"""Document noise: how far scores and differences would move on other text of the same kind.

Influences of clusters (digests.py), clusters nested in sets. Assumed: sets are fixed, clusters a random sample of their
set's kind. Broken by few clusters or one that holds most of the text.

Means over a recipe's seeds still hold 1/S of the seed × document noise, and so does the seed variance: `double` is
what both count.

Each score's own noise comes from a digest. That of pairs needs all clusters of all recipes and O(R² C) work: it is
computed a set and a seed at a time, and only where an interval of a difference includes new documents.

Axes: R recipes, K sets, S seeds of one recipe, C clusters. Unit: bits per byte squared.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from proxy.ranking.digests import ClusteredSet, cluster_set
from proxy.ranking.evidence import Digest, Evidence, Float64Array


@dataclass(frozen=True, kw_only=True)
class DocumentNoise:
    """Variances of each recipe's mean score."""

    own_R: Float64Array
    own_degrees_R: Float64Array
    own_double_R: Float64Array


@dataclass(frozen=True, kw_only=True)
class PairNoise:
    """Variances of each pair's difference."""

    pair_RR: Float64Array
    pair_degrees_RR: Float64Array
    pair_double_RR: Float64Array
    covariance_RR: Float64Array  # of the recipes' scores around what they have in common


def sets_of_one_cluster(evidence: Evidence | Digest) -> list[str]:
    """Sets whose document noise cannot be estimated."""
    if isinstance(evidence, Digest):
        return [part.name for part in evidence.sets if part.clusters < 2]
    return [part.name for part in evidence.sets if (part.clusters == part.clusters[0]).all()]


def estimate_document_noise(digest: Digest) -> DocumentNoise | None:
    """None where some set has a single cluster."""
    if sets_of_one_cluster(digest):
        return None
    noise = _SatterthwaiteSum()
    double_R = np.zeros(len(digest.recipes))
    seeds_R = np.array([len(entry.seeds) for entry in digest.recipes], dtype=np.float64)
    for part in digest.sets:
        square = part.share**2
        own_R = np.array([entry.document_variances[part.name] for entry in digest.recipes])
        distance_R = np.array([entry.seed_by_document[part.name] for entry in digest.recipes])
        noise.add(square * own_R, part.clusters - 1.0)
        double_R += square * distance_R / np.maximum(seeds_R * (seeds_R - 1), 1)
    return DocumentNoise(own_R=noise.total, own_degrees_R=noise.degrees, own_double_R=double_R)


def estimate_pair_noise(evidence: Evidence) -> PairNoise | None:
    """None where some set has a single cluster. Holds one set's clusters of all recipes twice in memory."""
    if sets_of_one_cluster(evidence):
        return None
    recipes = len(evidence.recipes)
    noise = _SatterthwaiteSum()
    gram_RR, squares_RR = np.zeros((recipes, recipes)), np.zeros((recipes, recipes))
    for part in map(cluster_set, evidence.sets):
        mean_RC = np.stack([_influences(evidence, part, index).mean(axis=0) for index in range(recipes)])
        _add_seed_distances(squares_RR, evidence, part, mean_RC)
        mean_RC -= mean_RC.mean(axis=0)  # cancels in pairs, and keeps their digits
        part_RR = mean_RC @ mean_RC.T
        gram_RR += part_RR
        noise.add(_squared_distances(part_RR), part.clusters - 1.0)
    return PairNoise(
        pair_RR=noise.total,
        pair_degrees_RR=noise.degrees,
        pair_double_RR=_double_counted(squares_RR, evidence),
        covariance_RR=gram_RR,
    )


def _influences(evidence: Evidence, part: ClusteredSet, recipe: int, rows: Sequence[int] | None = None) -> Float64Array:
    """On the suite's score (S, C), of the given seeds of one recipe."""
    nats_SD = evidence.recipes[recipe].nats[part.name]
    return part.share * part.influences(nats_SD if rows is None else nats_SD[rows])


def _add_seed_distances(
    squares_RR: Float64Array, evidence: Evidence, part: ClusteredSet, mean_RC: Float64Array
) -> None:
    """Adds, seed by seed, the squared distances of the recipes' influences around their own means."""
    for seed in evidence.seeds:
        here = [index for index, entry in enumerate(evidence.recipes) if seed in entry.seeds]
        apart_HC = np.empty((len(here), part.clusters))
        for place, index in enumerate(here):
            row = evidence.recipes[index].seeds.index(seed)
            apart_HC[place] = _influences(evidence, part, index, [row])[0] - mean_RC[index]
        squares_RR[np.ix_(here, here)] += _squared_distances(apart_HC @ apart_HC.T)


def _squared_distances(gram_RR: Float64Array) -> Float64Array:
    size_R = np.diag(gram_RR)
    return np.maximum(size_R[:, None] + size_R[None, :] - 2 * gram_RR, 0.0)


def _double_counted(squares_RR: Float64Array, evidence: Evidence) -> Float64Array:
    """Seed × document noise in each pair's difference.

    From the seeds that both have, differenced first: what a seed does to a document under every recipe cancels. A pair
    that shares one seed shows none: zero, which leaves the interval a little too wide.
    """
    trained_RT = np.array([[seed in entry.seeds for seed in evidence.seeds] for entry in evidence.recipes], dtype=float)
    count_R = trained_RT.sum(axis=1)
    shared_RR = trained_RT @ trained_RT.T
    mean_inverse_RR = (1 / count_R[:, None] + 1 / count_R[None, :]) / 2
    informative_RR = np.maximum(shared_RR * (1 - mean_inverse_RR), 1e-300)
    double_RR: Float64Array = np.where(shared_RR > 1, squares_RR / informative_RR * mean_inverse_RR, 0.0)
    return double_RR


class _SatterthwaiteSum:
    """A sum of independent variances, one a set, and its degrees of freedom; all sets' together where it is zero."""

    def __init__(self) -> None:
        self._total: Float64Array = np.zeros(())
        self._weighted: Float64Array = np.zeros(())
        self._degrees = 0.0

    def add(self, variance: Float64Array, degrees: float) -> None:
        """One set's."""
        self._total = self._total + variance
        self._weighted = self._weighted + variance**2 / degrees
        self._degrees += degrees

    @property
    def total(self) -> Float64Array:
        """The sum."""
        return self._total

    @property
    def degrees(self) -> Float64Array:
        """(Σ v)² / Σ (v² / ν)."""
        ratio: Float64Array = self._total**2 / np.maximum(self._weighted, 1e-300)
        return np.where(self._weighted > 0, ratio, self._degrees)
