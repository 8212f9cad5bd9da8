"""What a study's reference sets hold already.

Sets are called after the study and its suites, so a study of the same name adds to them: rates, seeds and recipes. With
another suite, or another treatment of the references, it would contradict them, and nobody would know before the first
sweep has ended: it needs another name.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from proxy.errors import FieldProblem
from proxy.protocol_requests import BATCHES, LENGTHS
from proxy.protocols import Protocol as ProtocolSpec
from proxy.studies import StudyRequest
from worker.references import rows_of
from worker.store.models import Evaluation, Protocol, Reference, Study, Suite
from worker.store.states import FINAL_STATES

METRIC, DIRECTION, UNIT = "bits_per_byte", "lower", "bits/byte"
SOURCE = "trained by this service"
NO_TREATMENT = {"name", "standard_rate", "reduction", "anchors"}  # proxy.protocols.Protocol.treatment
REMEDY = "; they cannot be compared: give the study another name"

Named = tuple[Suite, str]  # and its reference set


@dataclass(frozen=True, kw_only=True)
class Held:
    """References that are in a set, or will be; `words` say which ones, for a sentence."""

    words: str
    suite: Suite
    protocol: ProtocolSpec


def set_problems(
    session: Session, asked: StudyRequest, reference: ProtocolSpec, suites: Sequence[Named]
) -> Iterator[FieldProblem]:
    """At most one of each set; `reference` is the protocol that the study's references would be trained under."""
    for index, (suite, name) in enumerate(suites):
        held = [*_registered(session, name), *_coming(session, name)]
        problems = [_contradiction(asked, reference, index, suite, one) for one in held]
        problems += _from_elsewhere(session, reference, name)
        yield from [problem for problem in problems if problem is not None][:1]


def _registered(session: Session, name: str) -> Iterator[Held]:
    columns = (Evaluation.suite_id, Evaluation.protocol_id)
    query = select(*columns).join(Reference, Reference.evaluation_id == Evaluation.id).distinct().order_by(*columns)
    mine = query.where(Reference.reference_set == name, Reference.metric == METRIC)
    for suite_id, protocol_id in session.execute(mine):
        yield _held(session, f"set {name} holds references", suite_id, protocol_id)


def _coming(session: Session, name: str) -> Iterator[Held]:
    """Of studies that have not ended: their sweeps are registered later."""
    for row in session.scalars(select(Study).where(Study.state.not_in(FINAL_STATES)).order_by(Study.id)):
        for suite in row.spec["suites"]:
            if suite["reference_set"] == name:
                words = f"study {row.id} has not ended, and fills set {name} with references"
                yield _held(session, words, suite["id"], row.protocols["reference"])


def _held(session: Session, words: str, suite_id: str, protocol_id: str) -> Held:
    spec = ProtocolSpec.model_validate(session.get_one(Protocol, protocol_id).spec)
    return Held(words=words, suite=session.get_one(Suite, suite_id), protocol=spec)


def _contradiction(
    asked: StudyRequest, reference: ProtocolSpec, index: int, suite: Suite, held: Held
) -> FieldProblem | None:
    if held.suite.id != suite.id:
        what = f"on {held.suite.name} version {held.suite.version}, and this is version {suite.version}"
        message = f"{held.words} {what}{REMEDY}"
        return FieldProblem(pointer=f"/suites/{index}", value=asked.suites[index], message=message)
    if held.protocol.cohort_key() == reference.cohort_key():
        return None
    field, now, then = _first_difference(reference, held.protocol)
    message = f"{held.words} with {field} {then!r}, and this would be {now!r}{REMEDY}"
    return _at_protocol(asked, field.split(".")[0], message)


def _first_difference(reference: ProtocolSpec, held: ProtocolSpec) -> tuple[str, object, object]:
    """A field of their treatments, as `schedule.kind`, with both values."""
    now, then = (spec.model_dump(mode="json", exclude=NO_TREATMENT) for spec in (reference, held))
    field = next(name for name in now if now[name] != then[name])
    if isinstance(now[field], dict) and isinstance(then[field], dict):
        part = next(name for name in now[field] if now[field][name] != then[field].get(name))
        return f"{field}.{part}", now[field][part], then[field].get(part)
    return field, now[field], then[field]


def _at_protocol(asked: StudyRequest, field: str, message: str) -> FieldProblem:
    """Where the request says it: a length or a batch may be said in another unit."""
    if field == "tokenizer":
        return FieldProblem(pointer="/tokenizer", value=asked.tokenizer, message=message)
    said = asked.references.protocol
    units = next((units for units in (LENGTHS, BATCHES) if field in units), (field,))
    name = next((unit for unit in units if unit in said), field)
    return FieldProblem(pointer=f"/references/protocol/{name}", value=said.get(name), message=message)


def _from_elsewhere(session: Session, reference: ProtocolSpec, name: str) -> Iterator[FieldProblem]:
    """Results that somebody registered by hand are at this scale, or are none of this set."""
    wanted = {"parameters": reference.architecture.parameters, "tokens": reference.token_budget}
    for row in rows_of(session, name, METRIC):
        for field, now in wanted.items():
            then = getattr(row, field)
            if row.evaluation_id is None and row.value is not None and then != now:
                message = f"set {name} holds references with {field} {then:,}, and this would be {now:,}{REMEDY}"
                yield FieldProblem(pointer="/references/protocol", value={field: now}, message=message)
