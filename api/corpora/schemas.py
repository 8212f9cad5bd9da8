"""What corpora look like over HTTP."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from proxy.recipes import Name, Specification
from worker.store.models import Corpus
from worker.store.states import State


class CorpusIn(Specification):
    """A corpus to register."""

    name: Name
    uri: str = Field(min_length=1, description="file, folder, glob or URL: .jsonl, .jsonl.gz, .jsonl.zst, .parquet")
    text_field: str = Field(default="text", min_length=1)
    fields: tuple[str, ...] = Field(default=(), description="further fields to keep; part of the fingerprint")


class TokeniseIn(Specification):
    """With which tokenizer."""

    tokenizer: str = Field(min_length=1, description="name, fingerprint or id")


class CorpusOut(BaseModel):
    """One revision; fingerprint and counts are null until it has been read."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    name: str
    revision: int
    uri: str
    text_field: str
    fields: list[str]
    state: State
    error: str | None
    fingerprint: str | None
    documents: int | None
    characters: int | None
    text_bytes: int | None
    job_id: str | None
    created_at: datetime


def show(row: Corpus) -> CorpusOut:
    """A row as people see it."""
    return CorpusOut.model_validate(row)
