"""The numerical floor of a ladder's scores: all of its runs scored once more with logits in bf16, by one job."""

from collections.abc import Iterator

from sqlalchemy.orm import Session

from worker.jobs import JobKind
from worker.parts import cancel_job
from worker.rate_searches.points import ladder_points
from worker.store.models import Evaluation, Job, RateSearch, RunScore
from worker.store.states import State


def is_rescoring(session: Session, search: RateSearch) -> bool:
    """True until its job has ended."""
    return search.rescoring_id is not None and not session.get_one(Job, search.rescoring_id).state.is_final


def ask_for_rescoring(session: Session, search: RateSearch) -> bool:
    """Queues the job if a run has not been measured that no job of this search was asked for; True if it did.

    A job that failed is not tried again while the search goes on: the gate is not measured then, and says so.
    """
    asked = [] if search.rescoring_id is None else session.get_one(Job, search.rescoring_id).payload["run_ids"]
    wanted = sorted(set(_unmeasured(session, search)) - set(asked))
    if not wanted:
        return False
    payload = {"run_id": wanted[0], "run_ids": wanted, "suite_id": search.suite_id}
    job = Job(kind=JobKind.RESCORE_RUNS, payload=payload)
    session.add(job)
    session.flush()
    search.rescoring_id = job.id
    return True


def cancel_rescoring(session: Session, search: RateSearch) -> None:
    """Its job is of use to nobody else; what it has measured by now stays."""
    if search.rescoring_id is not None:
        cancel_job(session, search.rescoring_id)


def _unmeasured(session: Session, search: RateSearch) -> Iterator[str]:
    """Runs of the ladder that have a score and a checkpoint."""
    for point in ladder_points(search.points):
        for run in session.get_one(Evaluation, point["evaluation"]).runs:
            score = session.get(RunScore, (run.id, search.suite_id))
            is_there = run.state == State.FINISHED and run.checkpoint is not None
            if is_there and score is not None and score.bf16_difference is None:
                yield run.id
