"""Protocols: immutable and versioned. The same content under the same name is the same version."""

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from proxy import NUMERICS_VERSION
from proxy.errors import InvalidInputError
from proxy.protocol_requests import ProtocolRequest, resolve
from proxy.protocols import Anchor, fingerprint_protocol
from proxy.protocols import Protocol as ProtocolSpec
from worker.corpora import find_text, require_field
from worker.lookup import find_or_add, or_not_found, split_version, unknown
from worker.parsing import validate
from worker.store.models import Protocol, Suite
from worker.tokenizers import find_tokenizer

if TYPE_CHECKING:
    from proxy.ranking.evidence import AnchorNoise


def register_protocol(session: Session, content: Any) -> tuple[Protocol, bool]:
    """What somebody wrote (proxy.protocol_requests), in its one stored form; otherwise as `store_protocol`."""
    request = validate(ProtocolRequest, content)
    vocabulary = find_tokenizer(session, request.tokenizer).vocabulary
    assert vocabulary is not None  # a usable tokenizer has one
    return store_protocol(session, validate(ProtocolSpec, resolve(request, vocabulary)))


def store_protocol(session: Session, spec: ProtocolSpec) -> tuple[Protocol, bool]:
    """The version of this content and True if it is new; errors as for `resolve_protocol`."""
    spec = resolve_protocol(session, spec)
    content = fingerprint_protocol(spec)

    def find() -> Protocol | None:
        same = select(Protocol).where(Protocol.name == spec.name, Protocol.fingerprint == content)
        return session.scalars(same).first()

    def make() -> Protocol:
        newest = session.scalar(select(func.max(Protocol.version)).where(Protocol.name == spec.name)) or 0
        return Protocol(
            name=spec.name,
            version=newest + 1,
            fingerprint=content,
            cohort_key=spec.cohort_key(),
            learning_rate=spec.learning_rate,
            spec=spec.model_dump(mode="json"),
        )

    return find_or_add(session, find, make)


def resolve_protocol(session: Session, spec: ProtocolSpec) -> ProtocolSpec:
    """As it is stored: tokenizer and decontamination set by fingerprint. InvalidInputError where one is unknown, for a
    tokenizer whose vocabulary is not the architecture's, or a numerics_version that this code cannot reproduce."""
    tokenizer = find_tokenizer(session, spec.tokenizer)
    if tokenizer.vocabulary != spec.architecture.vocabulary:
        raise InvalidInputError.at(
            "/architecture/vocabulary",
            spec.architecture.vocabulary,
            f"tokenizer {spec.tokenizer} has a vocabulary of {tokenizer.vocabulary}",
        )
    if spec.numerics_version != NUMERICS_VERSION:
        raise InvalidInputError.at(
            "/numerics_version", spec.numerics_version, f"this code computes version {NUMERICS_VERSION}"
        )
    spec = spec.model_copy(update={"tokenizer": tokenizer.fingerprint})
    if (decontamination := spec.decontamination_set) is not None:
        corpus = find_text(session, decontamination.corpus, "/decontamination/corpus")
        require_field("/decontamination/prompt_field", decontamination.prompt_field, corpus)
        resolved = decontamination.model_copy(update={"corpus": corpus.fingerprint})
        spec = spec.model_copy(update={"decontamination": resolved})
    return spec


def find_protocol(session: Session, reference: str, pointer: str = "/protocol") -> Protocol:
    """By name (newest version), name@version, fingerprint or id. InvalidInputError at `pointer` if there is none."""
    name, version = split_version(reference)
    query = select(Protocol).where(
        or_(Protocol.name == name, Protocol.fingerprint == reference, Protocol.id == reference)
    )
    if version is not None:
        query = query.where(Protocol.version == version)
    row = session.scalars(query.order_by(Protocol.version.desc(), Protocol.created_at.desc())).first()
    if row is None:
        raise unknown(pointer, reference, "protocol", session.scalars(select(Protocol.name)))
    return row


def list_protocols(session: Session) -> Sequence[Protocol]:
    """All versions of all protocols, newest last."""
    return session.scalars(select(Protocol).order_by(Protocol.created_at, Protocol.id)).all()


def get_protocol(session: Session, reference: str) -> Protocol:
    """As `find_protocol`, for a path: NotFoundError if there is none."""
    return or_not_found(lambda: find_protocol(session, reference))


def known_noise(protocol: Protocol, suite: Suite, ranked: Collection[str]) -> "AnchorNoise | None":
    """Pooled noise of the protocol's anchors on the suite, without those that are `ranked` with several seeds
    (fingerprints): theirs are counted there. None where nothing is left."""
    from proxy.ranking.evidence import AnchorNoise

    anchors = [
        anchor
        for anchor in map(Anchor.model_validate, protocol.spec.get("anchors", ()))
        if anchor.suite == suite.fingerprint and anchor.recipe not in ranked
    ]
    degrees = sum(anchor.degrees_of_freedom for anchor in anchors)
    if not degrees:
        return None
    squares = sum(anchor.variance * anchor.degrees_of_freedom for anchor in anchors)
    return AnchorNoise(variance=squares / degrees, degrees_of_freedom=degrees)
