"""One worker's day: claim, hand to a child, store; until nothing waits or it is told to stop."""

import logging
from collections.abc import Callable

from proxy.errors import ForetasteError
from worker import jobs, runs
from worker.cohorts.endings import begin_job, settle_failed_job
from worker.cohorts.messages import CohortSpec
from worker.cohorts.specs import JobSpec, build_cohort_spec, build_job_spec
from worker.cohorts.supervisor import supervise
from worker.cohorts.work import CohortWork, JobWork, conclude
from worker.leases import Claim, claim_of, new_owner
from worker.settings import Settings
from worker.stopping import is_stopping, stopping_on_sigterm
from worker.store.models import Job, Run
from worker.store.sessions import Sessions, session_scope
from worker.store.states import State

logger = logging.getLogger(__name__)


def work_until_idle(sessions: Sessions, settings: Settings, is_told_to_stop: Callable[[], bool] = is_stopping) -> int:
    """Works on jobs first (they are short and others wait for them), then cohorts; how many of both it took on."""
    taken = 0
    with stopping_on_sigterm():
        while not is_told_to_stop():
            if not _work_on_job(sessions, settings, is_told_to_stop) and not _work_on_cohort(
                sessions, settings, is_told_to_stop
            ):
                break
            taken += 1
    return taken


def _work_on_job(sessions: Sessions, settings: Settings, is_told_to_stop: Callable[[], bool]) -> bool:
    with session_scope(sessions) as session:
        job = jobs.claim_job(session, new_owner(), settings)
        if job is None:
            return False
        begin_job(session, job)
        claim = claim_of(job)
    spec = _job_spec(sessions, settings, claim)
    if spec is not None:
        logger.info("job %s (%s), attempt %d", job.id, job.kind, job.attempt)
        supervise(JobWork(spec, claim, sessions, settings), settings, is_told_to_stop)
    return True


def _job_spec(sessions: Sessions, settings: Settings, claim: Claim) -> JobSpec | None:
    """None if the job speaks of something that is not there; it has failed then."""
    with session_scope(sessions) as session:
        job = session.get_one(Job, claim.id)
        try:
            return build_job_spec(session, job, settings)
        except ForetasteError as error:
            jobs.fail_job(session, claim, str(error))
            settle_failed_job(session, claim.id)
            return None


def _work_on_cohort(sessions: Sessions, settings: Settings, is_told_to_stop: Callable[[], bool]) -> bool:
    with session_scope(sessions) as session:
        claimed = runs.claim_cohort(session, new_owner(), settings)
        claims = [claim_of(run) for run in claimed]
    if not claims:
        return False
    spec = _cohort_spec(sessions, settings, claims)
    if spec is None:
        conclude(sessions, settings, [claim.id for claim in claims])
        return True
    logger.info("cohort of %d runs of %s", len(claims), spec.protocol.name)
    supervise(CohortWork(spec, claims, sessions, settings), settings, is_told_to_stop)
    return True


def _cohort_spec(sessions: Sessions, settings: Settings, claims: list[Claim]) -> CohortSpec | None:
    """None if a row that the runs speak of has gone; they have failed then."""
    with session_scope(sessions) as session:
        rows = [session.get_one(Run, claim.id) for claim in claims]
        try:
            return build_cohort_spec(session, rows, settings)
        except ForetasteError as error:
            for claim in claims:
                runs.finish_run(session, claim, runs.Outcome(state=State.FAILED, error=str(error)))
            return None
