"""API keys."""

from datetime import datetime

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from api.dependencies import Body, Key, Reading, Writing
from api.openapi import takes
from proxy.recipes import Specification
from worker import keys
from worker.parsing import validate

router = APIRouter(prefix="/keys", tags=["keys"])


class KeyIn(Specification):
    """A key to make."""

    name: str = Field(min_length=1, max_length=100, description="who or what will use it")


class KeyOut(BaseModel):
    """A key without its secret."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    name: str
    created_at: datetime
    revoked_at: datetime | None


class NewKeyOut(KeyOut):
    """A new key; `key` is shown this once."""

    key: str


@router.post("", status_code=201, openapi_extra=takes(KeyIn))
def create(key: Key, body: Body, writing: Writing) -> NewKeyOut:
    """Makes a key."""
    row, plain = keys.create_key(writing.session, validate(KeyIn, body).name)
    return NewKeyOut(**KeyOut.model_validate(row).model_dump(), key=plain)


@router.get("")
def show_all(key: Key, session: Reading) -> list[KeyOut]:
    """All keys, without secrets; only for holders of one."""
    return [KeyOut.model_validate(row) for row in keys.list_keys(session)]


@router.delete("/{key_id}", status_code=204)
def revoke(key: Key, key_id: str, writing: Writing) -> None:
    """From now on the key opens nothing."""
    keys.revoke_key(writing.session, key_id)
