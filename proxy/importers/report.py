"""What an import answers: the recipes, and where each part of the input went. Nothing of it vanishes silently."""

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from proxy.recipes import Recipe

LONGEST_SHOWN = 500  # characters of a lost value; the pointer leads to the rest


class Kind(StrEnum):
    """Why a field was not carried."""

    EDIT = "edit"  # rewrites the text of documents; recipes only choose among them
    MODEL = "model"  # needs a trained model, or scores that one made
    LIST = "list"  # needs a list of words, addresses or suffixes
    MEANING = "meaning"  # about data, and no statistic or option here means the same
    TRAINING = "training"  # about the model or how it is trained: the protocol says that
    EVALUATION = "evaluation"  # about held-out data: the suite says that
    LOCATION = "location"  # where files lie: a corpus is registered from them
    BOOKKEEPING = "bookkeeping"  # not about what is trained on: outputs, machines, identifiers
    UNKNOWN = "unknown"  # no field that this importer knows


@dataclass(frozen=True, kw_only=True)
class Loss:
    """A field of the input (JSON pointer), what stood there, and why it has no counterpart or a different one."""

    pointer: str
    value: Any
    reason: str
    kind: Kind = Kind.MEANING


@dataclass(frozen=True, kw_only=True)
class ImportReport:
    """Every leaf of the input lies at or below a pointer of `carried` or of `not_carried`.

    `approximate` says of some that were carried how their counterpart differs. `corpora` must be registered before
    the recipes can be.
    """

    format: str
    recipes: tuple[Recipe, ...]
    carried: tuple[str, ...]
    approximate: tuple[Loss, ...] = ()
    not_carried: tuple[Loss, ...] = ()
    corpora: tuple[str, ...] = ()

    def specifications(self) -> list[dict[str, Any]]:
        """The recipes as one would write them: without defaults, the name first."""
        written = [recipe.model_dump(mode="json", exclude_unset=True) for recipe in self.recipes]
        return [{"name": spec.pop("name"), **spec} for spec in written]


def shown(value: Any) -> Any:
    """A value that fits into a report: itself, or the beginning of its JSON."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return value if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…"
