"""What a ranking optimises: immutable, versioned held-out sets."""

from fastapi import APIRouter, Response

from api.dependencies import Body, Key, Reading, SettingsOf, Writing
from api.openapi import takes
from api.pagination import Cursor, Limit, Page, paginate
from api.suites.schemas import SuiteOut, show
from proxy.suites import Suite
from worker import suites
from worker.parsing import validate

router = APIRouter(prefix="/suites", tags=["suites"])


@router.post("", status_code=201, openapi_extra=takes(Suite))
def register(key: Key, body: Body, writing: Writing, settings: SettingsOf, response: Response) -> SuiteOut:
    """Registers a version; 200 if this content is there under this name."""
    row, is_new = suites.store_suite(writing.session, validate(Suite, body), settings)
    response.status_code = 201 if is_new else 200
    response.headers["Location"] = f"/v1/suites/{row.id}"
    return show(row)


@router.get("")
def show_all(session: Reading, limit: Limit = 100, cursor: Cursor = None) -> Page[SuiteOut]:
    """All versions, oldest first."""
    return paginate(suites.list_suites(session), cursor, limit, show)


@router.get("/{suite}")
def show_one(suite: str, session: Reading) -> SuiteOut:
    """One version by id, fingerprint, name@version, or name (the newest)."""
    return show(suites.get_suite(session, suite))
