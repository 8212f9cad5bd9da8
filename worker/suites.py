"""Suites: immutable and versioned. What is stored names corpora by fingerprint, so a new revision changes nothing."""

from collections.abc import Sequence

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from proxy.errors import InvalidInputError
from proxy.suites import Suite as SuiteSpec
from proxy.suites import fingerprint_suite
from worker.corpora import find_corpus
from worker.lookup import find_or_add, or_not_found, split_version, unknown
from worker.store.models import Corpus, Suite


def store_suite(session: Session, spec: SuiteSpec) -> tuple[Suite, bool]:
    """The version of this content and True if it is new. InvalidInputError names the set whose corpus or cluster
    field does not exist."""
    corpora = [find_corpus(session, part.corpus, f"/sets/{index}/corpus") for index, part in enumerate(spec.sets)]
    for index, (part, corpus) in enumerate(zip(spec.sets, corpora, strict=True)):
        _require_bytes(index, part.corpus, corpus)
        _require_field(index, part.cluster_field, corpus)
    resolved = [
        part.model_copy(update={"corpus": corpus.fingerprint}) for part, corpus in zip(spec.sets, corpora, strict=True)
    ]
    spec = spec.model_copy(update={"sets": tuple(resolved)})
    content = fingerprint_suite(spec, {part.corpus: part.corpus for part in spec.sets})

    def find() -> Suite | None:
        return session.scalars(select(Suite).where(Suite.name == spec.name, Suite.fingerprint == content)).first()

    def make() -> Suite:
        newest = session.scalar(select(func.max(Suite.version)).where(Suite.name == spec.name)) or 0
        return Suite(name=spec.name, version=newest + 1, fingerprint=content, spec=spec.model_dump(mode="json"))

    return find_or_add(session, find, make)


def _require_bytes(index: int, reference: str, corpus: Corpus) -> None:
    if corpus.tokenizer is not None and corpus.text_bytes is None:
        message = "was imported as tokens without bytes of text, so nothing can be scored in bits per byte on it"
        raise InvalidInputError.at(f"/sets/{index}/corpus", reference, f"{message}; import it with text_bytes")


def _require_field(index: int, cluster_field: str | None, corpus: Corpus) -> None:
    if cluster_field is not None and cluster_field not in corpus.fields:
        known = ", ".join(corpus.fields) or "none"
        raise InvalidInputError.at(
            f"/sets/{index}/cluster_field",
            cluster_field,
            f"corpus {corpus.name} was registered without this field; it has {known}",
        )


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


def list_suites(session: Session) -> Sequence[Suite]:
    """All versions of all suites, newest last."""
    return session.scalars(select(Suite).order_by(Suite.created_at, Suite.id)).all()


def get_suite(session: Session, reference: str) -> Suite:
    """As `find_suite`, for a path: NotFoundError if there is none."""
    return or_not_found(lambda: find_suite(session, reference))
