"""Recipes: what a proxy is trained on, said once, immutable and content-addressed.

The fingerprint covers what decides the training data (corpora by content, normalised weights, filters, dedup,
subsets, epochs) and nothing else: no path, name, tag or date.
"""

import math
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from proxy.fingerprints import fingerprint

LARGEST_WEIGHT = 1e12  # weights are relative; a sum of them must stay a number

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]


class Specification(BaseModel):
    """Immutable, and unknown keys are errors: a misspelt option must never be ignored silently."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class LengthFilter(Specification):
    """Keeps documents whose text has between `minimum` and `maximum` characters, both included."""

    kind: Literal["length"] = "length"
    minimum: int = Field(default=0, ge=0)
    maximum: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _bounds_are_ordered(self) -> "LengthFilter":
        if self.maximum is not None and self.maximum < self.minimum:
            raise ValueError(f"maximum {self.maximum} is below minimum {self.minimum}")
        return self


class Source(Specification):
    """One corpus and its share of the training tokens, after filters and dedup.

    Steps apply in this order: filters, dedup, subset. `subset` keeps that fraction of the remaining documents,
    chosen by document hash, the same for every seed.
    """

    corpus: str = Field(min_length=1, description="name, name@revision or fingerprint of a registered corpus")
    weight: float = Field(ge=0, le=LARGEST_WEIGHT, allow_inf_nan=False)
    filters: tuple[LengthFilter, ...] = ()
    dedup: Literal["none", "exact"] = "none"
    subset: float = Field(default=1.0, gt=0, le=1, allow_inf_nan=False)
    max_epochs: float = Field(default=1.0, ge=1, le=1000, allow_inf_nan=False)


class Recipe(Specification):
    """A training mixture. Name, description and tags say what it is for; the sources say what it is."""

    schema_version: Literal[1] = 1
    name: Name
    description: str = ""
    tags: dict[str, str] = Field(default_factory=dict)
    sources: tuple[Source, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _some_weight_is_positive(self) -> "Recipe":
        if not sum(source.weight for source in self.sources) > 0:
            raise ValueError(f"weights are all zero: {[source.weight for source in self.sources]}")
        return self

    def shares(self) -> tuple[float, ...]:
        """Normalised weights, one a source, summing to 1."""
        total = math.fsum(source.weight for source in self.sources)
        return tuple(source.weight / total for source in self.sources)


def canonical_recipe(recipe: Recipe, corpus_fingerprints: Mapping[str, str]) -> dict[str, object]:
    """What the fingerprint covers: sources of positive weight in canonical order.

    `corpus_fingerprints` maps each source's `corpus` reference to the fingerprint of its content.
    """
    sources = [
        {
            "corpus": corpus_fingerprints[source.corpus],
            "share": round(share, 12),
            "filters": [step.model_dump(mode="json") for step in source.filters],
            "dedup": source.dedup,
            "subset": source.subset,
            "max_epochs": source.max_epochs,
        }
        for source, share in zip(recipe.sources, recipe.shares(), strict=True)
        if share > 0
    ]
    return {"schema_version": recipe.schema_version, "sources": sorted(sources, key=fingerprint)}


def fingerprint_recipe(recipe: Recipe, corpus_fingerprints: Mapping[str, str]) -> str:
    """Content address of the training mixture, independent of names, paths and the order of sources."""
    return fingerprint(canonical_recipe(recipe, corpus_fingerprints))
