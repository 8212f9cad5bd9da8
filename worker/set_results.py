"""What a run measured on each set of a suite, whoever measured it: its own child, or the job that scored it later."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from worker.cohorts.messages import SetResult
from worker.jobs import JobKind
from worker.store.models import Job, Run
from worker.store.states import State


def set_results(session: Session, run: Run, suite_id: str) -> dict[str, SetResult]:
    """Each set as the run's own child measured it, or the job that scored it on this suite later; {} for neither."""
    measured = (run.result or {}).get("suites", {}).get(suite_id)
    if measured is None:
        jobs = select(Job).where(Job.kind == JobKind.SCORE_RUN, Job.state == State.FINISHED)
        asked = {"run_id": run.id, "suite_id": suite_id}
        results = [job.result for job in session.scalars(jobs) if asked.items() <= job.payload.items()]
        measured = results[-1] if results else None
    parts = {} if measured is None else measured["sets"]
    return {name: SetResult.model_validate(part) for name, part in parts.items()}
