"""What a ranking is computed from: the losses of every validation document under every recipe and seed.

`Evidence` holds them all. `Digest` holds the few numbers that ranking inside one suite needs of them (digests.py makes
it), so that a leaderboard of a thousand recipes is updated without reading a thousand recipes' documents again.

Axes: R recipes, T distinct seeds of all recipes together, S seeds of one recipe, K sets, D documents of one set.
Units: nats summed over a document's tokens; UTF-8 bytes of its text; scores in bits per byte, lower is better.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from proxy.errors import InvalidInputError

Float64Array = npt.NDArray[np.float64]
Int64Array = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class SetEvidence:
    """One validation set. `share` is its normalised weight in the suite.

    `clusters` says which source file or page each document came from: chunks of one source are not independent.
    """

    name: str
    share: float
    text_bytes: Int64Array
    clusters: Int64Array


@dataclass(frozen=True, kw_only=True)
class RecipeEvidence:
    """One recipe's losses: `nats` maps each set's name to float64[S, D], one row a seed, in the order of `seeds`.

    The same seed in two recipes means the same initial weights and the same order of shared documents: they are paired.
    """

    recipe: str
    seeds: tuple[int, ...]
    nats: Mapping[str, Float64Array]


@dataclass(frozen=True, kw_only=True)
class SetDigest:
    """One validation set without its documents: its normalised weight and how many clusters it has."""

    name: str
    share: float
    clusters: int


@dataclass(frozen=True, kw_only=True)
class RecipeDigest:
    """One recipe's scores and document noise on each set, independent of the sets' shares and of other recipes.

    `scores`: bits per byte under each seed (S). `document_variances`: of the mean over seeds, bits per byte squared.
    `seed_by_document`: squared distance of the seeds' influences from their mean. Both zero for a set of one cluster.
    """

    recipe: str
    seeds: tuple[int, ...]
    scores: Mapping[str, Float64Array]
    document_variances: Mapping[str, float]
    seed_by_document: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class AnchorNoise:
    """Seed variance (bits per byte squared) of a protocol's anchor recipes, pooled with what the recipes show."""

    variance: float
    degrees_of_freedom: float


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Checked when it is made: InvalidInputError names the recipe or set and the value that cannot be used."""

    sets: tuple[SetEvidence, ...]
    recipes: tuple[RecipeEvidence, ...]
    anchors: AnchorNoise | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "sets", tuple(self.sets))
        object.__setattr__(self, "recipes", tuple(self.recipes))
        _check_sets(self.sets)
        _check_anchors(self.anchors)
        _check_names([entry.recipe for entry in self.recipes])
        for entry in self.recipes:
            _check_recipe(entry, self.sets)

    @property
    def seeds(self) -> tuple[int, ...]:
        """All seeds that any recipe has, ascending: the axis T."""
        return _distinct_seeds(self.recipes)

    def scores_of(self, recipe: int) -> dict[str, Float64Array]:
        """One recipe's bits per byte on each set under its seeds (S)."""
        return {part.name: score_set(part, self.recipes[recipe]) for part in self.sets}


@dataclass(frozen=True, kw_only=True)
class Digest:
    """Everything that ranks inside one suite version and score intervals need. Made of checked evidence."""

    sets: tuple[SetDigest, ...]
    recipes: tuple[RecipeDigest, ...]
    anchors: AnchorNoise | None = None

    def __post_init__(self) -> None:
        _check_shares(self.sets)
        _check_anchors(self.anchors)
        _check_names([entry.recipe for entry in self.recipes])

    @property
    def seeds(self) -> tuple[int, ...]:
        """All seeds that any recipe has, ascending: the axis T."""
        return _distinct_seeds(self.recipes)

    def scores_of(self, recipe: int) -> Mapping[str, Float64Array]:
        """One recipe's bits per byte on each set under its seeds (S)."""
        return self.recipes[recipe].scores


def score_set(part: SetEvidence, entry: RecipeEvidence) -> Float64Array:
    """Bits per byte on one set under each of the recipe's seeds (S)."""
    scores_S: Float64Array = entry.nats[part.name].sum(axis=1) / (math.log(2) * float(part.text_bytes.sum()))
    return scores_S


def bits_per_byte(evidence: Evidence | Digest) -> dict[str, Float64Array]:
    """Each set's score by its name: float64[R, T], NaN where a recipe lacks the seed."""
    column = {seed: index for index, seed in enumerate(evidence.seeds)}
    recipes: Sequence[RecipeEvidence | RecipeDigest] = evidence.recipes
    scores = {part.name: np.full((len(recipes), len(column)), np.nan) for part in evidence.sets}
    for index, entry in enumerate(recipes):
        columns = [column[seed] for seed in entry.seeds]
        by_set = evidence.scores_of(index)
        for part in evidence.sets:
            scores[part.name][index, columns] = by_set[part.name]
    return scores


def suite_scores(evidence: Evidence | Digest) -> Float64Array:
    """The suite's score, the weighted mean over its sets: float64[R, T], NaN where a recipe lacks the seed."""
    by_set = bits_per_byte(evidence)
    total = np.zeros((len(evidence.recipes), len(evidence.seeds)))
    for part in evidence.sets:
        total += part.share * by_set[part.name]
    return total


def _distinct_seeds(recipes: Sequence[RecipeEvidence | RecipeDigest]) -> tuple[int, ...]:
    return tuple(sorted({seed for entry in recipes for seed in entry.seeds}))


def _check_sets(sets: tuple[SetEvidence, ...]) -> None:
    _check_shares(sets)
    for part in sets:
        _check_documents(part)


def _check_shares(sets: Sequence[SetEvidence | SetDigest]) -> None:
    if not sets:
        raise InvalidInputError.at("/sets", [], "a ranking needs at least one validation set")
    names = [part.name for part in sets]
    if len(set(names)) < len(names):
        raise InvalidInputError.at("/sets", names, "set names repeat")
    shares = [part.share for part in sets]
    if not all(share > 0 for share in shares) or not math.isclose(sum(shares), 1, abs_tol=1e-6):
        raise InvalidInputError.at("/sets", shares, "shares must be positive and sum to 1")


def _check_documents(part: SetEvidence) -> None:
    pointer = f"/sets/{part.name}"
    if part.text_bytes.ndim != 1 or part.text_bytes.shape != part.clusters.shape:
        shapes = (part.text_bytes.shape, part.clusters.shape)
        raise InvalidInputError.at(pointer, shapes, f"set {part.name!r} needs one size and one cluster a document")
    if not len(part.text_bytes) or part.text_bytes.min() < 0 or part.text_bytes.sum() <= 0:
        raise InvalidInputError.at(
            f"{pointer}/text_bytes", int(part.text_bytes.sum()), f"set {part.name!r} has no text to score"
        )


def _check_anchors(anchors: AnchorNoise | None) -> None:
    if anchors is None:
        return
    for name, value in (("variance", anchors.variance), ("degrees_of_freedom", anchors.degrees_of_freedom)):
        if not (math.isfinite(value) and value > 0):
            raise InvalidInputError.at(f"/anchors/{name}", value, "must be a positive number")


def _check_names(names: list[str]) -> None:
    if len(set(names)) < len(names):
        repeated = sorted({name for name in names if names.count(name) > 1})
        raise InvalidInputError.at("/recipes", repeated, "a recipe appears twice")


def _check_recipe(entry: RecipeEvidence, sets: tuple[SetEvidence, ...]) -> None:
    pointer = f"/recipes/{entry.recipe}"
    if not entry.seeds or len(set(entry.seeds)) < len(entry.seeds):
        raise InvalidInputError.at(
            f"{pointer}/seeds",
            list(entry.seeds),
            f"recipe {entry.recipe!r} needs at least one seed, none of them twice",
        )
    for part in sets:
        _check_losses(entry, part, f"{pointer}/nats/{part.name}")


def _check_losses(entry: RecipeEvidence, part: SetEvidence, pointer: str) -> None:
    nats_SD = entry.nats.get(part.name)
    expected = (len(entry.seeds), len(part.text_bytes))
    if nats_SD is None or nats_SD.shape != expected:
        found = None if nats_SD is None else nats_SD.shape
        raise InvalidInputError.at(
            pointer, found, f"recipe {entry.recipe!r} needs losses of shape {expected} on set {part.name!r}"
        )
    wrong = np.argwhere(~np.isfinite(nats_SD))
    if len(wrong):
        row, document = (int(index) for index in wrong[0])
        raise InvalidInputError.at(
            pointer,
            float(nats_SD[row, document]),
            f"recipe {entry.recipe!r} has no finite loss for document {document} of set {part.name!r}"
            f" under seed {entry.seeds[row]}",
        )
