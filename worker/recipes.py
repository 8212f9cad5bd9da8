"""Recipes: parsed from JSON or YAML, content-addressed, and checked without training anything."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from proxy.errors import InvalidInputError
from proxy.protocols import Protocol as ProtocolSpec
from proxy.recipes import Recipe as RecipeSpec
from proxy.recipes import fingerprint_recipe
from proxy.recipes.differences import compare_specifications as differences_of
from worker.corpora import find_corpus
from worker.lookup import find_or_add, or_not_found, unknown
from worker.parsing import Media, parse_body, validate
from worker.previews import preview
from worker.protocols import find_protocol
from worker.settings import Settings
from worker.store.models import Recipe
from worker.submissions import check_leaks
from worker.suites import find_suite


def parse_recipe(body: bytes | str | dict[str, Any], media: Media = "json", prefix: str = "") -> RecipeSpec:
    """The recipe, or an InvalidInputError that names every field that is wrong."""
    content = body if isinstance(body, dict) else parse_body(body, media)
    return validate(RecipeSpec, content, prefix)


def store_recipe(session: Session, spec: RecipeSpec, prefix: str = "") -> tuple[Recipe, bool]:
    """The row of this content and True if it is new. The same content under another name is the row that is there,
    also where a corpus of it is retired since; nothing new is made of that."""
    corpora = resolve_corpora(session, spec, prefix, allows_retired=True)
    content = fingerprint_recipe(spec, corpora)

    def find() -> Recipe | None:
        return session.scalars(select(Recipe).where(Recipe.fingerprint == content)).first()

    def make() -> Recipe:
        resolve_corpora(session, spec, prefix)
        return Recipe(name=spec.name, fingerprint=content, spec=spec.model_dump(mode="json"), corpora=corpora)

    return find_or_add(session, find, make)


def resolve_corpora(
    session: Session, spec: RecipeSpec, prefix: str = "", *, allows_retired: bool = False
) -> dict[str, str]:
    """Each source's reference and the fingerprint of its corpus. InvalidInputError names the source."""
    found = {}
    for leaf in spec.all_leaves():
        reference, pointer = leaf.source.corpus, f"{prefix}{leaf.pointer}/corpus"
        corpus = find_corpus(session, reference, pointer, allows_retired=allows_retired)
        found[reference] = str(corpus.fingerprint)
    return found


def validate_recipe(
    session: Session, settings: Settings, spec: RecipeSpec, protocol: str | None = None, suite: str | None = None
) -> dict[str, Any]:
    """What a submission would be told: fingerprint, sources after their steps, budget and leaks where asked."""
    corpora = resolve_corpora(session, spec)
    under = None if protocol is None else ProtocolSpec.model_validate(find_protocol(session, protocol).spec)
    report: dict[str, Any] = {
        "name": spec.name,
        "fingerprint": fingerprint_recipe(spec, corpora),
        "recipe": spec.model_dump(mode="json", exclude_none=True),
        **preview(session, settings, spec, under),
    }
    if suite is not None:
        check_leaks(session, settings, spec, find_suite(session, suite))
        report["leaks"] = 0
    return report


def compare_specifications(session: Session, a: str, b: str) -> dict[str, Any]:
    """What sets two registered recipes apart, as content."""
    first, second = get_recipe(session, a), find_recipe(session, b, "/with")
    specs = [RecipeSpec.model_validate(row.spec) for row in (first, second)]
    differences = differences_of(specs[0], specs[1], first.corpora, second.corpora)
    return {"a": first, "b": second, "differences": [asdict(one) for one in differences]}


def find_recipe(session: Session, reference: str, pointer: str = "/recipe") -> Recipe:
    """By name (newest), fingerprint or id. InvalidInputError at `pointer` if there is none."""
    query = select(Recipe).where(or_(Recipe.name == reference, Recipe.fingerprint == reference, Recipe.id == reference))
    row = session.scalars(query.order_by(Recipe.created_at.desc(), Recipe.id)).first()
    if row is None:
        raise unknown(pointer, reference, "recipe", session.scalars(select(Recipe.name)))
    return row


def list_recipes(session: Session) -> Sequence[Recipe]:
    """All recipes, newest last."""
    return session.scalars(select(Recipe).order_by(Recipe.created_at, Recipe.id)).all()


def recipe_of(session: Session, body: str | dict[str, Any]) -> Recipe:
    """The recipe an evaluation asks for: a reference, or the recipe itself, which is then stored."""
    if isinstance(body, str):
        return find_recipe(session, body)
    if not isinstance(body, dict):
        raise InvalidInputError.at("/recipe", body, "is neither a reference nor a recipe")
    return store_recipe(session, parse_recipe(body, prefix="/recipe"), "/recipe")[0]


def get_recipe(session: Session, reference: str) -> Recipe:
    """As `find_recipe`, for a path: NotFoundError if there is none."""
    return or_not_found(lambda: find_recipe(session, reference))
