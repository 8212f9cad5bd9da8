"""What an open search wants of a run while it trains: its scores where it has travelled as far as lower rates do.

Nothing of it is stored with the run or hashed: it is read off the open searches whenever a run is claimed, so that what
is trained for other reasons is trained as ever. docs/decisions/0025.
"""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from worker.rate_searches.points import ladder_points
from worker.store.models import EvaluationRun, RateSearch
from worker.store.states import FINAL_STATES


def wanted_middles(session: Session, run_ids: Sequence[str]) -> dict[str, tuple[float, ...]]:
    """By run of an open search's ladder, ascending: each lower rate of the ladder as a share of the run's own, which is
    the share of its whole Σ rates that the lower rate's run travels."""
    searches = session.scalars(select(RateSearch).where(RateSearch.state.not_in(FINAL_STATES))).all()
    shares: dict[str, set[float]] = {}
    for search in searches:
        for point in ladder_points(search.points):
            lower = {rate / point["rate"] for rate in search.rates if rate < point["rate"]}
            shares.setdefault(point["evaluation"], set()).update(lower)
    links = select(EvaluationRun.run_id, EvaluationRun.evaluation_id).where(EvaluationRun.run_id.in_(run_ids))
    found: dict[str, set[float]] = {}
    for run_id, evaluation_id in session.execute(links) if shares else ():
        found.setdefault(run_id, set()).update(shares.get(evaluation_id, ()))
    return {run_id: tuple(sorted(wanted)) for run_id, wanted in found.items() if wanted}
