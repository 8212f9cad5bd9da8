"""What a run measured on each set of a suite, whoever measured it: its own child, or the job that scored it later."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from worker.cohorts.messages import SetResult
from worker.jobs import JobKind
from worker.store.models import Job, Run
from worker.store.states import State
from worker.suites import same_suites


def set_results(session: Session, run: Run, suite_id: str) -> dict[str, SetResult]:
    """Each set as the run's own child measured it, or the job that scored it on this suite later; {} for neither. What
    was measured on a suite of the same content counts as well."""
    suites = same_suites(session, suite_id)
    measured = _own(run, suites) or _later(session, run, suites)
    parts = {} if measured is None else measured["sets"]
    return {name: SetResult.model_validate(part) for name, part in parts.items()}


def _own(run: Run, suites: Sequence[str]) -> dict[str, Any] | None:
    found = (run.result or {}).get("suites", {})
    return next((found[suite_id] for suite_id in suites if suite_id in found), None)


def _later(session: Session, run: Run, suites: Sequence[str]) -> dict[str, Any] | None:
    jobs = select(Job).where(Job.kind == JobKind.SCORE_RUN, Job.state == State.FINISHED)
    asked = [{"run_id": run.id, "suite_id": suite_id} for suite_id in suites]
    results = [job.result for job in session.scalars(jobs) if any(one.items() <= job.payload.items() for one in asked)]
    return results[-1] if results else None
