"""Suites: immutable and versioned. What is stored names corpora by fingerprint, so a new revision changes nothing."""

from collections.abc import Sequence

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from proxy.data.prompts import require_prompts
from proxy.errors import InvalidInputError
from proxy.suites import Suite as SuiteSpec
from proxy.suites import ValidationSet, fingerprint_suite
from worker.corpora import find_corpus, load_documents, require_field
from worker.lookup import find_or_add, or_not_found, split_version, unknown
from worker.settings import Settings
from worker.store.models import Corpus, Suite


def store_suite(session: Session, spec: SuiteSpec, settings: Settings | None = None) -> tuple[Suite, bool]:
    """The version of this content and True if it is new. InvalidInputError names the set whose corpus, cluster field,
    prompt field or origin does not exist, and with `settings` the one whose documents lack prompts."""
    corpora = [find_corpus(session, part.corpus, f"/sets/{index}/corpus") for index, part in enumerate(spec.sets)]
    for index, (part, corpus) in enumerate(zip(spec.sets, corpora, strict=True)):
        _require_bytes(index, part.corpus, corpus)
        require_field(f"/sets/{index}/cluster_field", part.cluster_field, corpus)
        _require_prompts(f"/sets/{index}", part, corpus, settings)
    resolved = [
        part.model_copy(update={"corpus": corpus.fingerprint, "held_out_from": _origin(session, index, part)})
        for index, (part, corpus) in enumerate(zip(spec.sets, corpora, strict=True))
    ]
    spec = spec.model_copy(update={"sets": tuple(resolved)})
    content = fingerprint_suite(spec, {part.corpus: part.corpus for part in spec.sets})

    def find() -> Suite | None:
        return session.scalars(select(Suite).where(Suite.name == spec.name, Suite.fingerprint == content)).first()

    def make() -> Suite:
        newest = session.scalar(select(func.max(Suite.version)).where(Suite.name == spec.name)) or 0
        return Suite(name=spec.name, version=newest + 1, fingerprint=content, spec=spec.model_dump(mode="json"))

    return find_or_add(session, find, make)


def _origin(session: Session, index: int, part: ValidationSet) -> str | None:
    """Fingerprint of the corpus that the set was held out from."""
    if part.held_out_from is None:
        return None
    return find_corpus(session, part.held_out_from, f"/sets/{index}/held_out_from").fingerprint


def _require_bytes(index: int, reference: str, corpus: Corpus) -> None:
    if corpus.tokenizer is not None and corpus.text_bytes is None:
        message = "was imported as tokens without bytes of text, so nothing can be scored in bits per byte on it"
        raise InvalidInputError.at(f"/sets/{index}/corpus", reference, f"{message}; import it with text_bytes")


def _require_prompts(place: str, part: ValidationSet, corpus: Corpus, settings: Settings | None) -> None:
    if part.prompt_field is None:
        return
    if part.prompt_field == corpus.text_field:
        message = f"is the text of corpus {corpus.name} itself; the prompt is another field"
        raise InvalidInputError.at(f"{place}/prompt_field", part.prompt_field, message)
    require_field(f"{place}/prompt_field", part.prompt_field, corpus)
    if settings is not None:
        require_prompts(part, load_documents(settings, corpus), place)


def find_suite(session: Session, reference: str, pointer: str = "/suite") -> Suite:
    """By name (newest version), name@version, fingerprint or id. InvalidInputError at `pointer` if there is none."""
    name, version = split_version(reference)
    query = select(Suite).where(or_(Suite.name == name, Suite.fingerprint == reference, Suite.id == reference))
    if version is not None:
        query = query.where(Suite.version == version)
    row = session.scalars(query.order_by(Suite.version.desc(), Suite.created_at.desc())).first()
    if row is None:
        raise unknown(pointer, reference, "suite", session.scalars(select(Suite.name)))
    return row


def same_suites(session: Session, suite_id: str) -> Sequence[str]:
    """Ids of all suites with its content, itself among them, whatever they are called."""
    content = select(Suite.fingerprint).where(Suite.id == suite_id).scalar_subquery()
    return session.scalars(select(Suite.id).where(Suite.fingerprint == content).order_by(Suite.id)).all()


def list_suites(session: Session) -> Sequence[Suite]:
    """All versions of all suites, newest last."""
    return session.scalars(select(Suite).order_by(Suite.created_at, Suite.id)).all()


def get_suite(session: Session, reference: str) -> Suite:
    """As `find_suite`, for a path: NotFoundError if there is none."""
    return or_not_found(lambda: find_suite(session, reference))
