"""API keys: shown once, kept as hashes. A key has 256 random bits: a plain SHA-256 leaves nothing to guess."""

import hashlib
import os
import secrets
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from proxy.errors import NotFoundError, UnauthorizedError
from worker.store.models import ApiKey, utc_now

PREFIX = "ft_"
FIRST_KEY_NAME = "first"


def create_key(session: Session, name: str) -> tuple[ApiKey, str]:
    """A new key and its plain text, which is stored nowhere."""
    plain = PREFIX + secrets.token_urlsafe(32)
    row = ApiKey(name=name, digest=_digest(plain))
    session.add(row)
    session.flush()
    return row, plain


def require_key(session: Session, plain: str | None) -> ApiKey:
    """The key's row; UnauthorizedError if it is missing, unknown or revoked."""
    if not plain:
        raise UnauthorizedError("send the API key as `Authorization: Bearer KEY` or `X-API-Key: KEY`")
    row = session.scalars(select(ApiKey).where(ApiKey.digest == _digest(plain))).first()
    if row is None or row.revoked_at is not None:
        raise UnauthorizedError("this API key is unknown or revoked")
    return row


def ensure_first_key(session: Session, data_dir: Path) -> str | None:
    """Makes the first key and writes it to `data_dir`/api-key (mode 600); None if there is one that is good.

    Whoever revoked the last key is let in again by a restart, on the machine itself.
    """
    if session.scalars(select(ApiKey).where(ApiKey.revoked_at.is_(None)).limit(1)).first() is not None:
        return None
    _, plain = create_key(session, FIRST_KEY_NAME)
    data_dir.mkdir(parents=True, exist_ok=True)
    path = data_dir / "api-key"
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as handle:
        handle.write(plain + "\n")
    return plain


def list_keys(session: Session) -> Sequence[ApiKey]:
    """All keys, oldest first."""
    return session.scalars(select(ApiKey).order_by(ApiKey.created_at, ApiKey.id)).all()


def revoke_key(session: Session, key_id: str) -> ApiKey:
    """From now on the key opens nothing. NotFoundError if there is no such key."""
    row = session.get(ApiKey, key_id)
    if row is None:
        raise NotFoundError(f"no API key {key_id!r}")
    row.revoked_at = row.revoked_at or utc_now()
    return row


def _digest(plain: str) -> str:
    return hashlib.sha256(plain.encode()).hexdigest()
