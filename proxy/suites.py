"""Suites: named held-out sets with weights. The suite is the objective, so its content is its fingerprint."""

import math
from collections.abc import Mapping

from pydantic import Field, model_validator

from proxy.fingerprints import fingerprint
from proxy.recipes import LARGEST_WEIGHT, Name, Specification

LATER = ("prompt_field", "held_out_from")


class ValidationSet(Specification):
    """One held-out corpus. `cluster_field` names the document field that says which file or page it came from.

    With `prompt_field` it is a set of continuations: a document's text is scored as what follows the prompt that this
    field holds; the prompt is read and never scored (docs/suites.md).
    """

    name: Name
    corpus: str = Field(min_length=1, description="name, name@revision or fingerprint of a registered corpus")
    weight: float = Field(default=1.0, gt=0, le=LARGEST_WEIGHT, allow_inf_nan=False)
    cluster_field: str | None = None
    prompt_field: str | None = Field(
        default=None, description="document field with the prompt that the document's text continues"
    )
    held_out_from: str | None = Field(
        default=None,
        description="corpus that this text was held out from: a recipe in which it is rare is looked at apart",
    )


class Suite(Specification):
    """Named, versioned sets; the suite score is the weighted mean of the sets' bits per byte."""

    name: Name
    sets: tuple[ValidationSet, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _names_are_unique(self) -> "Suite":
        names = [part.name for part in self.sets]
        if len(set(names)) < len(names):
            raise ValueError(f"set names repeat: {names}")
        return self

    def shares(self) -> dict[str, float]:
        """Normalised weight of each set, by its name."""
        total = math.fsum(part.weight for part in self.sets)
        return {part.name: part.weight / total for part in self.sets}


def fingerprint_suite(suite: Suite, corpus_fingerprints: Mapping[str, str]) -> str:
    """Content address: set names, contents, shares, clusters, prompts and where they were held out; not the suite's own
    name. A set without what came later reads as before there was any."""
    shares = suite.shares()
    return fingerprint(
        [
            {
                "name": part.name,
                "corpus": corpus_fingerprints[part.corpus],
                "share": round(shares[part.name], 12),
                "cluster_field": part.cluster_field,
                **{name: value for name in LATER if (value := getattr(part, name)) is not None},
            }
            for part in sorted(suite.sets, key=lambda part: part.name)
        ]
    )
