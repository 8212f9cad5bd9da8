"""Document noise: how far scores and differences would move on other text of the same kind.

Bits per byte is a ratio, so its variance comes from linearised influences, (nats_d / ln 2 − BPB · bytes_d) / Σ bytes,
summed in clusters (documents of one source are not independent), clusters nested in sets, with the factor m / (m − 1)
for a set of m clusters. Assumed: sets are fixed, clusters a random sample of their set's kind. Broken by few clusters
or one that holds most of the text.

Means over a recipe's seeds still hold 1/S of the seed × document noise, and so does the seed variance: `double` is
what both count.

Axes: R recipes, K sets, N trained cells, C clusters. Unit: bits per byte squared.
"""

import math
from dataclasses import dataclass

import numpy as np

from proxy.ranking.evidence import Evidence, Float64Array, Int64Array, SetEvidence


@dataclass(frozen=True, kw_only=True)
class DocumentNoise:
    """Variances of each recipe's mean score (R) and of each pair's difference (RR)."""

    own_R: Float64Array
    own_degrees_R: Float64Array
    own_double_R: Float64Array
    pair_RR: Float64Array
    pair_degrees_RR: Float64Array
    pair_double_RR: Float64Array
    covariance_RR: Float64Array  # of the recipes' scores around what they have in common


def sets_of_one_cluster(evidence: Evidence) -> list[str]:
    """Sets whose document noise cannot be estimated."""
    return [part.name for part in evidence.sets if len(np.unique(part.clusters)) < 2]


def estimate_document_noise(evidence: Evidence) -> DocumentNoise | None:
    """None where some set has a single cluster."""
    if sets_of_one_cluster(evidence):
        return None
    cells = np.array(list(evidence.cells()), dtype=np.int64)
    own_KR, pair_KRR, clusters, doubles = [], [], [], []
    gram_RR = np.zeros((len(evidence.recipes), len(evidence.recipes)))
    for part in evidence.sets:
        influence_NC = _cluster_influences(evidence, part, cells)
        mean_RC = _recipe_means(influence_NC, cells[:, 0])
        own_KR.append((mean_RC**2).sum(axis=1))
        apart_RC = mean_RC - mean_RC.mean(axis=0)  # cancels in pairs, and keeps their digits
        gram_RR += apart_RC @ apart_RC.T
        pair_KRR.append(_squared_distances(apart_RC))
        clusters.append(influence_NC.shape[1])
        doubles.append(_double_counted(influence_NC - mean_RC[cells[:, 0]], cells))
    degrees_K = np.array(clusters) - 1.0
    return DocumentNoise(
        own_R=np.sum(own_KR, axis=0),
        own_degrees_R=_satterthwaite(np.array(own_KR), degrees_K),
        own_double_R=np.sum([own for own, _ in doubles], axis=0),
        pair_RR=np.sum(pair_KRR, axis=0),
        pair_degrees_RR=_satterthwaite(np.array(pair_KRR), degrees_K),
        pair_double_RR=np.sum([pair for _, pair in doubles], axis=0),
        covariance_RR=gram_RR,
    )


def _cluster_influences(evidence: Evidence, part: SetEvidence, cells: Int64Array) -> Float64Array:
    """What each cluster adds to each cell's suite score beyond its share of the text; rows sum to zero."""
    nats_ND = np.stack([evidence.recipes[recipe].nats[part.name][row] for recipe, _, row in cells])
    order = np.argsort(part.clusters, kind="stable")
    starts = np.flatnonzero(np.diff(part.clusters[order], prepend=part.clusters[order[0]] - 1))
    nats_NC = np.add.reduceat(nats_ND[:, order], starts, axis=1)
    bytes_C = np.add.reduceat(part.text_bytes[order].astype(np.float64), starts)
    rate_N1 = nats_NC.sum(axis=1, keepdims=True) / bytes_C.sum()
    finite_sample = math.sqrt(len(starts) / (len(starts) - 1))
    influence_NC: Float64Array = part.share / (math.log(2) * bytes_C.sum()) * (nats_NC - rate_N1 * bytes_C)
    return influence_NC * finite_sample


def _recipe_means(values_NC: Float64Array, recipe_N: Int64Array) -> Float64Array:
    """Cells come recipe by recipe."""
    starts = np.flatnonzero(np.diff(recipe_N, prepend=-1))
    counts = np.diff(starts, append=len(recipe_N))
    means_RC: Float64Array = np.add.reduceat(values_NC, starts, axis=0) / counts[:, None]
    return means_RC


def _squared_distances(points_RC: Float64Array) -> Float64Array:
    gram_RR = points_RC @ points_RC.T
    size_R = np.diag(gram_RR)
    return np.maximum(size_R[:, None] + size_R[None, :] - 2 * gram_RR, 0.0)


def _double_counted(apart_NC: Float64Array, cells: Int64Array) -> tuple[Float64Array, Float64Array]:
    """Seed × document noise in each recipe's mean and in each pair's difference.

    Pairs use the seeds that both have, differenced first: what a seed does to a document under every recipe cancels.
    A recipe of one seed shows none: zero, which leaves the interval a little too wide.
    """
    recipe_N, seed_N = cells[:, 0], cells[:, 1]
    recipes = int(recipe_N.max()) + 1
    count_R = np.bincount(recipe_N, minlength=recipes).astype(np.float64)
    squares_R = np.bincount(recipe_N, weights=(apart_NC**2).sum(axis=1), minlength=recipes)
    own_R = squares_R.astype(np.float64) / np.maximum(count_R * (count_R - 1), 1)
    squares_RR, shared_RR = np.zeros((recipes, recipes)), np.zeros((recipes, recipes))
    for seed in np.unique(seed_N):
        here = np.flatnonzero(seed_N == seed)
        block = np.ix_(recipe_N[here], recipe_N[here])
        squares_RR[block] += _squared_distances(apart_NC[here])
        shared_RR[block] += 1
    mean_inverse_RR = (1 / count_R[:, None] + 1 / count_R[None, :]) / 2
    informative_RR = np.maximum(shared_RR * (1 - mean_inverse_RR), 1e-300)
    pair_RR = np.where(shared_RR > 1, squares_RR / informative_RR * mean_inverse_RR, 0.0)
    return own_R, pair_RR


def _satterthwaite(variance_K: Float64Array, degrees_K: Float64Array) -> Float64Array:
    """Degrees of freedom of a sum of independent variances over the first axis; all sets' together where it is zero."""
    degrees = degrees_K.reshape(-1, *[1] * (variance_K.ndim - 1))
    total, weighted = variance_K.sum(axis=0), (variance_K**2 / degrees).sum(axis=0)
    result: Float64Array = np.where(weighted > 0, total**2 / np.maximum(weighted, 1e-300), degrees_K.sum())
    return result
