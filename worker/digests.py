"""Digests of recipes' losses, one file a (protocol, suite) in the artifact folder: a leaderboard of a thousand recipes
is updated by reading the losses of the one that is new.

The file is a cache. A digest is named by exactly the artifacts it was made of, which are never overwritten; the file
may be deleted at any time, and one that cannot be read counts as absent.
"""

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from proxy.errors import InvalidInputError
from proxy.fingerprints import fingerprint
from worker.artifacts import Place, whole_file
from worker.store.models import Run, RunScore

if TYPE_CHECKING:
    from proxy.ranking.evidence import Digest, RecipeDigest, SetDigest

VERSION = 1  # raised when a digest's numbers change their meaning


@dataclass(kw_only=True)
class DigestStore:
    """Digests by their keys. All of one suite: of the same sets with the same clusters."""

    clusters: dict[str, int] = field(default_factory=dict)
    digests: "dict[str, RecipeDigest]" = field(default_factory=dict)

    def add(self, key: str, made: "Digest") -> None:
        """A digest of one recipe."""
        clusters = {part.name: part.clusters for part in made.sets}
        if self.clusters and self.clusters != clusters:
            raise InvalidInputError.at("/sets", clusters, f"other runs of this suite have {self.clusters}")
        self.clusters = clusters
        (self.digests[key],) = made.recipes

    def sets(self, shares: Mapping[str, float]) -> "tuple[SetDigest, ...]":
        """With the suite's weights."""
        from proxy.ranking.evidence import SetDigest

        return tuple(
            SetDigest(name=name, share=shares[name], clusters=clusters) for name, clusters in self.clusters.items()
        )


def digest_key(scored: Sequence[tuple[Run, RunScore]]) -> str:
    """Names the losses of one recipe's runs, in their order."""
    return fingerprint([[run.seed, score.artifact] for run, score in scored])


def digests_path(place: Place, protocol_id: str, suite_id: str) -> Path:
    """Where the digests of a leaderboard's recipes are kept."""
    return place.artifact_dir / "digests" / f"{protocol_id}-{suite_id}-v{VERSION}.npz"


def write_digests(path: Path, store: DigestStore, keys: Sequence[str]) -> None:
    """Of these keys, whole or not at all."""
    kept = [store.digests[key] for key in keys]
    names = list(store.clusters)
    arrays: dict[str, np.typing.NDArray[np.generic]] = {
        "keys_R": np.array(keys),
        "sets_K": np.array(names),
        "clusters_K": np.array(list(store.clusters.values())),
        "counts_R": np.array([len(digest.seeds) for digest in kept]),
        "seeds_N": np.array([seed for digest in kept for seed in digest.seeds], dtype=np.int64),
        "scores_NK": np.concatenate(
            [np.column_stack([digest.scores[name] for name in names]) for digest in kept], axis=0
        ),
        "variances_RK": np.array([[digest.document_variances[name] for name in names] for digest in kept]),
        "distances_RK": np.array([[digest.seed_by_document[name] for name in names] for digest in kept]),
    }
    with whole_file(path) as temporary, temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)


def read_digests(path: Path) -> DigestStore:
    """What `write_digests` wrote; empty where there is nothing that can be read."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return _stored({name: arrays[name] for name in arrays.files})
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return DigestStore()


def _stored(arrays: "Mapping[str, np.typing.NDArray[np.generic]]") -> DigestStore:
    from proxy.ranking.evidence import RecipeDigest

    names = [str(name) for name in arrays["sets_K"]]
    store = DigestStore(clusters=dict(zip(names, arrays["clusters_K"].tolist(), strict=True)))
    seeds, scores_NK = arrays["seeds_N"].tolist(), arrays["scores_NK"].astype(np.float64)
    variances, distances = arrays["variances_RK"].tolist(), arrays["distances_RK"].tolist()
    first = 0
    for index, (key, count) in enumerate(zip(arrays["keys_R"].tolist(), arrays["counts_R"].tolist(), strict=True)):
        rows = slice(first, first + count)
        first += count
        store.digests[key] = RecipeDigest(
            recipe=key,
            seeds=tuple(seeds[rows]),
            scores={name: scores_NK[rows, column] for column, name in enumerate(names)},
            document_variances=dict(zip(names, variances[index], strict=True)),
            seed_by_document=dict(zip(names, distances[index], strict=True)),
        )
    return store
