"""Small evidence for tests: one call a shape, values in bits per byte."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from proxy.ranking.evidence import AnchorNoise, Evidence, Float64Array, RecipeEvidence, SetEvidence

DOCUMENT_BYTES = 1000


def from_scores(
    scores_RT: Sequence[Sequence[float]] | Float64Array,
    *,
    documents: int = 4,
    anchors: AnchorNoise | None = None,
) -> Evidence:
    """One set whose documents all score alike; NaN where a recipe lacks the seed."""
    table = np.asarray(scores_RT, dtype=np.float64)
    recipes = []
    for index, row in enumerate(table):
        seeds = tuple(int(seed) for seed in np.flatnonzero(~np.isnan(row)))
        nats = np.repeat(row[list(seeds), None], documents, axis=1) * math.log(2) * DOCUMENT_BYTES
        recipes.append(RecipeEvidence(recipe=f"recipe-{index}", seeds=seeds, nats={"prose": nats}))
    return Evidence(sets=(one_set("prose", documents),), recipes=tuple(recipes), anchors=anchors)


def one_set(name: str, documents: int, *, share: float = 1.0, a_cluster: int = 1) -> SetEvidence:
    """A set of equally long documents in clusters of `a_cluster`."""
    clusters = np.arange(documents) // a_cluster
    return SetEvidence(
        name=name, share=share, text_bytes=np.full(documents, DOCUMENT_BYTES, dtype=np.int64), clusters=clusters
    )


def from_nats(sets: Sequence[SetEvidence], nats: Mapping[str, Float64Array]) -> Evidence:
    """`nats` maps each set to float64[R, S, D]."""
    some = next(iter(nats.values()))
    recipes = [
        RecipeEvidence(
            recipe=f"recipe-{index}",
            seeds=tuple(range(some.shape[1])),
            nats={name: losses_RSD[index] for name, losses_RSD in nats.items()},
        )
        for index in range(some.shape[0])
    ]
    return Evidence(sets=tuple(sets), recipes=tuple(recipes))
