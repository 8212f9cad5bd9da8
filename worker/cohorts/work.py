"""A cohort's and a job's rows while a child works on them: what the supervisor hears becomes short transactions."""

import logging
from collections.abc import Sequence

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from proxy.errors import ForetasteError
from worker import jobs, leases, runs
from worker.artifacts import forget_states
from worker.cohorts.endings import end_job, outcome_of, settle_failed_job
from worker.cohorts.messages import (
    CohortSpec,
    JobEnded,
    JobProgress,
    JobSpec,
    Line,
    RescoreRunsSpec,
    RunEnded,
    RunProgress,
    RunsTraining,
    ScoreRunSpec,
)
from worker.evaluations import conclude_runs
from worker.leases import Claim
from worker.rate_searches import conclude_searches
from worker.replications import advance_replications
from worker.settings import Settings
from worker.store.models import Job, Run
from worker.store.sessions import Sessions, session_scope
from worker.studies import advance_studies

logger = logging.getLogger(__name__)

# What a mistake in ranking or a busy database can raise. The training goes on; the reconciler concludes again.
CONCLUSION_ERRORS = (ForetasteError, SQLAlchemyError, ArithmeticError, ValueError, LookupError)


def conclude(sessions: Sessions, settings: Settings, run_ids: Sequence[str]) -> None:
    """Refreshes what depends on the runs, in a transaction of its own: their results are safe whatever it raises."""
    try:
        with session_scope(sessions) as session:
            conclude_runs(session, settings, run_ids)
        conclude_searches(sessions, settings)
        advance_replications(sessions, settings)
        advance_studies(sessions, settings)
    except CONCLUSION_ERRORS:
        logger.exception("the evaluations of runs %s could not be concluded yet", run_ids)


class CohortWork:
    """The runs of one cohort."""

    def __init__(self, spec: CohortSpec, claims: Sequence[Claim], sessions: Sessions, settings: Settings) -> None:
        self.spec = spec
        self._sessions, self._settings = sessions, settings
        self._claims = {claim.id: claim for claim in claims}
        self._progress: dict[str, RunProgress] = {}
        self._training: frozenset[str] = frozenset()  # the runs that train at once, each until it ends

    def pending(self) -> frozenset[str]:
        """Runs that have not ended."""
        return frozenset(self._claims)

    def hear(self, line: Line) -> None:
        """Keeps progress, stores an end; words about a run that is ours no more are ignored."""
        if isinstance(line, RunProgress) and line.run in self._claims:
            self._progress[line.run] = line
            if line.run not in self._training or line.phase != "training":
                self._training = frozenset({line.run}) if line.phase == "training" else frozenset()
        elif isinstance(line, RunsTraining):
            self._training = frozenset(line.runs) & self.pending()
        elif isinstance(line, RunEnded) and line.run in self._claims:
            self._end(line)

    def show_progress(self) -> None:
        """One transaction for all runs that moved."""
        if not self._progress:
            return
        with session_scope(self._sessions) as session:
            for run_id, line in sorted(self._progress.items()):
                leases.record_progress(session, Run, self._claims[run_id], line.shown())
        self._progress.clear()

    def beat(self) -> frozenset[str]:
        """Extends the leases of pending runs."""
        with session_scope(self._sessions) as session:
            still_held = runs.heartbeat(session, self._claims.values(), self._settings)
        lost = self.pending() - still_held
        for run_id in lost:
            logger.info("run %s was cancelled or its lease is lost", run_id)
            self._forget(run_id)
        return lost

    def give_back(self) -> None:
        """Queues pending runs again."""
        with session_scope(self._sessions) as session:
            runs.release(session, self._claims.values(), self._settings)
        self._claims.clear()

    def break_off(self, error: str) -> None:
        """Queues pending runs again. Only the runs that were training are blamed, so that one that always breaks its
        child does not use up the others' attempts; before any training, all are.
        """
        logger.warning("%d runs were broken off: %s", len(self._claims), error)
        blamed = self._training or self.pending()
        with session_scope(self._sessions) as session:
            for run_id in sorted(blamed):
                runs.retry_run(session, self._claims.pop(run_id), self._settings, error)
        self.give_back()
        conclude(self._sessions, self._settings, sorted(blamed))

    def _end(self, line: RunEnded) -> None:
        claim = self._claims[line.run]
        with session_scope(self._sessions) as session:
            is_ours = self._store(session, claim, line)
        self._forget(line.run)
        if not is_ours:
            logger.warning("the result of run %s, attempt %d, is refused: it is ours no more", claim.id, claim.attempt)
        elif line.state != "cancelled":
            if not line.is_retryable:
                forget_states(self._settings, line.run)
            conclude(self._sessions, self._settings, [line.run])

    def _store(self, session: Session, claim: Claim, line: RunEnded) -> bool:
        if line.state == "cancelled":
            return bool(runs.release(session, [claim], self._settings))
        if line.is_retryable:
            return runs.retry_run(session, claim, self._settings, line.error or "no reason given")
        return runs.finish_run(session, claim, outcome_of(line, self.spec))

    def _forget(self, run_id: str) -> None:
        self._claims.pop(run_id, None)
        self._progress.pop(run_id, None)
        self._training -= {run_id}


class JobWork:
    """One job."""

    def __init__(self, spec: JobSpec, claim: Claim, sessions: Sessions, settings: Settings) -> None:
        self.spec = spec
        self._sessions, self._settings = sessions, settings
        self._claim: Claim | None = claim
        self._progress: JobProgress | None = None

    def pending(self) -> frozenset[str]:
        """The job until it has ended."""
        return frozenset() if self._claim is None else frozenset({self._claim.id})

    def hear(self, line: Line) -> None:
        """Keeps progress, stores the end."""
        if isinstance(line, JobProgress):
            self._progress = line
        elif isinstance(line, JobEnded) and self._claim is not None:
            self._end(self._claim, line)

    def show_progress(self) -> None:
        """Stores the newest progress."""
        if self._progress is None or self._claim is None:
            return
        with session_scope(self._sessions) as session:
            leases.record_progress(session, Job, self._claim, self._progress.progress)
        self._progress = None

    def beat(self) -> frozenset[str]:
        """Extends the lease."""
        if self._claim is None:
            return frozenset()
        with session_scope(self._sessions) as session:
            still_held = jobs.heartbeat_jobs(session, [self._claim], self._settings)
        lost = self.pending() - still_held
        if lost:
            self._claim = None
        return lost

    def give_back(self) -> None:
        """Queues the job again."""
        if self._claim is not None:
            with session_scope(self._sessions) as session:
                jobs.release_job(session, self._claim, self._settings)
        self._claim = None

    def break_off(self, error: str) -> None:
        """Queues the job again, or fails it after its last attempt."""
        if self._claim is not None:
            with session_scope(self._sessions) as session:
                jobs.retry_job(session, self._claim, self._settings, error)
                settle_failed_job(session, self._claim.id)
            self._conclude()
        self._claim = None

    def _end(self, claim: Claim, line: JobEnded) -> None:
        if line.error is not None and line.is_retryable:
            self.break_off(line.error)
            return
        with session_scope(self._sessions) as session:
            is_ours = end_job(session, claim, line, self.spec)
        if is_ours:
            self._conclude()
        else:
            logger.warning("the result of job %s, attempt %d, is refused", claim.id, claim.attempt)
        self._claim = None

    def _conclude(self) -> None:
        """Evaluations wait for a score and searches for a second one, nobody for a corpus or a tokenizer."""
        if isinstance(self.spec, ScoreRunSpec):
            conclude(self._sessions, self._settings, [self.spec.run.id])
        if isinstance(self.spec, RescoreRunsSpec):
            conclude(self._sessions, self._settings, [])
