"""Corpora: registered at once after quick checks, read to their end by a job.

A name has revisions: the same place with unchanged files is the same revision, anything else is the next one.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from proxy.data.corpora import CorpusLocation, find_files, read_documents, read_file
from proxy.data.documents import DocumentTable
from proxy.data.files import is_url
from proxy.data.scans import was_read
from proxy.errors import ConflictError, InvalidInputError, NotFoundError
from worker.artifacts import copies_folder, documents_folder, documents_path
from worker.jobs import JobKind
from worker.lookup import find_or_add, split_version, unknown
from worker.settings import Settings
from worker.sharing import has_documents
from worker.store.models import Corpus, Job
from worker.store.states import State

LOOK_FILES = 64
LOOK_CHARACTERS = 8_000_000  # about a tenth of a second of reading


def register_corpus(
    session: Session,
    name: str,
    uri: str,
    text_field: str = "text",
    fields: Sequence[str] = (),
    settings: Settings | None = None,
) -> tuple[Corpus, bool]:
    """The corpus and True if it is new. InvalidInputError for what can be seen at once: nothing that may be read, an
    unknown type, a file whose beginning cannot be read or lacks the text field, a fault in the first
    `LOOK_CHARACTERS`. Files that were read before, under whatever name, are not opened."""
    location = _location(uri, text_field, fields, settings)
    identity = _file_identity(location)

    def find() -> Corpus | None:
        newest = _newest(session, name)
        is_same = (
            newest is not None
            and newest.state not in (State.FAILED, State.CANCELLED)
            and (newest.uri, newest.text_field, list(newest.fields)) == (uri, text_field, list(fields))
            and session.get_one(Job, newest.job_id).payload["files"] == identity
        )
        return newest if is_same else None

    def make() -> Corpus:
        job = Job(kind=JobKind.REGISTER_CORPUS, payload={"files": identity})
        session.add(job)
        session.flush()
        revision = 1 + (session.scalar(select(func.max(Corpus.revision)).where(Corpus.name == name)) or 0)
        return Corpus(name=name, revision=revision, uri=uri, text_field=text_field, fields=list(fields), job_id=job.id)

    if (known := find()) is not None:
        if known.retired_at is not None:
            raise InvalidInputError.at("/uri", uri, f"{retirement_words(known)}; it is not registered again")
        return known, False
    if settings is None or not was_read(location, documents_folder(settings)):
        _look_inside(location)
    return find_or_add(session, find, make)


def location_of(settings: Settings, corpus: Corpus) -> CorpusLocation:
    """Where a registered corpus is read."""
    return _location(corpus.uri, corpus.text_field, corpus.fields, settings)


def _location(uri: str, text_field: str, fields: Sequence[str], settings: Settings | None) -> CorpusLocation:
    location = CorpusLocation(uri=uri, text_field=text_field, fields=tuple(fields))
    if settings is None:
        return location
    return replace(location, roots=settings.corpus_roots, cache=copies_folder(settings))


def _look_inside(location: CorpusLocation) -> None:
    """Reads what a request can wait for: a beginning of many files, and small corpora to their end, so that a file
    that was cut off is refused at once. The job reads everything."""
    if is_url(location.uri):
        _look_at_one(location)
        return
    files = find_files(location)
    for file in files[:LOOK_FILES]:
        next(read_file(file, location), None)
    left: int | None = None
    for document in chain.from_iterable(read_file(file, location) for file in files):
        left = (LOOK_CHARACTERS if left is None else left) - len(document.text)
        if left <= 0:
            return
    if left is None:
        raise InvalidInputError.at("/uri", location.uri, "holds no document")


def _look_at_one(location: CorpusLocation) -> None:
    """The beginning of a remote corpus's first file, without copying it: a request cannot wait for more."""
    next(read_documents(replace(location, cache=None)), None)


def _file_identity(location: CorpusLocation) -> list[list[Any]]:
    """Name, size and modification time (or a store's tag) of each file: a changed file makes a new revision."""
    return [[file.place, file.state.size, _as_stored(file.state.version)] for file in find_files(location)]


def _as_stored(version: str | None) -> int | str | None:
    """Local files have always been stored with a number."""
    return int(version) if version is not None and version.isdecimal() else version


def _newest(session: Session, name: str, state: State | None = None) -> Corpus | None:
    query = select(Corpus).where(Corpus.name == name).order_by(Corpus.revision.desc()).limit(1)
    return session.scalars(query if state is None else query.where(Corpus.state == state)).first()


def find_corpus(session: Session, reference: str, pointer: str = "/corpus", *, allows_retired: bool = False) -> Corpus:
    """A counted corpus by name (newest revision), name@revision, fingerprint or id.

    InvalidInputError at `pointer` if there is none, or if all that there were are retired; ConflictError while it is
    still being read, or if reading failed.
    """
    found = find_revisions(session, reference, pointer)
    counted = [row for row in found if row.state == State.FINISHED]
    live = next((row for row in counted if row.retired_at is None), None)
    if live is not None:
        return live
    if counted and allows_retired:
        return counted[0]
    gone = next((row for row in found if row.retired_at is not None), None)
    if gone is not None:
        raise InvalidInputError.at(pointer, reference, retirement_words(gone))
    reason = f": {found[0].error}" if found[0].error else ""
    raise ConflictError(f"corpus {reference} is not usable yet, its registration is {found[0].state}{reason}")


def find_text(session: Session, reference: str, pointer: str = "/corpus") -> Corpus:
    """As `find_corpus`, for what reads text. InvalidInputError at `pointer` for one that was imported as tokens."""
    row = find_corpus(session, reference, pointer)
    if row.tokenizer is not None:
        raise InvalidInputError.at(pointer, reference, "was imported as tokens; its text is not there")
    return row


def require_field(pointer: str, field: str | None, corpus: Corpus) -> None:
    """InvalidInputError at `pointer` for a field that the corpus was registered without; None asks for none."""
    if field is not None and field not in corpus.fields:
        known = ", ".join(corpus.fields) or "none"
        raise InvalidInputError.at(
            pointer, field, f"corpus {corpus.name} was registered without this field; it has {known}"
        )


def find_revisions(session: Session, reference: str, pointer: str = "/corpus") -> Sequence[Corpus]:
    """Every registration that a name, name@revision, fingerprint or id means, newest first, whatever its state.
    InvalidInputError at `pointer` if there is none."""
    name, revision = split_version(reference)
    query = select(Corpus).where(or_(Corpus.name == name, Corpus.fingerprint == reference, Corpus.id == reference))
    if revision is not None:
        query = query.where(Corpus.revision == revision)
    found = session.scalars(query.order_by(Corpus.created_at.desc(), Corpus.revision.desc())).all()
    if not found:
        raise unknown(pointer, reference, "corpus", session.scalars(select(Corpus.name)))
    return found


def retirement_words(row: Corpus) -> str:
    """When and why a retired corpus went."""
    assert row.retired_at is not None
    return f"corpus {row.name}@{row.revision} was retired on {row.retired_at:%-d %B %Y}: {row.retired_reason}"


def get_corpus(session: Session, corpus_id: str) -> Corpus:
    """Any corpus by id, whatever its state. NotFoundError if there is none."""
    row = session.get(Corpus, corpus_id)
    if row is None:
        raise NotFoundError(f"no corpus {corpus_id!r}")
    return row


def list_corpora(session: Session) -> Sequence[Corpus]:
    """All revisions of all corpora, newest last."""
    return session.scalars(select(Corpus).order_by(Corpus.created_at, Corpus.id)).all()


def load_documents(settings: Settings, corpus: Corpus) -> DocumentTable:
    """The table of a counted corpus."""
    assert corpus.fingerprint is not None
    folder: Path = documents_path(settings, corpus.fingerprint)
    if not has_documents(settings, corpus.fingerprint):
        raise ConflictError(f"the table of corpus {corpus.name} is missing from {folder}; register the corpus again")
    return DocumentTable.load(folder)
