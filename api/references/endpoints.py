"""Registered large-scale results."""

from fastapi import APIRouter, Response

from api.dependencies import Body, Key, Reading, SettingsOf, Writing
from api.openapi import takes
from api.pagination import Cursor, Limit, Page, paginate
from api.references.schemas import ReferenceIn, ReferenceOut, show
from worker import references
from worker.agreement import references_changed
from worker.parsing import validate

router = APIRouter(prefix="/references", tags=["references"])


@router.post("", status_code=201, openapi_extra=takes(ReferenceIn))
def register(key: Key, body: Body, writing: Writing, settings: SettingsOf, response: Response) -> ReferenceOut:
    """Registers a result and measures every leaderboard's agreement again; 200 if the same is there."""
    row, is_new = references.register_reference(writing.session, validate(ReferenceIn, body).fields())
    if is_new:
        references_changed(writing.session, settings)
    response.status_code = 201 if is_new else 200
    response.headers["Location"] = f"/v1/references/{row.id}"
    return show(references.get_reference(writing.session, row.id))


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
