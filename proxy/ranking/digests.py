"""From losses of documents to the few numbers that ranking inside one suite needs, recipe by recipe.

A digest of a recipe depends on nothing but its own losses: it can be stored, and a new recipe leaves the others' as
they are. What it cannot give is the document noise of *differences* of two recipes (documents.py), which needs both
recipes' clusters.

Bits per byte is a ratio, so document noise comes from linearised influences, (nats_d / ln 2 − BPB · bytes_d) / Σ bytes,
summed in clusters (documents of one source are not independent), with the factor m / (m − 1) for a set of m clusters.

Axes: S seeds of one recipe, D documents, C clusters of one set.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from proxy.ranking.evidence import (
    Digest,
    Evidence,
    Float64Array,
    Int64Array,
    RecipeDigest,
    RecipeEvidence,
    SetDigest,
    SetEvidence,
    score_set,
)


@dataclass(frozen=True, kw_only=True)
class ClusteredSet:
    """A set's documents in the order of their clusters. `order_D` is None where they are in it already."""

    name: str
    share: float
    order_D: Int64Array | None
    starts_C: Int64Array
    bytes_C: Float64Array

    @property
    def clusters(self) -> int:
        """How many there are."""
        return len(self.starts_C)

    def influences(self, nats_SD: Float64Array) -> Float64Array:
        """What each cluster adds to each seed's score beyond its share of the text (S, C); rows sum to zero.

        Their squares sum to the document variance. Zero for a single cluster, which shows nothing.
        """
        ordered_SD = nats_SD if self.order_D is None else nats_SD[:, self.order_D]
        is_document = len(self.starts_C) == ordered_SD.shape[1]
        nats_SC = ordered_SD if is_document else np.add.reduceat(ordered_SD, self.starts_C, axis=1)
        total_bytes = self.bytes_C.sum()
        rate_S1 = nats_SC.sum(axis=1, keepdims=True) / total_bytes
        finite_sample = math.sqrt(self.clusters / max(self.clusters - 1, 1))
        influence_SC: Float64Array = nats_SC - rate_S1 * self.bytes_C
        influence_SC *= finite_sample / (math.log(2) * total_bytes)
        return influence_SC


def cluster_set(part: SetEvidence) -> ClusteredSet:
    """Sorts the set's documents once for all recipes."""
    order_D = np.argsort(part.clusters, kind="stable")
    sorted_D = part.clusters[order_D]
    starts_C = np.flatnonzero(np.concatenate([[True], sorted_D[1:] != sorted_D[:-1]]))
    return ClusteredSet(
        name=part.name,
        share=part.share,
        order_D=None if (np.diff(order_D) == 1).all() else order_D,
        starts_C=starts_C,
        bytes_C=np.add.reduceat(part.text_bytes[order_D].astype(np.float64), starts_C),
    )


def digest_evidence(evidence: Evidence) -> Digest:
    """Of all recipes."""
    clustered = [cluster_set(part) for part in evidence.sets]
    return Digest(
        sets=tuple(SetDigest(name=part.name, share=part.share, clusters=part.clusters) for part in clustered),
        recipes=tuple(digest_recipe(entry, evidence.sets, clustered) for entry in evidence.recipes),
        anchors=evidence.anchors,
    )


def digest_recipe(
    entry: RecipeEvidence, sets: Sequence[SetEvidence], clustered: Sequence[ClusteredSet]
) -> RecipeDigest:
    """Of one recipe whose losses were checked; `clustered` are the same sets in the same order."""
    variances, distances = {}, {}
    for part in clustered:
        influence_SC = part.influences(entry.nats[part.name])
        mean_C = influence_SC.mean(axis=0)
        variances[part.name] = float(mean_C @ mean_C)
        influence_SC -= mean_C
        distances[part.name] = float((influence_SC**2).sum())
    return RecipeDigest(
        recipe=entry.recipe,
        seeds=entry.seeds,
        scores={part.name: score_set(part, entry) for part in sets},
        document_variances=variances,
        seed_by_document=distances,
    )
