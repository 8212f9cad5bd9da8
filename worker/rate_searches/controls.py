"""The control of a rate that would be chosen: every anchor once more, one seed each, on documents whose tokens are
shuffled. What that costs tells whether the order of words was learned. Why only there: docs/decisions/0022.
"""

from sqlalchemy.orm import Session

from proxy.protocols import Protocol as ProtocolSpec
from worker.evaluations import Request, conclude_evaluations, submit_evaluation
from worker.protocols import store_protocol
from worker.rate_searches.ladders import shuffled_at_rate
from worker.rate_searches.points import Point, controlled_rates, make_point
from worker.settings import Settings
from worker.shared_evaluations import own_after
from worker.store.models import RateSearch

SEEDS = 1


def needs_control(row: RateSearch, rate: float) -> bool:
    """True until it has been asked for at this rate."""
    return rate not in controlled_rates(row.points)


def submit_control(session: Session, settings: Settings, row: RateSearch, rate: float) -> list[Point]:
    """The control's points; what is trained already is not trained again."""
    spec = shuffled_at_rate(ProtocolSpec.model_validate(row.protocol.spec), rate, row.steps)
    protocol, _ = store_protocol(session, spec)
    requests = [
        Request(recipe=anchor, protocol=protocol.id, suite=row.suite_id, seeds=SEEDS, first_seed=row.first_seed)
        for anchor in row.anchors
    ]
    own = own_after(session, row.points, requests)
    found = []
    for request in requests:
        evaluation, is_new = submit_evaluation(session, settings, request, concludes=False, checks_data=False)
        is_own = is_new or evaluation.id in own
        found.append(make_point(rate, evaluation, is_own=is_own, is_shuffled=True))
    conclude_evaluations(session, settings, [point["evaluation"] for point in found])
    return found
