"""One worker's day: claim, hand to a child, store; until nothing waits or it is told to stop."""

import logging
from collections.abc import Callable, Collection
from functools import partial

from sqlalchemy.orm import Session

from proxy.errors import ForetasteError
from worker import jobs, runs
from worker.cohorts.endings import begin_job, settle_failed_job
from worker.cohorts.messages import CohortSpec, JobSpec
from worker.cohorts.specs import build_cohort_spec, build_job_spec
from worker.cohorts.supervisor import supervise
from worker.cohorts.work import CohortWork, JobWork, conclude
from worker.leases import Claim, claim_of, new_owner
from worker.retirements import retired_of
from worker.settings import Settings
from worker.stopping import is_stopping, stopping_on_sigterm
from worker.store.models import Job, Run
from worker.store.sessions import Sessions, session_scope
from worker.store.states import State

logger = logging.getLogger(__name__)

Claimed = Callable[[Callable[[], bool]], None]  # does what was claimed; asks now and then whether to stop


def work_until_idle(
    sessions: Sessions,
    settings: Settings,
    is_told_to_stop: Callable[[], bool] = is_stopping,
    has_claimed: Callable[[], None] = lambda: None,
) -> int:
    """Works on jobs first (they are short and others wait for them), then cohorts; how many of both it took on.

    `has_claimed` is called after each claim, before its work: there may be more for others to claim.
    """
    taken = 0
    with stopping_on_sigterm():
        while not is_told_to_stop():
            work = _claim_job(sessions, settings) or _claim_cohort(sessions, settings)
            if work is None:
                break
            has_claimed()
            work(is_told_to_stop)
            taken += 1
    return taken


def work_at_desk(sessions: Sessions, settings: Settings, is_told_to_stop: Callable[[], bool] = is_stopping) -> int:
    """Works on the jobs that somebody waits for, while every lane trains; how many it took on."""
    taken = 0
    with stopping_on_sigterm():
        while not is_told_to_stop() and (work := _claim_job(sessions, settings, jobs.AWAITED)) is not None:
            work(is_told_to_stop)
            taken += 1
    return taken


def _claim_job(
    sessions: Sessions, settings: Settings, kinds: Collection[jobs.JobKind] = tuple(jobs.JobKind)
) -> Claimed | None:
    with session_scope(sessions) as session:
        job = jobs.claim_job(session, new_owner(), settings, kinds=kinds)
        if job is None:
            return None
        begin_job(session, job)
        claim = claim_of(job)
    logger.info("job %s (%s), attempt %d", job.id, job.kind, job.attempt)
    return partial(_work_on_job, sessions, settings, claim)


def _work_on_job(sessions: Sessions, settings: Settings, claim: Claim, is_told_to_stop: Callable[[], bool]) -> None:
    spec = _job_spec(sessions, settings, claim)
    if spec is not None:
        supervise(JobWork(spec, claim, sessions, settings), settings, is_told_to_stop)


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


def _claim_cohort(sessions: Sessions, settings: Settings) -> Claimed | None:
    with session_scope(sessions) as session:
        claims = [claim_of(run) for run in runs.claim_cohort(session, new_owner(), settings)]
    return partial(_work_on_cohort, sessions, settings, claims) if claims else None


def _work_on_cohort(
    sessions: Sessions, settings: Settings, claims: list[Claim], is_told_to_stop: Callable[[], bool]
) -> None:
    spec = _cohort_spec(sessions, settings, claims)
    taken = frozenset() if spec is None else frozenset(run.id for run in spec.runs)
    if len(taken) < len(claims):
        conclude(sessions, settings, [claim.id for claim in claims if claim.id not in taken])
    if spec is None:
        return
    claims = [claim for claim in claims if claim.id in taken]
    logger.info("cohort of %d runs of %s", len(claims), spec.protocol.name)
    supervise(CohortWork(spec, claims, sessions, settings), settings, is_told_to_stop)


def _cohort_spec(sessions: Sessions, settings: Settings, claims: list[Claim]) -> CohortSpec | None:
    """Without the runs that cannot be trained; None if there are no others. They have failed then."""
    with session_scope(sessions) as session:
        usable = [claim for claim in claims if _is_usable(session, claim)]
        if not usable:
            return None
        rows = [session.get_one(Run, claim.id) for claim in usable]
        try:
            return build_cohort_spec(session, rows, settings)
        except ForetasteError as error:
            for claim in usable:
                runs.finish_run(session, claim, runs.Outcome(state=State.FAILED, error=str(error)))
            return None


def _is_usable(session: Session, claim: Claim) -> bool:
    """False for a run of a corpus that was retired while it was submitted: it fails alone."""
    run = session.get_one(Run, claim.id)
    words = retired_of(session, run.recipe.corpora.values())
    if words:
        runs.finish_run(session, claim, runs.Outcome(state=State.FAILED, error="; ".join(words)))
    return not words
