"""How well a ranking agrees with registered references."""

from typing import Any

from fastapi import APIRouter

from api.agreement.schemas import PastAgreement, show_past
from api.dependencies import Reading
from api.pagination import Cursor, Limit, Page, paginate
from proxy.errors import InvalidInputError
from worker.agreement import list_history, read_agreement
from worker.external import read_external_agreement
from worker.paired_agreement import read_paired_agreement

router = APIRouter(prefix="/agreement", tags=["agreement"])


@router.get("")
def show(
    session: Reading,
    protocol: str | None = None,
    suite: str | None = None,
    reference_set: str | None = None,
    metric: str | None = None,
    proxy_set: str | None = None,
) -> dict[str, Any]:
    """The newest figures with their intervals (null where none is due), what chance gives, and the points.

    `proxy_set` names imported scores, which stand where a protocol's leaderboard does otherwise.
    """
    if proxy_set is not None:
        if protocol is not None or suite is not None:
            raise InvalidInputError.at("/proxy_set", proxy_set, "stands for a protocol and a suite; leave them out")
        return read_external_agreement(session, proxy_set, reference_set, metric)
    return read_agreement(session, protocol, suite, reference_set, metric)


@router.get("/paired")
def show_paired(
    session: Reading,
    protocol: str,
    against: str,
    suite: str | None = None,
    reference_set: str | None = None,
    metric: str | None = None,
) -> dict[str, Any]:
    """Both protocols' figures (`first` and `second`) over the recipes that both rank, and Spearman of `protocol` less
    that of `against` with an interval over the same resampled recipes."""
    return read_paired_agreement(session, protocol, against, suite, reference_set, metric)


@router.get("/history")
def show_history(
    session: Reading,
    protocol: str | None = None,
    suite: str | None = None,
    reference_set: str | None = None,
    metric: str | None = None,
    proxy_set: str | None = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[PastAgreement]:
    """Every comparison that was made as references and evaluations arrived, the newest first."""
    return paginate(list_history(session, protocol, suite, reference_set, metric, proxy_set), cursor, limit, show_past)
