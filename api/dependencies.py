"""What endpoints ask for: settings, a session that commits at the edge, the API key, the body.

A request is one transaction. The bell is rung after the commit, so a worker never looks before the row is there.
"""

from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import Depends, Header, Request
from sqlalchemy.orm import Session

from api.errors import BodyTooLargeError, MalformedBodyError, UnsupportedMediaTypeError
from proxy.errors import InvalidInputError
from worker.keys import require_key
from worker.parsing import Media, parse_body
from worker.queue import Bell, ring
from worker.settings import Settings
from worker.store.models import ApiKey
from worker.store.sessions import Sessions, read_scope, session_scope

LARGEST_BODY_BYTES = 10_000_000
MEDIA_TYPES: dict[str, Media] = {
    "application/json": "json",
    "application/yaml": "yaml",
    "application/x-yaml": "yaml",
    "text/yaml": "yaml",
}


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


def reading(request: Request) -> Iterator[Session]:
    """A session that only reads."""
    with read_scope(sessions_of(request)) as session:
        yield session


def writing(request: Request) -> Iterator[Transaction]:
    """A transaction, committed when the endpoint has returned and before the answer is sent."""
    with session_scope(sessions_of(request)) as session:
        transaction = Transaction(session)
        yield transaction
    for bell in sorted(transaction.bells):
        ring(bell, settings_of(request))


def api_key(
    request: Request,
    authorization: Annotated[str | None, Header()] = None,
    x_api_key: Annotated[str | None, Header()] = None,
) -> ApiKey:
    """The key of a write; UnauthorizedError without a good one. Checked before the body is read."""
    scheme, _, token = (authorization or "").partition(" ")
    plain = token.strip() if scheme.lower() == "bearer" else x_api_key
    with read_scope(sessions_of(request)) as session:
        return require_key(session, plain)


async def structured_body(request: Request) -> Any:
    """The body as plain data, JSON or YAML by its content type. NaN survives parsing, so that it can be named."""
    content = await request.body()
    if len(content) > LARGEST_BODY_BYTES:
        raise BodyTooLargeError(f"the body has {len(content):,} bytes; at most {LARGEST_BODY_BYTES:,} are read")
    media_type = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if media_type not in MEDIA_TYPES:
        raise UnsupportedMediaTypeError(
            f"content type {media_type!r} is not read; send one of {', '.join(MEDIA_TYPES)}"
        )
    try:
        return parse_body(content, MEDIA_TYPES[media_type])
    except InvalidInputError as error:
        raise MalformedBodyError(error.problems) from error


SettingsOf = Annotated[Settings, Depends(settings_of)]
Reading = Annotated[Session, Depends(reading)]
Writing = Annotated[Transaction, Depends(writing, scope="function")]
Key = Annotated[ApiKey, Depends(api_key)]
Body = Annotated[Any, Depends(structured_body)]
