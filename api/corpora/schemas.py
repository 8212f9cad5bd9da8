"""What corpora look like over HTTP."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from proxy.recipes import Name, Specification
from worker.retirements import Retirement
from worker.store.models import Corpus
from worker.store.states import State


class CorpusIn(Specification):
    """A corpus to register."""

    name: Name
    uri: str = Field(min_length=1, description="file, folder, glob or URL: .jsonl, .jsonl.gz, .jsonl.zst, .parquet")
    text_field: str = Field(default="text", min_length=1)
    fields: tuple[str, ...] = Field(default=(), description="further fields to keep; part of the fingerprint")


class TokensIn(Specification):
    """Tokens of another tool, to be registered as a corpus."""

    name: Name
    tokens: str = Field(min_length=1, description="a flat .npy, or raw little-endian integers of `dtype`; a local path")
    tokenizer: str = Field(min_length=1, description="what made them: name, fingerprint or id")
    offsets: str | None = Field(
        default=None,
        min_length=1,
        description="a .npy of D + 1 ascending positions; without it an end of text ends each document",
    )
    dtype: Literal["uint16", "uint32"] | None = Field(default=None, description="by default what the tokenizer needs")
    text_bytes: str | None = Field(
        default=None, min_length=1, description="a .npy of bytes of UTF-8 a document, or `decode` to count them"
    )


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
    tokenizer: str | None = Field(description="fingerprint, of a corpus that was imported as tokens; else null")
    tokens: int | None = Field(description="of a corpus that was imported as tokens")
    lost: list[str] | None = Field(description="what a corpus that was imported as tokens cannot do")
    job_id: str | None
    created_at: datetime
    retired_at: datetime | None
    retired_reason: str | None


class RetirementOut(BaseModel):
    """What was retired, what failed with it, and what stays."""

    corpora: list[CorpusOut] = Field(description="every registration of the content")
    purged_files: int
    purged_bytes: int
    failed_runs: list[str] = Field(description="unfinished runs that needed it")
    failed_jobs: list[str]
    notes: list[str] = Field(description="what was not touched, and what stays")


def show_retirement(found: Retirement) -> RetirementOut:
    """As people see it."""
    return RetirementOut(
        corpora=[show(row) for row in found.corpora],
        purged_files=found.purged.files,
        purged_bytes=found.purged.bytes,
        failed_runs=list(found.failed_runs),
        failed_jobs=list(found.failed_jobs),
        notes=found.notes,
    )


def show(row: Corpus) -> CorpusOut:
    """A row as people see it."""
    return CorpusOut.model_validate(row)
