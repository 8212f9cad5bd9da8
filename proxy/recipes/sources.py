"""Corpora with their steps, and groups of them."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from proxy.recipes.filters import Filter, Measure, check_quantiles
from proxy.recipes.specification import LARGEST_WEIGHT, Name, Specification, fault

MOST_EPOCHS = 1000
MOST_NESTED = 20  # groups in groups; a topic tree is a handful deep

Weight = Annotated[float, Field(ge=0, le=LARGEST_WEIGHT, allow_inf_nan=False)]
SizeExponent = Annotated[
    float,
    Field(ge=0, le=10, allow_inf_nan=False, description="α: shares ∝ weight × tokens^α; 1 by token count, 1/T at T"),
]


class NearDedup(Specification):
    """MinHash-LSH: documents that share a band of `rows` of the `bands` × `rows` hashes of their word shingles are
    candidates; those whose signatures agree in at least `similarity` are duplicates."""

    kind: Literal["near"] = "near"
    shingle_words: int = Field(default=5, ge=1, le=50)
    bands: int = Field(default=14, ge=1, le=512)
    rows: int = Field(default=8, ge=1, le=512)
    similarity: float = Field(default=0.8, gt=0, le=1, allow_inf_nan=False)

    @model_validator(mode="after")
    def _hashes_are_few(self) -> "NearDedup":
        if self.bands * self.rows > 512:
            message = f"with {self.rows} rows these are {self.bands * self.rows} hashes a document; 512 are the most"
            raise fault("/bands", self.bands, message)
        return self


def _dedup_tag(value: Any) -> str | None:
    if isinstance(value, str):
        return "(word)" if value in ("none", "exact") else None
    return "(near)"


Dedup = Annotated[
    Annotated[Literal["none", "exact"], Tag("(word)")] | Annotated[NearDedup, Tag("(near)")],
    Discriminator(
        _dedup_tag,
        custom_error_type="unknown_dedup",
        custom_error_message="must be none, exact, near, or the settings of near",
    ),
]


class Deduplicated(Specification):
    """Anything with a dedup step: "none", "exact" (normalised text), "near", or near with its own settings."""

    dedup: Dedup = "none"

    @field_validator("dedup", mode="before")
    @classmethod
    def _near_has_defaults(cls, value: Any) -> Any:
        return {"kind": "near"} if value == "near" else value


class Repeat(Measure):
    """Selective repetition: each epoch holds `times` copies of the documents between two quantiles of a measure."""

    low: float = Field(default=0, ge=0, lt=1, allow_inf_nan=False)
    high: float = Field(default=1, gt=0, le=1, allow_inf_nan=False)
    times: int = Field(ge=2, le=MOST_EPOCHS)

    @model_validator(mode="after")
    def _bounds_are_ordered(self) -> "Repeat":
        check_quantiles(self.low, self.high)
        return self


class Source(Deduplicated):
    """One corpus and its share of the training tokens, after filters and dedup.

    Steps apply in this order: filters, dedup, subset, repeat. `subset` keeps that fraction of the remaining documents,
    chosen by document hash, the same for every seed.
    """

    corpus: str = Field(min_length=1, description="name, name@revision or fingerprint of a registered corpus")
    weight: Weight | None = None
    filters: tuple[Filter, ...] = Field(default=(), max_length=100)
    subset: float = Field(default=1.0, gt=0, le=1, allow_inf_nan=False)
    repeat: Repeat | None = None
    max_epochs: float = Field(default=1.0, ge=1, le=MOST_EPOCHS, allow_inf_nan=False)


class Group(Specification):
    """Sources under one weight, such as the topics of a domain. Their weights are relative to each other."""

    name: Name
    weight: Weight | None = None
    size_exponent: SizeExponent | None = None
    sources: tuple["Member", ...] = Field(min_length=1, max_length=10_000)

    @model_validator(mode="after")
    def _weights_are_there(self) -> "Group":
        check_weights(self.sources, self.size_exponent)
        return self


def _member_tag(value: Any) -> str:
    is_group = "sources" in value if isinstance(value, dict) else isinstance(value, Group)
    return "(group)" if is_group else "(source)"


Member = Annotated[
    Annotated[Source, Tag("(source)")] | Annotated[Group, Tag("(group)")],
    Discriminator(_member_tag),
]


def check_weights(members: Sequence[Source | Group], size_exponent: float | None) -> None:
    """A fault unless each member has a weight (or they are weighted by size) and one of them is positive."""
    if size_exponent is None:
        for index, member in enumerate(members):
            if member.weight is None:
                message = "is missing; it may be left out only beside a size_exponent"
                raise fault(f"/sources/{index}/weight", None, message)
    weights = [weight_of(member) for member in members]
    if not math.fsum(weights) > 0:
        raise fault("/sources", weights, "weights are all zero")


def weight_of(member: Source | Group) -> float:
    """As written; 1 where size decides and none was written."""
    return 1.0 if member.weight is None else member.weight


@dataclass(frozen=True, kw_only=True)
class Leaf:
    """A source, and where it stands in what was sent (`/sources/0/sources/1`)."""

    pointer: str
    source: Source


def leaves_of(members: Sequence[Source | Group], pointer: str = "/sources") -> Iterator[Leaf]:
    """All sources of a tree in written order, those of weight zero too."""
    for index, member in enumerate(members):
        place = f"{pointer}/{index}"
        if isinstance(member, Group):
            yield from leaves_of(member.sources, f"{place}/sources")
        else:
            yield Leaf(pointer=place, source=member)


def depth_of(members: Sequence[Source | Group]) -> int:
    """1 for a flat list."""
    return 1 + max((depth_of(member.sources) for member in members if isinstance(member, Group)), default=0)
