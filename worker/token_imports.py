"""Corpora that come in as tokens of another tool: registered at once, read and copied into a store by a job."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from proxy.data.files import is_url, require_within
from proxy.data.textless import Textless
from proxy.errors import InvalidInputError
from worker.corpora import retirement_words
from worker.jobs import JobKind
from worker.lookup import find_or_add
from worker.settings import Settings
from worker.store.models import Corpus, Job, Tokenizer
from worker.store.states import State
from worker.tokenizers import find_tokenizer

DECODE = "decode"


@dataclass(frozen=True, kw_only=True)
class TokenFiles:
    """Paths as proxy.data.tokens.import_tokens takes them; `text_bytes` is the path of a .npy of bytes a document, or
    "decode" to count them, or None."""

    tokens: str
    offsets: str | None = None
    dtype: Literal["uint16", "uint32"] | None = None
    text_bytes: str | None = None

    def paths(self) -> dict[str, str]:
        """Files that are read, by the field that names them."""
        named = {"tokens": self.tokens, "offsets": self.offsets, "text_bytes": self.text_bytes}
        return {name: path for name, path in named.items() if path is not None and path != DECODE}


def import_corpus(
    session: Session, settings: Settings, name: str, files: TokenFiles, tokenizer: str
) -> tuple[Corpus, bool]:
    """The corpus and True if it is new: unchanged files of a name are the same revision.

    InvalidInputError at /tokens, /offsets, /text_bytes for a file that is not there or may not be read, at /tokenizer
    for an unknown one.
    """
    identity = [_identity(field, path, settings) for field, path in files.paths().items()]
    made_by = str(find_tokenizer(session, tokenizer).fingerprint)
    payload: dict[str, Any] = {"files": identity, **asdict(files)}

    def find() -> Corpus | None:
        newest = session.scalars(
            select(Corpus).where(Corpus.name == name).order_by(Corpus.revision.desc()).limit(1)
        ).first()
        is_same = (
            newest is not None
            and newest.state not in (State.FAILED, State.CANCELLED)
            and newest.tokenizer == made_by
            and session.get_one(Job, newest.job_id).payload == payload
        )
        return newest if is_same else None

    def make() -> Corpus:
        job = Job(kind=JobKind.IMPORT_TOKENS, payload=payload)
        session.add(job)
        session.flush()
        revision = 1 + (session.scalar(select(func.max(Corpus.revision)).where(Corpus.name == name)) or 0)
        return Corpus(
            name=name, revision=revision, uri=files.tokens, text_field="", fields=[], tokenizer=made_by, job_id=job.id
        )

    if (known := find()) is not None and known.retired_at is not None:
        raise InvalidInputError.at("/tokens", files.tokens, f"{retirement_words(known)}; it is not registered again")
    return find_or_add(session, find, make)


def _identity(field: str, path: str, settings: Settings) -> list[Any]:
    """Name, size and modification time. InvalidInputError at the field for what is no readable file below the roots."""
    pointer = f"/{field}"
    if is_url(path):
        raise InvalidInputError.at(pointer, path, "is a URL; tokens are mapped into memory, so copy them to a disk")
    try:
        require_within(path, settings.corpus_roots)
        if not Path(path).is_file():
            raise InvalidInputError.at(pointer, path, "no file is there")
        state = Path(path).stat()
        with Path(path).open("rb"):
            pass
    except InvalidInputError as error:
        raise InvalidInputError.at(pointer, path, error.problems[0].message) from error
    except (OSError, ValueError) as error:
        raise InvalidInputError.at(pointer, path, f"cannot be read: {error}") from error
    return [path, state.st_size, state.st_mtime_ns]


def textless_of(session: Session, corpora: Sequence[tuple[str, Corpus]]) -> dict[str, Textless]:
    """Those that came in as tokens, by the reference they stand under."""
    return {
        reference: Textless(
            tokenizer=row.tokenizer,
            tokenizer_name=_name_of(session, row.tokenizer),
            has_characters=row.characters is not None,
        )
        for reference, row in corpora
        if row.tokenizer is not None
    }


def _name_of(session: Session, fingerprint: str) -> str:
    found = select(Tokenizer.name).where(Tokenizer.fingerprint == fingerprint).order_by(Tokenizer.created_at)
    return session.scalars(found).first() or fingerprint
