"""The end of a search: the rule is applied, the evidence kept, and the protocol's next version made."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from proxy.errors import ForetasteError
from proxy.protocols import Anchor
from proxy.protocols import Protocol as ProtocolSpec
from worker.evaluations import Request, conclude_evaluations, submit_evaluation
from worker.parsing import validate
from worker.protocols import store_protocol
from worker.rate_searches.controls import needs_control, submit_control
from worker.rate_searches.evidence import gather, names_of
from worker.rate_searches.rescoring import ask_for_rescoring, is_rescoring
from worker.settings import Settings
from worker.store.models import Evaluation, Protocol, RateSearch, Recipe, Suite, utc_now
from worker.store.sessions import Sessions
from worker.store.states import State
from worker.turns import let_go_on

if TYPE_CHECKING:
    from proxy.ranking.rate_search import Finding

RATE_DIGITS = 6  # of the optimum that is stored: its last digits are noise


def conclude_searches(sessions: Sessions, settings: Settings) -> tuple[str, ...]:
    """Concludes every open search whose evaluations have all ended; their ids."""
    return let_go_on(
        sessions, RateSearch, _has_ended, lambda session, search_id: conclude_search(session, settings, search_id)
    )


def conclude_search(session: Session, settings: Settings, search_id: str) -> bool:
    """Applies the rule if everything that it needs has ended; True if it did. Where it needs more (scores with coarser
    logits, the control of a rate that would be chosen), that is queued. A search that cannot be decided has failed,
    with the reason; sent again, it goes on."""
    row = session.get_one(RateSearch, search_id, with_for_update=True, populate_existing=True)
    if row.state.is_final or not _has_ended(session, row):
        return False
    try:
        with session.begin_nested():
            if not _decide(session, settings, row):
                return False
    except ForetasteError as error:
        row.state, row.error = State.FAILED, _renamed(str(error), names_of(session, row))
    else:
        row.state, row.error = State.FINISHED, None
    row.finished_at = utc_now()
    session.flush()
    return True


def _has_ended(session: Session, row: RateSearch) -> bool:
    ids = [point["evaluation"] for point in row.points]
    states = session.scalars(select(Evaluation.state).where(Evaluation.id.in_(ids))).all()
    is_trained = bool(ids) and len(states) == len(ids) and all(state.is_final for state in states)
    return is_trained and not is_rescoring(session, row)


def _decide(session: Session, settings: Settings, row: RateSearch) -> bool:
    """False where something is missing that has been queued now."""
    from proxy.ranking.rate_search import search_rate

    gathered = gather(session, row)
    if ask_for_rescoring(session, row):
        return False
    finding = search_rate(gathered.ladder)
    if finding.rate is not None and needs_control(row, finding.rate):
        row.points = [*row.points, *submit_control(session, settings, row, finding.rate)]
        session.flush()
        return _has_ended(session, row) and _decide(session, settings, row)
    made = None if finding.rate is None else _make_protocol(session, row, finding)
    row.found = made
    row.report = {
        **_described(session, row, finding),
        "travel_steps": gathered.ladder.travel_steps,
        "tokens_per_second": gathered.ladder.tokens_per_second,
        "equal_travel": gathered.equal_travel,
        "evidence": gathered.rows,
    }
    session.flush()
    if made is not None:
        _take_over(session, settings, row, made)
    return True


def _described(session: Session, row: RateSearch, finding: "Finding") -> dict[str, Any]:
    """Plain data; sentences name anchors by name, everything else by id, with the names beside."""
    names = names_of(session, row)
    body = asdict(finding)
    body["noise"] = {
        anchor: {"variance": variance, "degrees_of_freedom": degrees}
        for anchor, (variance, degrees) in finding.noise.items()
    }
    named: dict[str, Any] = _renamed(body, names)
    return {**named, "names": names}


def _renamed(value: Any, names: dict[str, str]) -> Any:
    """Ids inside sentences become names; keys and whole values stay ids, which are unique."""
    if isinstance(value, dict):
        return {key: _renamed(part, names) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_renamed(part, names) for part in value]
    if isinstance(value, str) and value not in names:
        for identifier, name in names.items():
            value = value.replace(identifier, name)
    return value


def _make_protocol(session: Session, row: RateSearch, finding: "Finding") -> Protocol:
    """The base's next version: rate, budget, and the anchors' seed noise, which was measured at this rate."""
    assert finding.rate is not None
    assert finding.optimum is not None
    suite = session.get_one(Suite, row.suite_id)
    anchors = [
        Anchor(
            recipe=session.get_one(Recipe, anchor).fingerprint,
            suite=suite.fingerprint,
            variance=variance,
            degrees_of_freedom=degrees,
        )
        for anchor, (variance, degrees) in finding.noise.items()
    ]
    standard = float(f"{finding.optimum:.{RATE_DIGITS - 1}e}")
    changes = {
        "standard_rate": standard,
        "reduction": finding.rate / standard,
        "steps": row.steps,
        "anchors": [anchor.model_dump() for anchor in sorted(anchors, key=lambda anchor: anchor.recipe)],
    }
    base = session.get_one(Protocol, row.protocol_id)
    return store_protocol(session, validate(ProtocolSpec, base.spec | changes))[0]


def _take_over(session: Session, settings: Settings, row: RateSearch, made: Protocol) -> None:
    """The anchors are ranked under the new version at once: its runs are those of the ladder's rate."""
    taken = [
        submit_evaluation(
            session,
            settings,
            Request(recipe=anchor, protocol=made.id, suite=row.suite_id, seeds=row.seeds, first_seed=row.first_seed),
            concludes=False,
            checks_data=False,
        )[0].id
        for anchor in row.anchors
    ]
    conclude_evaluations(session, settings, taken)
