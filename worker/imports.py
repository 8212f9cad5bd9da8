"""Bulk import of results: every row is checked against the others and against what is stored, then all are written.

The same result again is unchanged. Another value for the same recipe, setting and seed is refused: no result is
overwritten. Faults are collected; with any of them nothing is written, unless the caller asked for the rest.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from proxy.fingerprints import fingerprint
from proxy.results.tables import Problems
from worker.agreement import references_changed
from worker.external import update_external_agreements
from worker.ledger import Fault, ImportedResult, Result, read_ledger, read_recipes
from worker.references import request_key
from worker.settings import Settings
from worker.store.models import ExternalScore, Recipe, Reference

LONGEST_NAME = 200


@dataclass(frozen=True, kw_only=True)
class ImportReport:
    """How many rows were written, were there already, or have a fault."""

    imported: int
    unchanged: int
    refused: int


def import_results(
    session: Session,
    settings: Settings,
    results: Sequence[ImportedResult],
    problems: Problems,
    *,
    is_partial: bool = False,
    allow_unregistered: bool = False,
) -> ImportReport:
    """Writes what is new in the caller's transaction and measures agreements again, once.

    `problems` has what was wrong with the table already; InvalidInputError with all of them, unless `is_partial`.
    """
    recipes = read_recipes(session, results)
    ledger = read_ledger(session, results)
    new: list[Result] = []
    unchanged = 0
    for result in results:
        recipe = recipes.get(result.recipe)
        fault = None if recipe is not None else _unregistered(result, is_allowed=allow_unregistered)
        taken = fault or ledger.take(result, f"name:{result.recipe}" if recipe is None else recipe.id)
        if isinstance(taken, Fault):
            problems.add(result.row, taken.column, taken.message)
        elif taken:
            new.append(_make(result, recipe))
        else:
            unchanged += 1
    if not is_partial:
        problems.raise_any()
    _store(session, settings, new)
    return ImportReport(imported=len(new), unchanged=unchanged, refused=len(problems.rows))


def _unregistered(result: ImportedResult, *, is_allowed: bool) -> Fault | None:
    """A misspelt name must not become a recipe of its own unless the caller said that names may be unknown."""
    if not is_allowed:
        message = "no such recipe is registered (allow_unregistered keeps results under names that are not)"
        return Fault(column="recipe", message=message)
    if len(result.recipe) > LONGEST_NAME:
        return Fault(column="recipe", message=f"a recipe's name has at most {LONGEST_NAME} characters")
    return None


def _make(result: ImportedResult, recipe: Recipe | None) -> Result:
    name = result.recipe if recipe is None else recipe.name
    content = fingerprint({"unregistered": name}) if recipe is None else recipe.fingerprint
    columns = {**result.values, "recipe_id": None if recipe is None else recipe.id, "recipe_name": name}
    if result.kind == "reference":
        said = {**result.values, "reference_set": result.set_name, "evaluation": None}
        return Reference(reference_set=result.set_name, request_key=request_key(said, content), **columns)
    said = {**result.values, "proxy_set": result.set_name}
    return ExternalScore(proxy_set=result.set_name, request_key=request_key(said, content), **columns)


def _store(session: Session, settings: Settings, new: Sequence[Result]) -> None:
    """In the order of the keys: two imports of the same rows then wait for each other instead of locking up."""
    ordered: list[Result] = sorted(new, key=lambda row: row.request_key)
    session.add_all(ordered)
    session.flush()
    references = sorted({row.reference_set for row in new if isinstance(row, Reference)})
    scores = sorted({row.proxy_set for row in new if isinstance(row, ExternalScore)})
    if references:
        references_changed(session, settings, references)
    if scores:
        update_external_agreements(session, changed_proxies=scores)
