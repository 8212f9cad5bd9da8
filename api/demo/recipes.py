"""The demo's recipes: the axes on which data teams really differ, at a size that two cores can train.

Hard pairs are there on purpose (mixtures that differ by a few shares, duplicates against their dedup), beside the
easy ones (garbage, a small subset repeated): agreement measured on easy pairs alone would flatter.
"""

from dataclasses import dataclass, field
from typing import Any

EASY = "easy"
SETS = ("prose", "packages", "python", "headers", "stubs")


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much the demo trains. Steps are the same for proxies and references; so are the tokens a step."""

    recipes: tuple[dict[str, Any], ...]
    vocabulary: int = 1024
    batch_sequences: int = 8
    context_tokens: int = 64
    steps: int = 800
    seeds: int = 2
    reduction: float = 1 / 3
    proxy: dict[str, int] = field(default_factory=lambda: {"layers": 3, "width": 64, "heads": 2, "hidden": 192})
    reference: dict[str, int] = field(default_factory=lambda: {"layers": 4, "width": 128, "heads": 4, "hidden": 352})
    probe_rates: tuple[float, ...] = (1e-3, 2e-3, 4e-3, 8e-3)
    anchors: tuple[str, ...] = ("balanced", "only-python")
    reference_rates: tuple[float, ...] = (7e-4, 2e-3, 6e-3)
    with_references: bool = True

    def architecture(self, shape: dict[str, int]) -> dict[str, int]:
        """The protocol's `architecture` for one of the two shapes."""
        return {**shape, "context_tokens": self.context_tokens, "vocabulary": self.vocabulary}


def _mixture(name: str, axis: str, description: str, **weights: float) -> dict[str, Any]:
    sources = [{"corpus": corpus, "weight": weight} for corpus, weight in weights.items()]
    return {"name": name, "description": description, "tags": {"axis": axis}, "sources": sources}


def _even(*, axis: str, name: str, description: str, corpora: tuple[str, ...] = SETS, **options: Any) -> dict[str, Any]:
    sources = [{"corpus": corpus, "weight": 1.0, **options} for corpus in corpora]
    return {"name": name, "description": description, "tags": {"axis": axis}, "sources": sources}


def _easy(recipe: dict[str, Any]) -> dict[str, Any]:
    """Nobody would train a large model on it; agreement is shown without such recipes too."""
    return {**recipe, "tags": {**recipe["tags"], "kind": EASY}}


BALANCED = _even(name="balanced", axis="mixture", description="Every corpus the same share")
CODE_HEAVY = _mixture(
    "code-heavy", "mixture", "Mostly code", python=0.35, headers=0.25, stubs=0.2, prose=0.1, packages=0.1
)
PROSE_HEAVY = _mixture(
    "prose-heavy", "mixture", "Mostly documentation", prose=0.4, packages=0.3, python=0.1, headers=0.1, stubs=0.1
)
PYTHON_HEAVY = _mixture(
    "python-heavy", "mixture", "Half Python", python=0.5, prose=0.2, packages=0.1, headers=0.1, stubs=0.1
)
NO_HEADERS = _even(
    name="no-headers", axis="corpora", description="Without C++", corpora=("prose", "packages", "python", "stubs")
)
NO_PROSE = _even(
    name="no-prose", axis="corpora", description="Without prose", corpora=("packages", "python", "headers", "stubs")
)
ONLY_PYTHON = _even(name="only-python", axis="corpora", description="Python alone", corpora=("python",))
LONG_DOCUMENTS = _even(
    name="long-documents",
    axis="filter",
    description="Every corpus, documents of at least 2,000 characters",
    filters=[{"kind": "length", "minimum": 2000}],
)
DUPLICATED = _mixture(
    "duplicated", "dedup", "Prose with planted duplicates", prose_duplicated=0.6, python=0.2, headers=0.2
)
DEDUPLICATED = {
    **_mixture("deduplicated", "dedup", "The same after exact dedup", prose_duplicated=0.6, python=0.2, headers=0.2),
}
DEDUPLICATED["sources"] = [{**source, "dedup": "exact"} for source in DEDUPLICATED["sources"]]
GARBAGE = _easy(
    _mixture(
        "garbage-40",
        "mixture",
        "Two fifths are digits of compiled libraries",
        noise=0.4,
        prose=0.12,
        packages=0.12,
        python=0.12,
        headers=0.12,
        stubs=0.12,
    )
)
REPEATED = _easy(
    _even(
        name="repeated-1-percent",
        axis="repetition",
        description="One document in a hundred of every corpus, again and again",
        subset=0.01,
        max_epochs=100,
    )
)

FULL = Size(
    recipes=(
        BALANCED,
        CODE_HEAVY,
        PROSE_HEAVY,
        PYTHON_HEAVY,
        NO_HEADERS,
        NO_PROSE,
        ONLY_PYTHON,
        LONG_DOCUMENTS,
        DUPLICATED,
        DEDUPLICATED,
        GARBAGE,
        REPEATED,
    )
)
QUICK = Size(
    recipes=(BALANCED, CODE_HEAVY, NO_PROSE, ONLY_PYTHON, GARBAGE, REPEATED),
    steps=500,
    anchors=("balanced",),
    with_references=False,
)
