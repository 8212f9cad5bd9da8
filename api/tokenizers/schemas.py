"""What tokenizers look like over HTTP."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from proxy.recipes import Name, Specification
from worker.store.models import Tokenizer
from worker.store.states import State


class TrainingIn(Specification):
    """A byte-level BPE to train on registered corpora."""

    vocabulary: int = Field(ge=258, le=1_000_000)
    corpora: tuple[str, ...] = Field(min_length=1, description="in equal parts of the sample")
    sample_bytes: int = Field(default=10_000_000, ge=1000)


class TokenizerIn(Specification):
    """Either a tokenizer.json (as an object or a string) or a training."""

    name: Name
    tokenizer: dict[str, Any] | str | None = None
    train: TrainingIn | None = None

    @model_validator(mode="after")
    def _is_one_of_both(self) -> "TokenizerIn":
        if (self.tokenizer is None) == (self.train is None):
            raise ValueError("needs either `tokenizer` or `train`")
        return self


class TokenizerOut(BaseModel):
    """A tokenizer; fingerprint and vocabulary are null until it is trained."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    name: str
    state: State
    error: str | None
    fingerprint: str | None
    vocabulary: int | None
    job_id: str | None
    created_at: datetime


def show(row: Tokenizer) -> TokenizerOut:
    """A row as people see it."""
    return TokenizerOut.model_validate(row)
