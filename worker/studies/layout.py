"""Which rows a study's report is made of: those of the study's own row, or those that a definition's names find."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from proxy.protocols import Protocol as ProtocolSpec
from proxy.seeds import seeds_from
from proxy.studies import StudyDefinition
from proxy.studies.definition import AXIS, KIND, REPETITION
from worker.protocols import find_protocol
from worker.recipes import find_recipe
from worker.store.models import Protocol, Recipe, Study, Suite
from worker.studies.plans import describe_trained, trained_of
from worker.suites import find_suite


@dataclass(frozen=True, kw_only=True)
class LaidOut:
    """A recipe by the name, axis and kind that it has in the study."""

    row: Recipe
    name: str
    description: str
    axis: str
    kind: str | None
    is_referenced: bool


@dataclass(frozen=True, kw_only=True)
class Layout:
    """`ladder` is by rate; `grid` are the rates of references; a suite has the reference set of the same place. Seeds
    are so many, from a first one on."""

    name: str
    description: str
    recipes: tuple[LaidOut, ...]
    suites: tuple[Suite, ...]
    reference_sets: tuple[str, ...]
    ladder: dict[float, Protocol]
    reference: Protocol
    grid: tuple[float, ...]
    proxy_seeds: int
    reference_seeds: int
    proxy_first_seed: int
    reference_first_seed: int

    @property
    def rows(self) -> dict[str, Recipe]:
        """Recipes by their names in the study."""
        return {recipe.name: recipe.row for recipe in self.recipes}

    @property
    def telling(self) -> dict[str, Recipe]:
        """Those that say which rate is the proxies' own: not the ones that repeat, whose optimum is lower the more they
        do. All of them where every one repeats."""
        return {one.name: one.row for one in self.recipes if one.axis != REPETITION} or self.rows

    @property
    def seeds_of_proxies(self) -> range:
        """Of every recipe at every rate."""
        return seeds_from(self.proxy_first_seed, self.proxy_seeds)

    @property
    def seeds_of_references(self) -> range:
        """At the best rate; the sweep has the first of them."""
        return seeds_from(self.reference_first_seed, self.reference_seeds)

    def shapes(self) -> dict[str, dict[str, Any]]:
        """What proxies and references are."""
        proxies = _shape(next(iter(self.ladder.values())), tuple(self.ladder), self.seeds_of_proxies)
        return {"proxies": proxies, "references": _shape(self.reference, self.grid, self.seeds_of_references)}


def layout_of_row(session: Session, row: Study) -> Layout:
    """Of a study that was submitted."""
    spec, proxies, references = row.spec, trained_of(row, "proxies"), trained_of(row, "references")
    return Layout(
        name=row.name,
        description=spec["description"],
        recipes=tuple(_laid_out(session.get_one(Recipe, part["id"]), part) for part in spec["recipes"]),
        suites=tuple(session.get_one(Suite, part["id"]) for part in spec["suites"]),
        reference_sets=tuple(part["reference_set"] for part in spec["suites"]),
        ladder={step["rate"]: session.get_one(Protocol, step["protocol"]) for step in row.protocols["ladder"]},
        reference=session.get_one(Protocol, row.protocols["reference"]),
        grid=tuple(references["rates"]),
        proxy_seeds=proxies["seeds"],
        reference_seeds=references["seeds"],
        proxy_first_seed=proxies["first_seed"],
        reference_first_seed=references["first_seed"],
    )


def _laid_out(row: Recipe, part: dict[str, Any]) -> LaidOut:
    about = {name: part[name] for name in ("name", "axis", "kind", "is_referenced")}
    return LaidOut(row=row, description=row.spec.get("description", ""), **about)


def is_of(row: Study, definition: StudyDefinition) -> bool:
    """Whether a study of the definition's name has its recipes, rates and seeds."""
    return (
        {part["name"] for part in row.spec["recipes"]} == {recipe.name for recipe in definition.recipes}
        and trained_of(row, "proxies") == describe_trained(definition.proxies)
        and trained_of(row, "references") == describe_trained(definition.references)
    )


def layout_of_definition(session: Session, definition: StudyDefinition) -> Layout:
    """Of a definition, whoever trained it. InvalidInputError where nothing of it is registered yet."""
    proxies, references = definition.proxies, definition.references
    suites = tuple(find_suite(session, definition.named(suite.name)) for suite in definition.suites)
    return Layout(
        name=definition.name,
        description=definition.description,
        recipes=tuple(
            LaidOut(
                row=find_recipe(session, recipe.name),
                name=recipe.name,
                description=recipe.description,
                axis=recipe.tags[AXIS],
                kind=recipe.tags.get(KIND),
                is_referenced=recipe.name in definition.referenced,
            )
            for recipe in definition.recipes
        ),
        suites=suites,
        reference_sets=tuple(suite.name for suite in suites),
        ladder={rate: find_protocol(session, definition.named(f"proxy-at-{rate:g}")) for rate in proxies.rates},
        reference=find_protocol(session, definition.named("reference")),
        grid=references.rates,
        proxy_seeds=proxies.seeds,
        reference_seeds=references.seeds,
        proxy_first_seed=proxies.first_seed,
        reference_first_seed=references.first_seed,
    )


def _shape(protocol: Protocol, rates: tuple[float, ...], seeds: range) -> dict[str, Any]:
    spec = ProtocolSpec.model_validate(protocol.spec)
    return {
        "parameters": spec.architecture.parameters,
        "tokens": spec.token_budget,
        "steps": spec.steps,
        "batch_tokens": spec.batch_tokens,
        "schedule": spec.schedule.kind,
        "rates": list(rates),
        "seeds": len(seeds),
        "first_seed": seeds.start,
    }
