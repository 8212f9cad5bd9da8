"""Tokenizers: a team's own tokenizer.json, stored at once, or a byte-level BPE that a job trains."""

from collections.abc import Sequence

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from proxy.errors import ConflictError, InvalidInputError, NotFoundError
from proxy.fingerprints import fingerprint
from worker.artifacts import tokenizer_path, write_bytes
from worker.corpora import find_text
from worker.jobs import JobKind
from worker.lookup import find_or_add, unknown
from worker.settings import Settings
from worker.sharing import share_file
from worker.store.models import Job, Tokenizer
from worker.store.states import State


def register_tokenizer(session: Session, settings: Settings, name: str, content: str) -> tuple[Tokenizer, bool]:
    """Stores a tokenizer.json; the same content under the same name is the same row."""
    from proxy.data.tokenizers import Tokenizer as Loaded

    loaded = Loaded.from_json(content)

    def find() -> Tokenizer | None:
        same = select(Tokenizer).where(Tokenizer.name == name, Tokenizer.fingerprint == loaded.fingerprint)
        return session.scalars(same).first()

    def make() -> Tokenizer:
        write_bytes(tokenizer_path(settings, loaded.fingerprint), content.encode())
        share_file(settings, tokenizer_path(settings, loaded.fingerprint))
        return Tokenizer(
            id=_identity([name, loaded.fingerprint]),
            name=name,
            state=State.FINISHED,
            fingerprint=loaded.fingerprint,
            vocabulary=loaded.vocabulary,
        )

    return find_or_add(session, find, make)


def _identity(content: list[object]) -> str:
    """A primary key of the request itself: two same requests at once meet there."""
    return f"tok_{fingerprint(content)}"


def train_tokenizer(
    session: Session, name: str, vocabulary: int, corpora: Sequence[str], sample_bytes: int
) -> tuple[Tokenizer, bool]:
    """Queues a training on `sample_bytes` of the corpora in equal parts; the same request again is the same row."""
    if not corpora:
        raise InvalidInputError.at("/train/corpora", list(corpora), "names no corpus")
    prints = [
        str(find_text(session, reference, f"/train/corpora/{index}").fingerprint)
        for index, reference in enumerate(corpora)
    ]
    payload = {"vocabulary": vocabulary, "sample_bytes": sample_bytes, "corpora": prints}

    def same() -> list[Tokenizer]:
        trained = select(Tokenizer, Job).join(Job, Job.id == Tokenizer.job_id).where(Tokenizer.name == name)
        return [row for row, job in session.execute(trained) if job.payload == payload]

    def find() -> Tokenizer | None:
        return next((row for row in same() if row.state not in (State.FAILED, State.CANCELLED)), None)

    def make() -> Tokenizer:
        job = Job(kind=JobKind.TRAIN_TOKENIZER, payload=payload)
        session.add(job)
        session.flush()
        return Tokenizer(id=_identity([name, payload, len(same())]), name=name, job_id=job.id)

    return find_or_add(session, find, make)


def find_tokenizer(session: Session, reference: str, pointer: str = "/tokenizer") -> Tokenizer:
    """A usable tokenizer by name (newest), fingerprint or id; errors as for a corpus."""
    query = select(Tokenizer).where(
        or_(Tokenizer.name == reference, Tokenizer.fingerprint == reference, Tokenizer.id == reference)
    )
    found = session.scalars(query.order_by(Tokenizer.created_at.desc())).all()
    if not found:
        raise unknown(pointer, reference, "tokenizer", session.scalars(select(Tokenizer.name)))
    usable = next((row for row in found if row.state == State.FINISHED), None)
    if usable is None:
        reason = f": {found[0].error}" if found[0].error else ""
        raise ConflictError(f"tokenizer {reference} is not usable yet, its training is {found[0].state}{reason}")
    return usable


def get_tokenizer(session: Session, tokenizer_id: str) -> Tokenizer:
    """Any tokenizer by id, whatever its state. NotFoundError if there is none."""
    row = session.get(Tokenizer, tokenizer_id)
    if row is None:
        raise NotFoundError(f"no tokenizer {tokenizer_id!r}")
    return row


def list_tokenizers(session: Session) -> Sequence[Tokenizer]:
    """All tokenizers, newest last."""
    return session.scalars(select(Tokenizer).order_by(Tokenizer.created_at, Tokenizer.id)).all()
