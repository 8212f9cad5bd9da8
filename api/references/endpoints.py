"""Registered large-scale results."""

from fastapi import APIRouter, Response

from api.dependencies import Body, Key, Reading, SettingsOf, TableBody, Writing
from api.openapi import takes, takes_table
from api.pagination import Cursor, Limit, Page, paginate
from api.references.imports import COLUMNS, ImportOut, read_results, show_report
from api.references.schemas import ReferenceIn, ReferenceOut, show
from proxy.results.tables import Problems, in_body
from worker import imports, references
from worker.agreement import references_changed
from worker.parsing import validate

router = APIRouter(prefix="/references", tags=["references"])


@router.post("", status_code=201, openapi_extra=takes(ReferenceIn))
def register(key: Key, body: Body, writing: Writing, settings: SettingsOf, response: Response) -> ReferenceOut:
    """Registers a result and measures every leaderboard's agreement again; 200 if the same is there."""
    row, is_new = references.register_reference(writing.session, validate(ReferenceIn, body).fields())
    if is_new:
        references_changed(writing.session, settings, [row.reference_set])
    response.status_code = 201 if is_new else 200
    response.headers["Location"] = f"/v1/references/{row.id}"
    return show(references.get_reference(writing.session, row.id))


@router.post(":import", openapi_extra=takes_table(COLUMNS))
def import_table(
    key: Key,
    body: TableBody,
    writing: Writing,
    settings: SettingsOf,
    partial: bool = False,
    allow_unregistered: bool = False,
) -> ImportOut:
    """Registers references and external proxy scores of a CSV table, all rows or none; `partial` takes the good ones.

    `allow_unregistered` keeps results of recipes that are not registered under the names they have in the table.
    """
    problems = Problems(place=in_body)
    results = read_results(body, problems)
    report = imports.import_results(
        writing.session, settings, results, problems, is_partial=partial, allow_unregistered=allow_unregistered
    )
    return show_report(report, problems)


@router.get("")
def show_all(
    session: Reading,
    reference_set: str | None = None,
    recipe: str | None = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[ReferenceOut]:
    """Results with their labels, oldest first."""
    return paginate(references.list_references(session, reference_set, recipe), cursor, limit, show)


@router.get("/{reference_id}")
def show_one(reference_id: str, session: Reading) -> ReferenceOut:
    """One result."""
    return show(references.get_reference(session, reference_id))
