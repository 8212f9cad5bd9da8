"""What endpoints ask for: settings, a session that commits at the edge, the API key, the body.

A request is one transaction. The bell is rung after the commit, so a worker never looks before the row is there.

A request holds its connection over several visits to the thread pool (40 threads). If more requests held one than the
engine's pool has (15), threads would wait for connections and the requests that have them for threads: nothing would
move until a timeout. So requests queue for a slot first, on the event loop, and slots are fewer than connections.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import Depends, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer
from sqlalchemy.orm import Session

from api.bodies import require_plain
from api.errors import BodyTooLargeError, MalformedBodyError, UnsupportedMediaTypeError
from proxy.errors import InvalidInputError
from worker.keys import require_key
from worker.parsing import Media, parse_body
from worker.queue import Bell, ring
from worker.settings import Settings
from worker.store.models import ApiKey
from worker.store.sessions import Sessions, read_scope, session_scope

LARGEST_BODY_BYTES = 10_000_000
LARGEST_YAML_BYTES = 500_000  # for recipes written by hand
READS_AT_ONCE = 8  # with the writes 13 of 15 connections; the others are for visits of one thread, such as the key's
WRITES_AT_ONCE = 5  # apart from the reads, which must not queue behind writers that wait for SQLite's lock
MEDIA_TYPES: dict[str, Media] = {
    "application/json": "json",
    "application/yaml": "yaml",
    "application/x-yaml": "yaml",
    "text/yaml": "yaml",
}


@dataclass(frozen=True, kw_only=True)
class Slots:
    """How many requests may hold a connection at once."""

    reads: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(READS_AT_ONCE))
    writes: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(WRITES_AT_ONCE))


class Transaction:
    """A writing session and the bells to ring once it is committed."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self._bells: set[Bell] = set()

    def ring_after_commit(self, *bells: Bell) -> None:
        """Work was added: tell the workers when it can be seen."""
        self._bells |= set(bells)

    @property
    def bells(self) -> frozenset[Bell]:
        """What is to be rung."""
        return frozenset(self._bells)


def settings_of(request: Request) -> Settings:
    """The settings the application was made with."""
    settings: Settings = request.app.state.settings
    return settings


def sessions_of(request: Request) -> Sessions:
    """The application's sessions."""
    sessions: Sessions = request.app.state.sessions
    return sessions


async def _reading_slot(request: Request) -> AsyncIterator[None]:
    async with request.app.state.slots.reads:
        yield


async def _writing_slot(request: Request) -> AsyncIterator[None]:
    async with request.app.state.slots.writes:
        yield


def reading(request: Request, _: Annotated[None, Depends(_reading_slot, scope="function")]) -> Iterator[Session]:
    """A session that only reads, closed before the answer is sent: a slow client holds no connection."""
    with read_scope(sessions_of(request)) as session:
        yield session


def writing(request: Request, _: Annotated[None, Depends(_writing_slot, scope="function")]) -> Iterator[Transaction]:
    """A transaction, committed when the endpoint has returned and before the answer is sent."""
    with session_scope(sessions_of(request)) as session:
        transaction = Transaction(session)
        yield transaction
    for bell in sorted(transaction.bells):
        ring(bell, settings_of(request))


def api_key(
    request: Request,
    bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(HTTPBearer(auto_error=False))],
    header: Annotated[str | None, Depends(APIKeyHeader(name="X-API-Key", auto_error=False))],
) -> ApiKey:
    """The key of a write; UnauthorizedError without a good one. Checked before the body is read."""
    plain = bearer.credentials.strip() if bearer else header
    with read_scope(sessions_of(request)) as session:
        return require_key(session, plain)


async def structured_body(request: Request) -> Any:
    """The body as plain data, JSON or YAML by its content type. NaN survives parsing, so that it can be named."""
    media_type = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if media_type not in MEDIA_TYPES:
        raise UnsupportedMediaTypeError(
            f"content type {media_type!r} is not read; send one of {', '.join(MEDIA_TYPES)}"
        )
    media = MEDIA_TYPES[media_type]
    content = await _read_body(request, LARGEST_BODY_BYTES if media == "json" else LARGEST_YAML_BYTES)
    try:
        # YAML is parsed in Python at about 100 kB a second: never on the event loop
        return await run_in_threadpool(_parse, content, media)
    except InvalidInputError as error:
        raise MalformedBodyError(error.problems) from error


async def plain_body(request: Request) -> bytes:
    """The body of another system's file, unparsed: JSON, YAML, or text that is one of them."""
    media_type = request.headers.get("content-type", "text/plain").partition(";")[0].strip().lower()
    known = (*MEDIA_TYPES, "text/plain")
    if media_type not in known:
        raise UnsupportedMediaTypeError(f"content type {media_type!r} is not read; send one of {', '.join(known)}")
    return await _read_body(request, LARGEST_BODY_BYTES)


async def table_body(request: Request) -> bytes:
    """The body of a CSV table, unread."""
    media_type = request.headers.get("content-type", "text/csv").partition(";")[0].strip().lower()
    if media_type != "text/csv":
        raise UnsupportedMediaTypeError(f"content type {media_type!r} is not read; send text/csv")
    return await _read_body(request, LARGEST_BODY_BYTES)


def _parse(content: bytes, media: Media) -> Any:
    parsed = parse_body(content, media)
    require_plain(parsed)
    return parsed


async def _read_body(request: Request, limit: int) -> bytes:
    """All of it, or BodyTooLargeError as soon as it is known to be too large: no more than the limit is ever held."""
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > limit:
        raise BodyTooLargeError(f"the body has {int(announced):,} bytes; at most {limit:,} are read")
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > limit:
            raise BodyTooLargeError(f"the body is larger than {limit:,} bytes, and no more are read")
    return bytes(content)


SettingsOf = Annotated[Settings, Depends(settings_of)]
Reading = Annotated[Session, Depends(reading, scope="function")]
Writing = Annotated[Transaction, Depends(writing, scope="function")]
Key = Annotated[ApiKey, Depends(api_key)]
Body = Annotated[Any, Depends(structured_body)]
TableBody = Annotated[bytes, Depends(table_body)]
PlainBody = Annotated[bytes, Depends(plain_body)]
