"""Scorings: a finished run that a suite has not seen is scored by a job; it is never trained again, nor scored again
where a suite of the same content, by whatever name, has its score."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from worker.jobs import JobKind
from worker.store.models import Evaluation, Job, Run, RunScore
from worker.store.states import State
from worker.suites import same_suites


def unscored_runs(session: Session, evaluation: Evaluation) -> list[Run]:
    """Its finished runs that have no score on its suite."""
    finished = [run for run in evaluation.runs if run.state == State.FINISHED]
    return [run for run in finished if session.get(RunScore, (run.id, evaluation.suite_id)) is None]


def queue_scorings(session: Session, evaluation: Evaluation, *, is_retry: bool) -> None:
    """A job for each unscored run that has none; one whose job has failed gets another only on a retry.

    A run may end without a suite's score although the suite was asked for in time: its child had been told before.
    """
    _take_over(session, evaluation)
    jobs = _newest_jobs(session, unscored_runs(session, evaluation), evaluation.suite_id)
    for run_id, state in jobs.items():
        if state is None or (is_retry and state.is_final):
            payload = {"run_id": run_id, "suite_id": evaluation.suite_id}
            session.add(Job(kind=JobKind.SCORE_RUN, payload=payload))
    session.flush()


def _take_over(session: Session, evaluation: Evaluation) -> None:
    """Scores on suites of the same content become scores on this one; they share the losses' file."""
    if not (unscored := unscored_runs(session, evaluation)):
        return
    others = [one for one in same_suites(session, evaluation.suite_id) if one != evaluation.suite_id]
    for run in unscored:
        known = select(RunScore).where(RunScore.run_id == run.id, RunScore.suite_id.in_(others))
        if (found := session.scalars(known.order_by(RunScore.created_at, RunScore.suite_id)).first()) is not None:
            copied = ("score", "sets", "gates", "artifact", "checkpoints", "bf16_difference")
            same = {name: getattr(found, name) for name in copied}
            session.add(RunScore(run_id=run.id, suite_id=evaluation.suite_id, **same))
    session.flush()


def has_failed_scoring(session: Session, evaluation: Evaluation) -> bool:
    """True if the newest job of one of the unscored runs has failed."""
    jobs = _newest_jobs(session, unscored_runs(session, evaluation), evaluation.suite_id)
    return State.FAILED in jobs.values()


def _newest_jobs(session: Session, runs: Sequence[Run], suite_id: str) -> dict[str, State | None]:
    """By run, the state of its newest scoring job on this suite; None if there was none."""
    newest: dict[str, State | None] = dict.fromkeys(run.id for run in runs)
    if not runs:
        return newest
    for job in session.scalars(select(Job).where(Job.kind == JobKind.SCORE_RUN).order_by(Job.created_at, Job.id)):
        if job.payload["suite_id"] == suite_id and job.payload["run_id"] in newest:
            newest[job.payload["run_id"]] = job.state
    return newest
