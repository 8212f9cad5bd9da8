"""What a study is: corpora, suites, recipes, a ladder of rates for the proxies and a grid of rates for the references.

Everything that is surely wrong is refused here, before a corpus is read or a run is queued. Whether an optimum lies
inside its grid is not known before: the labels of references and the rate search's verdict say it afterwards.
"""

from collections.abc import Sequence
from typing import Any

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_core import PydanticCustomError

from proxy.errors import InvalidInputError
from proxy.presets import NANO_VOCABULARY
from proxy.protocol_requests import ProtocolRequest, resolve
from proxy.protocols import Protocol
from proxy.recipes import Name, Recipe, Specification
from proxy.recipes.specification import fault
from proxy.seeds import MOST_FIRST_SEED
from proxy.suites import Suite

AXIS = "axis"
KIND = "kind"
EASY = "easy"  # a recipe nobody would train a large model on: agreement is shown without such recipes too
REPETITION = "repetition"  # the axis of recipes that repeat more than `MOST_EPOCHS`: a table of its own
MOST_EPOCHS = 4.0
LEAST_RATES = 2  # a ladder compares rates
LEAST_GRID = 3  # an optimum lies between two worse rates
LEAST_RECIPES = 3
NAME_CHARACTERS = 75  # suites, protocols and reference sets are called after the study: room for a rate
SAID_ELSEWHERE = ("name", "tokenizer", "standard_rate", "reduction", "anchors")


class PlantedNearDuplicates(Specification):
    """Some documents are given copies. A copy is exact, or has some of its words replaced by others of the document."""

    originals: float = Field(gt=0, le=1, description="share of the documents that have copies")
    copies: int = Field(ge=1, le=1000, description="of each of them")
    exact: float = Field(default=0.25, ge=0, le=1, description="share of the copies that are word for word")
    changed_words: float = Field(default=0.05, gt=0, le=1, description="share of the words of any other copy")
    seed: int = 0


class Beginnings(Specification):
    """The beginnings of documents, until there is enough: for held-out sets that are to be small and varied."""

    document_characters: int = Field(default=1500, ge=100)
    characters: int = Field(ge=1000, description="of all documents together")


class CorpusMaking(Specification):
    """A corpus made of files: all their documents, a share of them, their beginnings, or with duplicates planted."""

    name: Name
    files: tuple[str, ...] = Field(min_length=1, description="in the folder that the command names")
    share: float = Field(default=1.0, gt=0, le=1, description="of the documents, chosen by a hash of their text")
    beginnings: Beginnings | None = None
    near_duplicates: PlantedNearDuplicates | None = None

    @property
    def is_a_file(self) -> bool:
        """One file as it is: nothing is made."""
        return len(self.files) == 1 and self.share == 1 and self.beginnings is None and self.near_duplicates is None


class TokenizerTraining(Specification):
    """A byte-level BPE for all models of the study."""

    corpora: tuple[str, ...] = Field(min_length=1)
    vocabulary: int = Field(default=NANO_VOCABULARY, ge=258)
    sample_bytes: int = Field(default=4_000_000, ge=1000)


class Trained(Specification):
    """`protocol`: what a protocol says (docs/protocols.md) but name, tokenizer and rate, which the study says."""

    protocol: dict[str, Any]
    rates: tuple[float, ...]
    first_seed: int = Field(
        default=0,
        ge=0,
        le=MOST_FIRST_SEED,
        description="the seeds are this one and those that follow it: a study that is to confirm another has others",
    )

    def body(self, name: str, tokenizer: str, rate: float) -> dict[str, Any]:
        """The protocol's registration; the rate is the whole rate."""
        return {**self.protocol, "name": name, "tokenizer": tokenizer, "standard_rate": rate, "reduction": 1.0}

    def resolved(self, vocabulary: int) -> Protocol:
        """As it will be stored under the first rate; InvalidInputError for what is no protocol."""
        request = ProtocolRequest.model_validate(self.body("study", "unknown", self.rates[0]))
        return Protocol.model_validate(resolve(request, vocabulary))

    @field_validator("protocol")
    @classmethod
    def _says_nothing_twice(cls, protocol: dict[str, Any]) -> dict[str, Any]:
        for name in SAID_ELSEWHERE:
            if name in protocol:
                raise fault(f"/{name}", protocol[name], "is said by the study, not by its protocols")
        return protocol

    @field_validator("rates")
    @classmethod
    def _rates_are_rates(cls, rates: tuple[float, ...]) -> tuple[float, ...]:
        for index, rate in enumerate(rates):
            if not 0 < rate <= 1:
                raise fault(f"/{index}", rate, "must be above 0 and at most 1")
        return tuple(sorted({float(f"{rate:.9e}") for rate in rates}))


class Proxies(Trained):
    """Every recipe is trained at every rate of the ladder, with so many seeds."""

    seeds: int = Field(default=2, ge=1, le=20)

    @model_validator(mode="after")
    def _is_a_ladder(self) -> "Proxies":
        if len(self.rates) < LEAST_RATES:
            message = f"a ladder has at least {LEAST_RATES} different rates: with one there is nothing to compare"
            raise fault("/rates", list(self.rates), message)
        return self


class References(Trained):
    """Every recipe, or those that are named, is swept over one grid; then more seeds are trained at its best rate."""

    seeds: int = Field(default=2, ge=1, le=20, description="at the best rate")
    recipes: tuple[str, ...] | None = Field(default=None, description="names; default: all")

    @model_validator(mode="after")
    def _is_a_grid(self) -> "References":
        if len(self.rates) < LEAST_GRID:
            message = f"a grid has at least {LEAST_GRID} different rates: an optimum lies between two worse ones"
            raise fault("/rates", list(self.rates), message)
        if self.recipes is not None and not self.recipes:
            raise fault("/recipes", [], "names no recipe: a study without references has nothing to compare with")
        return self


class StudyDefinition(Specification):
    """All of a study. Corpora and tokenizer that it does not make must be registered already."""

    name: Name = Field(max_length=NAME_CHARACTERS)
    description: str = ""
    corpora: tuple[CorpusMaking, ...] = ()
    tokenizer: TokenizerTraining | str = Field(description="a training, or the name of a registered tokenizer")
    suites: tuple[Suite, ...] = Field(min_length=1)
    recipes: tuple[Recipe, ...]
    proxies: Proxies
    references: References

    @model_validator(mode="after")
    def _is_possible(self) -> "StudyDefinition":
        _check_names("/corpora", [corpus.name for corpus in self.corpora])
        _check_names("/suites", [suite.name for suite in self.suites])
        _check_names("/recipes", [recipe.name for recipe in self.recipes])
        if len(self.recipes) < LEAST_RECIPES:
            raise fault("/recipes", len(self.recipes), f"at least {LEAST_RECIPES} are needed: an order has pairs")
        self._check_recipes()
        self._check_protocols()
        return self

    def _check_recipes(self) -> None:
        names = {recipe.name for recipe in self.recipes}
        for index, name in enumerate(self.references.recipes or ()):
            if name not in names:
                raise fault(
                    f"/references/recipes/{index}", name, f"is no recipe of this study: {', '.join(sorted(names))}"
                )
        for index, recipe in enumerate(self.recipes):
            if AXIS not in recipe.tags:
                raise fault(f"/recipes/{index}/tags", recipe.tags, f"need an {AXIS}: what the recipe varies")
            for leaf in recipe.all_leaves():
                if recipe.tags[AXIS] != REPETITION and leaf.source.max_epochs > MOST_EPOCHS:
                    message = f"is more than {MOST_EPOCHS:g}: such a recipe belongs to the axis {REPETITION}"
                    raise fault(f"/recipes/{index}{leaf.pointer}/max_epochs", leaf.source.max_epochs, message)

    def _check_protocols(self) -> None:
        for name, part in (("proxies", self.proxies), ("references", self.references)):
            try:
                part.resolved(self.vocabulary)
            except ValidationError as error:
                raise _first_fault(f"/{name}/protocol", error) from error
            except InvalidInputError as error:
                first = error.problems[0]
                raise fault(f"/{name}/protocol{first.pointer}", first.value, first.message) from error

    @property
    def vocabulary(self) -> int:
        """Of the tokenizer that is trained; a guess for one that is registered."""
        return NANO_VOCABULARY if isinstance(self.tokenizer, str) else self.tokenizer.vocabulary

    @property
    def referenced(self) -> tuple[str, ...]:
        """Names of the recipes that have references, in the order of the recipes."""
        wanted = self.references.recipes
        return tuple(recipe.name for recipe in self.recipes if wanted is None or recipe.name in wanted)

    def named(self, part: str) -> str:
        """What a suite, protocol or reference set of this study is called in a service."""
        return f"{self.name}-{part}"


def _first_fault(pointer: str, error: ValidationError) -> PydanticCustomError:
    """Where and why a part of a definition is no protocol; tags of unions are no places."""
    first = error.errors(include_url=False)[0]
    place = "".join(f"/{part}" for part in first["loc"] if not str(part).startswith("("))
    if first["type"] == "at":
        return fault(pointer + place + first["ctx"]["pointer"], first["ctx"]["value"], first["msg"])
    return fault(pointer + place, first["input"], first["msg"])


def _check_names(pointer: str, names: Sequence[str]) -> None:
    for index, name in enumerate(names):
        if name in names[:index]:
            raise fault(f"{pointer}/{index}/name", name, "is there already")
