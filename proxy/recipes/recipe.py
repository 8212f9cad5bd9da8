"""A whole recipe: one mixture, or one a phase, and what the large model is meant to be."""

import math
from collections.abc import Iterator
from typing import Literal

from pydantic import Field, model_validator

from proxy.recipes.filters import Measure
from proxy.recipes.sources import (
    MOST_NESTED,
    Deduplicated,
    Group,
    Leaf,
    Member,
    SizeExponent,
    Source,
    check_weights,
    depth_of,
    leaves_of,
    weight_of,
)
from proxy.recipes.specification import Name, Specification, fault

PHASES_SUM_WITHIN = 1e-9


class Order(Specification):
    """In which order the drawn documents come: shuffled, or a curriculum by a measure.

    A curriculum sorts each source by its own measure and interleaves the sources evenly, so that the mixture stays the
    same all the way.
    """

    kind: Literal["shuffled", "ascending", "descending"] = "shuffled"
    by: Measure | None = None

    @model_validator(mode="after")
    def _a_curriculum_has_a_measure(self) -> "Order":
        if (self.by is None) != (self.kind == "shuffled"):
            words = f"{self.kind} {'takes no' if self.by else 'needs a'} measure"
            raise fault("/by", None if self.by is None else self.by.model_dump(exclude_none=True), words)
        return self


class Mixture(Deduplicated):
    """Weighted sources. `dedup` here is across sources, after each source's own steps: of duplicates one is kept, the
    same one whatever the order of the sources."""

    sources: tuple[Member, ...] = Field(default=(), max_length=10_000)
    size_exponent: SizeExponent | None = None
    order: Order = Order()

    @model_validator(mode="after")
    def _members_are_weighted(self) -> "Mixture":
        if self.sources:
            check_weights(self.sources, self.size_exponent)
            if (depth := depth_of(self.sources)) > MOST_NESTED:
                raise fault("/sources", depth, f"nested too deep; {MOST_NESTED} groups in groups are the most")
        return self

    def leaves(self, pointer: str = "") -> Iterator[Leaf]:
        """All sources in written order, with pointers into what was sent."""
        return leaves_of(self.sources, f"{pointer}/sources")


class Phase(Mixture):
    """A mixture for a share of the training tokens. A source that an earlier phase has word for word (weight apart)
    goes on where that phase stopped; any other draws from its beginning."""

    share: float = Field(gt=0, le=1, allow_inf_nan=False)

    @model_validator(mode="after")
    def _has_sources(self) -> "Phase":
        if not self.sources:
            raise fault("/sources", [], "a phase needs sources")
        return self


class Target(Specification):
    """The large model that the data is for."""

    parameters: int = Field(gt=0, le=10**15)
    tokens: int = Field(gt=0, le=10**18)


class Recipe(Mixture):
    """A training mixture. Name, description, tags and target say what it is for; the rest says what it is.

    Either `sources` or `phases`. `decontaminate` removes documents that overlap with the protocol's decontamination
    set. `simulate_repetition` shrinks each source's pool so that a proxy sees the epochs that the target will.
    """

    schema_version: Literal[1] = 1
    name: Name
    description: str = ""
    tags: dict[str, str] = Field(default_factory=dict, description="axis, kind, or any other; outside the fingerprint")
    phases: tuple[Phase, ...] = Field(default=(), max_length=100)
    decontaminate: bool = True
    target: Target | None = None
    simulate_repetition: bool = False

    @model_validator(mode="after")
    def _sources_or_phases(self) -> "Recipe":
        if not (self.sources or self.phases):
            raise fault("/sources", [], "is missing; a recipe needs sources, or phases that have them")
        if self.phases:
            self._check_phases()
        if self.simulate_repetition and self.target is None:
            raise fault("/target", None, "is missing; simulate_repetition needs it")
        return self

    def _check_phases(self) -> None:
        for name in ("sources", "dedup", "size_exponent", "order"):
            if name in self.model_fields_set and getattr(self, name) != type(self).model_fields[name].get_default():
                raise fault(f"/{name}", name, "belongs into each phase of a recipe that has phases")
        total = math.fsum(phase.share for phase in self.phases)
        if abs(total - 1) > PHASES_SUM_WITHIN:
            shares = [phase.share for phase in self.phases]
            raise fault("/phases", shares, f"shares of the budget sum to {total:.12g}, not to 1")

    def mixtures(self) -> tuple[tuple[str, Mixture, float], ...]:
        """Pointer, mixture and share of the budget of each phase; a recipe without phases is one."""
        if not self.phases:
            return (("", self, 1.0),)
        return tuple((f"/phases/{index}", phase, phase.share) for index, phase in enumerate(self.phases))

    def all_leaves(self) -> tuple[Leaf, ...]:
        """Sources of all phases."""
        return tuple(leaf for pointer, mixture, _ in self.mixtures() for leaf in mixture.leaves(pointer))

    def corpora(self) -> tuple[str, ...]:
        """Each corpus reference once, in written order."""
        return tuple(dict.fromkeys(leaf.source.corpus for leaf in self.all_leaves()))

    def shares(self) -> tuple[float, ...]:
        """Share of the budget of each leaf of a recipe without phases or sizes; weights normalised, summing to 1."""
        return tuple(written_shares(self.sources))


def written_shares(members: tuple[Source | Group, ...], share: float = 1.0) -> Iterator[float]:
    """Shares of a tree's leaves by weight alone."""
    total = math.fsum(weight_of(member) for member in members)
    for member in members:
        part = share * (weight_of(member) / total)
        if isinstance(member, Group):
            yield from written_shares(member.sources, part)
        else:
            yield part
