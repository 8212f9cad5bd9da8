"""Every error leaves as problem+json (RFC 9457), with a JSON pointer to each field at fault and its value."""

import json
import logging
import math
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from sqlalchemy.exc import DataError, IntegrityError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from starlette.exceptions import HTTPException

from proxy.errors import FieldProblem, ForetasteError, InvalidInputError
from worker.parsing import pointer_of

logger = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
LONGEST_VALUE = 500


class FieldError(BaseModel):
    """One field at fault."""

    pointer: str = Field(description="JSON pointer into the body, or the name of a query parameter")
    detail: str
    value: Any = Field(description="what was found there, shortened; NaN and infinities as strings")


class Problem(BaseModel):
    """An error, for programs and people."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    errors: list[FieldError] = []


class UnsupportedMediaTypeError(ForetasteError):
    """The body's content type is not one that the endpoint reads."""

    status = 415
    title = "Unsupported media type"


class MalformedBodyError(InvalidInputError):
    """The body cannot even be parsed."""

    status = 400
    title = "Malformed body"


class BodyTooLargeError(ForetasteError):
    """The body is larger than any specification needs to be."""

    status = 413
    title = "Body too large"


PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"description": text}  # openapi.py adds the schema
    for status, text in ((401, "API key missing or unknown"), (404, "Not found"), (409, "Conflict"), (422, "Invalid"))
}


def install(app: FastAPI) -> None:
    """Registers the handlers: nothing else in the service writes an error."""
    app.add_exception_handler(ForetasteError, _explained)
    app.add_exception_handler(RequestValidationError, _unparsed)
    app.add_exception_handler(HTTPException, _http)
    for unavailable in (OperationalError, InterfaceError, PoolTimeoutError):
        app.add_exception_handler(unavailable, _unavailable)
    app.add_exception_handler(IntegrityError, _overtaken)
    app.add_exception_handler(DataError, _unstorable)
    app.add_exception_handler(Exception, _unexpected)


def problem(
    status: int,
    title: str,
    detail: str,
    fields: Sequence[FieldProblem] = (),
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """The response for one error."""
    errors = [
        {"pointer": _encodable(field.pointer), "detail": _encodable(field.message), "value": json_safe(field.value)}
        for field in fields
    ]
    body = {"type": "about:blank", "title": title, "status": status, "detail": _encodable(detail), "errors": errors}
    if status == HTTPStatus.UNAUTHORIZED:
        headers = {"WWW-Authenticate": "Bearer"}
    return JSONResponse(body, status_code=status, media_type=MEDIA_TYPE, headers=headers)


def _encodable(text: str) -> str:
    """JSON may escape half of a surrogate pair, which UTF-8 cannot carry."""
    return text.encode("utf-8", "backslashreplace").decode()


def json_safe(value: object) -> Any:
    """The value as JSON can carry it, cut where it is long."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value).replace("nan", "NaN")
    if isinstance(value, bytes):
        value = value.decode(errors="replace")
    if isinstance(value, str):
        return _encodable(value if len(value) <= LONGEST_VALUE else value[:LONGEST_VALUE] + "…")
    if isinstance(value, Mapping):
        value = {_encodable(str(key)): json_safe(part) for key, part in value.items()}
    elif isinstance(value, list | tuple):
        value = [json_safe(part) for part in value]
    elif value is not None and not isinstance(value, bool | int | float):
        return _encodable(str(value)[:LONGEST_VALUE])
    return value if len(json.dumps(value)) <= LONGEST_VALUE else json.dumps(value)[:LONGEST_VALUE] + "…"


async def _explained(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ForetasteError)
    fields = error.problems if isinstance(error, InvalidInputError) else ()
    if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        logger.error("%s: %s", error.title, error)
    return problem(error.status, error.title, str(error)[:4000], fields)


async def _unparsed(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    details = error.errors()
    if any(one["type"] == "json_invalid" for one in details):
        reason = details[0].get("ctx", {}).get("error", details[0]["msg"])
        return problem(400, "Malformed body", f"the body is no JSON: {reason}")
    fields = [FieldProblem(pointer=_pointer(one["loc"]), value=one.get("input"), message=one["msg"]) for one in details]
    return problem(422, "Invalid input", "; ".join(f"{one.pointer or '/'}: {one.message}" for one in fields), fields)


def _pointer(location: tuple[int | str, ...]) -> str:
    """Pydantic's location without its first word: a field of the body or a query parameter, by its name."""
    return pointer_of(location[1:])


async def _http(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    return problem(error.status_code, HTTPStatus(error.status_code).phrase, str(error.detail), headers=error.headers)


async def _unavailable(_: Request, error: Exception) -> JSONResponse:
    logger.error("the database does not answer: %s", error)
    return problem(503, "Database unavailable", "the database does not answer; nothing was changed, try again")


async def _overtaken(_: Request, error: Exception) -> JSONResponse:
    logger.warning("two requests met at a constraint: %s", error)
    return problem(409, "Conflict", "another request wrote the same at the same time; nothing was changed, try again")


async def _unstorable(_: Request, error: Exception) -> JSONResponse:
    logger.warning("a value that the database does not store: %s", error)
    return problem(422, "Invalid input", f"a value does not fit into the database: {getattr(error, 'orig', error)}")


async def _unexpected(request: Request, error: Exception) -> JSONResponse:
    logger.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return problem(500, "Internal error", "this is our fault and it is in our log; nothing was changed")
