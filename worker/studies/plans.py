"""What a study is asked for, checked: rows for its words, and the protocols that follow from it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy.orm import Session

from proxy.errors import FieldProblem, InvalidInputError
from proxy.fingerprints import fingerprint
from proxy.protocol_requests import ProtocolRequest, resolve
from proxy.protocols import Protocol as ProtocolSpec
from proxy.protocols import fingerprint_protocol
from proxy.recipes import Recipe as RecipeSpec
from proxy.studies import StudyRecipe, StudyRequest
from proxy.studies.definition import AXIS, KIND, MOST_EPOCHS, REPETITION, Proxies, References, Trained
from worker.parsing import pointing_into, validate
from worker.protocols import resolve_protocol
from worker.recipes import find_recipe
from worker.store.models import Recipe, Study, Suite, Tokenizer
from worker.studies.given import Grid, given_problems
from worker.studies.sets import set_problems
from worker.suites import find_suite
from worker.tokenizers import find_tokenizer

MOST_EVALUATIONS = 5000  # of one study: they are submitted together
SET_CHARACTERS = 100  # of a reference set's name
PROXY, REFERENCE = "proxy", "reference"


@dataclass(frozen=True, kw_only=True)
class PlannedRecipe:
    """A recipe by the name, axis and kind that it has in this study."""

    row: Recipe
    name: str
    axis: str
    kind: str | None
    is_referenced: bool


@dataclass(frozen=True, kw_only=True)
class PlannedSuite:
    """A suite, and the reference set that references on it are registered in."""

    row: Suite
    reference_set: str


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A request whose words have become rows. `base` is what a rate search starts from, `ladder` is by rate."""

    request: StudyRequest
    suites: tuple[PlannedSuite, ...]
    recipes: tuple[PlannedRecipe, ...]
    base: ProtocolSpec
    ladder: dict[float, ProtocolSpec]
    reference: ProtocolSpec

    @property
    def referenced(self) -> tuple[PlannedRecipe, ...]:
        """Those that have references."""
        return tuple(recipe for recipe in self.recipes if recipe.is_referenced)

    @property
    def grid(self) -> Grid:
        """What its references are asked for."""
        asked = self.request.references
        sets = tuple(suite.reference_set for suite in self.suites)
        return Grid(sets=sets, spec=self.reference, rates=asked.rates, first_seed=asked.first_seed)

    @property
    def key(self) -> str:
        """The same study is the same row, in whatever order and words."""
        recipes = sorted(
            [recipe.row.fingerprint, recipe.name, recipe.axis, recipe.kind or "", recipe.is_referenced]
            for recipe in self.recipes
        )
        suites = sorted(suite.row.id for suite in self.suites)
        protocols = [fingerprint_protocol(spec) for spec in (*self.ladder.values(), self.reference)]
        proxies, references = self.request.proxies, self.request.references
        asked = [proxies.seeds, [f"{rate:.9e}" for rate in references.rates], references.seeds]
        first = [proxies.first_seed, references.first_seed]  # said where one is not 0: older studies keep their keys
        return fingerprint([self.request.name, suites, recipes, protocols, asked, *([first] if any(first) else [])])

    def described(self) -> dict[str, Any]:
        """What a row keeps of it."""
        proxies, references = self.request.proxies, self.request.references
        return {
            "description": self.request.description,
            "suites": [{"id": suite.row.id, "reference_set": suite.reference_set} for suite in self.suites],
            "recipes": [
                {
                    "id": recipe.row.id,
                    "name": recipe.name,
                    "axis": recipe.axis,
                    "kind": recipe.kind,
                    "is_referenced": recipe.is_referenced,
                }
                for recipe in self.recipes
            ],
            "proxies": describe_trained(proxies),
            "references": describe_trained(references),
        }


def describe_trained(part: Proxies | References) -> dict[str, Any]:
    """What a row keeps of its proxies, or of its references."""
    return {"rates": list(part.rates), "seeds": part.seeds, "first_seed": part.first_seed}


def trained_of(row: Study, part: str) -> dict[str, Any]:
    """What a row has kept of `proxies` or `references`; those of before began at seed 0, and do not say so."""
    return {"first_seed": 0, **row.spec[part]}


def plan_study(session: Session, request: StudyRequest) -> Plan:
    """InvalidInputError names every field that is wrong; nothing is written."""
    tokenizer = find_tokenizer(session, request.tokenizer)
    proxies, references = request.proxies, request.references
    name = request.named(PROXY)
    plan = Plan(
        request=request,
        suites=_suites(session, request),
        recipes=_recipes(session, request),
        base=_protocol(session, PROXY, proxies, name, max(proxies.rates), tokenizer),
        ladder={
            rate: _protocol(session, PROXY, proxies, f"{name}-at-{rate:g}", rate, tokenizer) for rate in proxies.rates
        },
        reference=_protocol(session, REFERENCE, references, request.named(REFERENCE), max(references.rates), tokenizer),
    )
    _check_size(plan)
    named = [(suite.row, suite.reference_set) for suite in plan.suites]
    problems = list(set_problems(session, request, plan.reference, named))
    if problems := problems or list(_given_in_part(session, plan)):
        raise InvalidInputError(problems)
    return plan


def _given_in_part(session: Session, plan: Plan) -> Iterator[FieldProblem]:
    wanted = {recipe.row.id for recipe in plan.referenced}
    places = {recipe.row.id: index for index, recipe in enumerate(plan.recipes) if recipe.row.id in wanted}
    yield from given_problems(session, plan.grid, places)


def _protocol(
    session: Session, part: str, trained: Trained, name: str, rate: float, tokenizer: Tokenizer
) -> ProtocolSpec:
    """As it will be stored: a definition's command and this registered the same protocols from the first."""
    assert tokenizer.fingerprint is not None  # a usable tokenizer has both
    assert tokenizer.vocabulary is not None
    place = "/proxies" if part == PROXY else "/references"
    with pointing_into(f"{place}/protocol"):
        asked = validate(ProtocolRequest, trained.body(name, tokenizer.fingerprint, rate))
        return resolve_protocol(session, validate(ProtocolSpec, resolve(asked, tokenizer.vocabulary)))


def _suites(session: Session, request: StudyRequest) -> tuple[PlannedSuite, ...]:
    """A reference set is called after its suite, and after the study where the suite is not."""
    found: list[PlannedSuite] = []
    for index, reference in enumerate(request.suites):
        row = find_suite(session, reference, f"/suites/{index}")
        is_own = row.name.startswith(f"{request.name}-")
        name = row.name if is_own else request.named(row.name)
        if any(suite.reference_set == name for suite in found):
            message = f"is there already: its references would be in the same set, {name}"
            raise InvalidInputError.at(f"/suites/{index}", reference, message)
        if len(name) > SET_CHARACTERS:
            message = f"makes the name of a reference set, {name}, longer than {SET_CHARACTERS} characters"
            raise InvalidInputError.at(f"/suites/{index}", reference, message)
        found.append(PlannedSuite(row=row, reference_set=name))
    return tuple(found)


def _recipes(session: Session, request: StudyRequest) -> tuple[PlannedRecipe, ...]:
    rows = [
        find_recipe(session, asked.recipe, f"/recipes/{index}/recipe") for index, asked in enumerate(request.recipes)
    ]
    names = [asked.name or row.name for asked, row in zip(request.recipes, rows, strict=True)]
    wanted = request.references.recipes
    if problems := [*_repeated(request, rows, names), *_unknown(names, wanted or ())]:
        raise InvalidInputError(problems)
    planned = [
        _recipe(f"/recipes/{index}", asked, row, name, wanted is None or name in wanted)
        for index, (asked, row, name) in enumerate(zip(request.recipes, rows, names, strict=True))
    ]
    return tuple(planned)


def _recipe(pointer: str, asked: StudyRecipe, row: Recipe, name: str, is_referenced: bool) -> PlannedRecipe:
    spec = RecipeSpec.model_validate(row.spec)
    axis = asked.axis or spec.tags.get(AXIS)
    if axis is None:
        raise InvalidInputError.at(f"{pointer}/axis", None, f"is missing, and {name} has no such tag: what it varies")
    for leaf in spec.all_leaves():
        if axis != REPETITION and leaf.source.max_epochs > MOST_EPOCHS:
            message = f"{name} may read {leaf.source.corpus} {leaf.source.max_epochs:g} times; above {MOST_EPOCHS:g} a "
            raise InvalidInputError.at(f"{pointer}/axis", axis, f"{message}recipe belongs to the axis {REPETITION}")
    return PlannedRecipe(
        row=row, name=name, axis=axis, kind=asked.kind or spec.tags.get(KIND), is_referenced=is_referenced
    )


def _repeated(request: StudyRequest, rows: list[Recipe], names: list[str]) -> Iterator[FieldProblem]:
    ids = [row.id for row in rows]
    for index, asked in enumerate(request.recipes):
        if ids[index] in ids[:index]:
            message = f"is the same recipe as /recipes/{ids.index(ids[index])}"
            yield FieldProblem(pointer=f"/recipes/{index}/recipe", value=asked.recipe, message=message)
        elif names[index] in names[:index]:
            yield FieldProblem(pointer=f"/recipes/{index}/name", value=names[index], message="is there already")


def _unknown(names: list[str], wanted: tuple[str, ...]) -> Iterator[FieldProblem]:
    for index, name in enumerate(wanted):
        if name not in names:
            message = f"is no recipe of this study: {', '.join(sorted(names))}"
            yield FieldProblem(pointer=f"/references/recipes/{index}", value=name, message=message)


def _check_size(plan: Plan) -> None:
    evaluations = len(plan.suites) * (len(plan.recipes) * len(plan.ladder) + 2 * len(plan.referenced))
    if evaluations > MOST_EVALUATIONS:
        message = f"recipes × rates × suites are {evaluations} evaluations; at most {MOST_EVALUATIONS} are taken"
        raise InvalidInputError.at("/recipes", len(plan.recipes), message)


@contextmanager
def pointing_at(recipe: int, name: str, suite: int) -> Iterator[None]:
    """What an evaluation of a recipe on a suite is refused for is wrong with that recipe, or with that suite."""
    try:
        yield
    except InvalidInputError as error:
        raise InvalidInputError(_placed(one, recipe, name, suite) for one in error.problems) from error


def _placed(one: FieldProblem, recipe: int, name: str, suite: int) -> FieldProblem:
    if one.pointer.startswith("/recipe"):
        message = f"{name}: {one.message} (at {one.pointer.removeprefix('/recipe')})"
        return replace(one, pointer=f"/recipes/{recipe}/recipe", message=message)
    return replace(one, pointer=f"/suites/{suite}") if one.pointer.startswith("/suite") else one
