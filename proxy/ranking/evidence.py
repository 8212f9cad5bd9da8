"""What a ranking is computed from: the losses of every validation document under every recipe and seed.

Axes: R recipes, T distinct seeds of all recipes together, S seeds of one recipe, K sets, D documents of one set.
Units: nats summed over a document's tokens; UTF-8 bytes of its text; scores in bits per byte, lower is better.
"""

import math
from collections.abc import Iterator, Mapping
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
        return tuple(sorted({seed for entry in self.recipes for seed in entry.seeds}))

    def cells(self) -> Iterator[tuple[int, int, int]]:
        """Every (recipe index, index on the axis T, row of the recipe's arrays) that was trained."""
        column = {seed: index for index, seed in enumerate(self.seeds)}
        for index, entry in enumerate(self.recipes):
            for row, seed in enumerate(entry.seeds):
                yield index, column[seed], row


def bits_per_byte(evidence: Evidence) -> dict[str, Float64Array]:
    """Each set's score by its name: float64[R, T], NaN where a recipe lacks the seed."""
    scores = {part.name: np.full((len(evidence.recipes), len(evidence.seeds)), np.nan) for part in evidence.sets}
    for part in evidence.sets:
        scale = math.log(2) * float(part.text_bytes.sum())
        for recipe, seed, row in evidence.cells():
            scores[part.name][recipe, seed] = evidence.recipes[recipe].nats[part.name][row].sum() / scale
    return scores


def suite_scores(evidence: Evidence) -> Float64Array:
    """The suite's score, the weighted mean over its sets: float64[R, T], NaN where a recipe lacks the seed."""
    by_set = bits_per_byte(evidence)
    total = np.zeros((len(evidence.recipes), len(evidence.seeds)))
    for part in evidence.sets:
        total += part.share * by_set[part.name]
    return total


def _check_sets(sets: tuple[SetEvidence, ...]) -> None:
    if not sets:
        raise InvalidInputError.at("/sets", [], "a ranking needs at least one validation set")
    names = [part.name for part in sets]
    if len(set(names)) < len(names):
        raise InvalidInputError.at("/sets", names, "set names repeat")
    shares = [part.share for part in sets]
    if not all(share > 0 for share in shares) or not math.isclose(sum(shares), 1, abs_tol=1e-6):
        raise InvalidInputError.at("/sets", shares, "shares must be positive and sum to 1")
    for part in sets:
        _check_documents(part)


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
