"""How proxies are trained: immutable, versioned."""

from fastapi import APIRouter, Response

from api.dependencies import Body, Key, Reading, SettingsOf, Writing
from api.openapi import takes
from api.pagination import Cursor, Limit, Page, paginate
from api.protocols.schemas import AnchorsIn, ProtocolOut, show
from proxy.protocol_requests import ProtocolRequest
from worker import anchors, protocols
from worker.parsing import validate

router = APIRouter(prefix="/protocols", tags=["protocols"])


@router.post("", status_code=201, openapi_extra=takes(ProtocolRequest))
def register(key: Key, body: Body, writing: Writing, response: Response) -> ProtocolOut:
    """Registers a version; 200 if this content is there under this name. The shape may be a preset's name
    (`/v1/presets`), length and batch in tokens: what is stored is in numbers."""
    row, is_new = protocols.register_protocol(writing.session, body)
    response.status_code = 201 if is_new else 200
    response.headers["Location"] = f"/v1/protocols/{row.id}"
    return show(row)


@router.post("/{protocol}:measure-anchors", status_code=201, openapi_extra=takes(AnchorsIn))
def measure_anchors(
    key: Key, protocol: str, body: Body, writing: Writing, settings: SettingsOf, response: Response
) -> ProtocolOut:
    """The next version of the protocol, which knows the seed noise of recipes that were evaluated under this one with
    at least two seeds; 200 if it is there. Nothing is trained again."""
    asked = validate(AnchorsIn, body)
    found = protocols.get_protocol(writing.session, protocol)
    row, is_new = anchors.measure_anchors(writing.session, settings, found.id, asked.suite, asked.recipes)
    response.status_code = 201 if is_new else 200
    response.headers["Location"] = f"/v1/protocols/{row.id}"
    return show(row)


@router.get("")
def show_all(session: Reading, limit: Limit = 100, cursor: Cursor = None) -> Page[ProtocolOut]:
    """All versions, oldest first."""
    return paginate(protocols.list_protocols(session), cursor, limit, show)


@router.get("/{protocol}")
def show_one(protocol: str, session: Reading) -> ProtocolOut:
    """One version by id, fingerprint, name@version, or name (the newest)."""
    return show(protocols.get_protocol(session, protocol))
