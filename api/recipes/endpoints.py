"""Training mixtures, sent as JSON or YAML."""

from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from api.dependencies import Body, Key, Reading, SettingsOf, Writing
from api.openapi import takes, takes_file
from api.pagination import Cursor, Limit, Page, paginate
from api.recipes.imports import Imported, ImportOut, show_import
from api.recipes.schemas import DiffOut, RecipeOut, ValidationOut, show
from proxy.importers import FORMATS
from proxy.recipes import Recipe
from worker import recipes
from worker.parsing import validate

router = APIRouter(tags=["recipes"])


@router.post("/recipes", status_code=201, openapi_extra=takes(Recipe))
def register(key: Key, body: Body, writing: Writing, response: Response) -> RecipeOut:
    """Registers a recipe; 200 if its content is there, under whatever name."""
    row, is_new = recipes.store_recipe(writing.session, validate(Recipe, body))
    response.status_code = 201 if is_new else 200
    response.headers["Location"] = f"/v1/recipes/{row.id}"
    return show(writing.session, row)


@router.post("/recipes:validate", openapi_extra=takes(Recipe))
def check(
    key: Key,
    body: Body,
    session: Reading,
    settings: SettingsOf,
    protocol: str | None = None,
    suite: str | None = None,
) -> ValidationOut:
    """Checks a recipe without storing it; with a protocol its budget too, with a suite its leaks."""
    report = recipes.validate_recipe(session, settings, validate(Recipe, body), protocol, suite)
    return ValidationOut.model_validate(report)


@router.post("/recipes:import", openapi_extra=takes_file(f"A recipe file of another system: {', '.join(FORMATS)}."))
def import_file(key: Key, report: Imported, writing: Writing, register: bool = False) -> ImportOut:
    """Recipes of another system's file and where each of its fields went; `register` stores them, all or none."""
    rows = [
        recipes.store_recipe(writing.session, spec, f"/recipes/{index}")[0]
        for index, spec in enumerate(report.recipes if register else ())
    ]
    return show_import(report, [show(writing.session, row) for row in rows])


@router.get("/recipes")
def show_all(session: Reading, limit: Limit = 100, cursor: Cursor = None) -> Page[RecipeOut]:
    """All recipes, oldest first."""
    return paginate(recipes.list_recipes(session), cursor, limit, partial(show, session))


@router.get("/recipes/{recipe}:diff")
def show_differences(
    recipe: str, session: Reading, other: Annotated[str, Query(alias="with", description="another recipe")]
) -> DiffOut:
    """What sets two recipes apart as content: sources, shares, steps, order, phases; names and tags do not count."""
    found = recipes.compare_specifications(session, recipe, other)
    sides = {side: show(session, found[side]) for side in ("a", "b")}
    return DiffOut.model_validate({**found, **sides})


@router.get("/schemas/recipe")
def show_schema() -> dict[str, Any]:
    """JSON Schema of a recipe, for editors and for checks before anything is sent."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Recipe.model_json_schema()}


@router.get("/recipes/{recipe}")
def show_one(recipe: str, session: Reading) -> RecipeOut:
    """One recipe by id, fingerprint or name (the newest of that name)."""
    return show(session, recipes.get_recipe(session, recipe))
