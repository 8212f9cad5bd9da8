"""What an end means for the rows: a run's outcome with its scores and gates, a job's corpus or tokenizer."""

import math
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from proxy.errors import SharedStoreError
from worker import jobs, runs
from worker.cohorts.floor import update_ulps_of
from worker.cohorts.messages import (
    CohortSpec,
    JobEnded,
    JobSpec,
    RescoreRunsSpec,
    RunEnded,
    RunResult,
    ScoreRunSpec,
    SuiteResult,
    TokeniseCorpusSpec,
)
from worker.jobs import JobKind
from worker.leases import Claim
from worker.parts import fan_out, settle_part
from worker.purges import purge
from worker.retirements import retired_of
from worker.store.models import Corpus, Job, Run, Tokenizer
from worker.store.states import State


def outcome_of(line: RunEnded, spec: CohortSpec) -> runs.Outcome:
    """What is stored for a run. A stopped or failed run has no scores."""
    result = line.result
    scores = []
    if result is not None and line.state == "finished":
        scores = [score_of(part, result, spec.protocol.steps) for part in result.suites.values()]
    return runs.Outcome(
        state=State(line.state),
        result=None if result is None else result.model_dump(mode="json"),
        error=line.error,
        checkpoint=line.checkpoint,
        scores=scores,
    )


def score_of(part: SuiteResult, result: RunResult, planned_steps: int) -> runs.Score:
    """One suite's score with the marks of its gates."""
    return runs.Score(
        suite_id=part.suite,
        score=part.score,
        sets={name: measured.bits_per_byte for name, measured in part.sets.items()},
        gates=_gates(part, result, planned_steps),
        artifact=part.artifact,
        checkpoints=[one.model_dump(mode="json") for one in part.checkpoints],
    )


def begin_job(session: Session, job: Job) -> None:
    """The corpus or tokenizer a job makes is being worked on."""
    for made in _made_by(session, job.id):
        made.state = State.RUNNING


def end_job(session: Session, claim: Claim, line: JobEnded, spec: JobSpec) -> bool:
    """Stores a job's end and what it made; False (and nothing written) if the claim is lost."""
    if line.error is not None or line.result is None:
        if not jobs.fail_job(session, claim, line.error or "the job ended without a result"):
            return False
        settle_failed_job(session, claim.id)
        return True
    if isinstance(spec, TokeniseCorpusSpec) and "spans" in line.result:
        named = {"corpus": spec.corpus.fingerprint, "tokenizer": spec.tokenizer}
        spans = ({**named, "span": span} for span in line.result["spans"])
        return fan_out(session, claim, JobKind.TOKENISE_SPAN, spans)
    if refused := retired_of(session, [line.result.get("fingerprint", "")]):
        error = f"{refused[0]}; the same documents are not registered again"
        if jobs.fail_job(session, claim, error):
            settle_failed_job(session, claim.id)
            with suppress(SharedStoreError):  # the reconciler finds what is left
                purge(spec, [line.result["fingerprint"]], ())
        return True
    if not jobs.finish_job(session, claim, line.result):
        return False
    _store_result(session, claim.id, line.result, spec)
    settle_part(session, session.get_one(Job, claim.id))
    return True


def settle_failed_job(session: Session, job_id: str) -> None:
    """What a job should have made fails with it, or waits with it for another attempt; so does what it is a part of."""
    job = session.get_one(Job, job_id)
    for made in _made_by(session, job_id):
        made.state, made.error = job.state, job.error
    settle_part(session, job)


def _made_by(session: Session, job_id: str) -> list[Corpus | Tokenizer]:
    corpora = session.scalars(select(Corpus).where(Corpus.job_id == job_id))
    tokenizers = session.scalars(select(Tokenizer).where(Tokenizer.job_id == job_id))
    return [*corpora, *tokenizers]


def _store_result(session: Session, job_id: str, result: dict[str, Any], spec: JobSpec) -> None:
    for made in _made_by(session, job_id):
        made.state, made.error = State.FINISHED, None
        for name in ("fingerprint", "documents", "characters", "text_bytes", "vocabulary", "tokens", "lost"):
            if hasattr(made, name) and name in result:
                setattr(made, name, result[name])
    if isinstance(spec, ScoreRunSpec):
        part = SuiteResult.model_validate(result)
        trained = RunResult.model_validate(session.get_one(Run, spec.run.id).result)
        runs.record_score(session, spec.run.id, score_of(part, trained, spec.protocol.steps))
    if isinstance(spec, RescoreRunsSpec):
        for run_id, difference in result["bf16_differences"].items():
            runs.record_bf16_difference(session, run_id, spec.suite.id, difference)


def _gates(part: SuiteResult, result: RunResult, planned_steps: int) -> list[dict[str, Any]]:
    from proxy.ranking.gates import SourceEpochs, check_gates

    gates = check_gates(
        initial_loss=math.nan if result.initial_loss is None else result.initial_loss,
        final_loss=math.nan if result.final_loss is None else result.final_loss,
        steps=result.steps,
        planned_steps=planned_steps,
        progress={name: measured.progress for name, measured in part.sets.items()},
        leaks={name: measured.leaked_share for name, measured in part.sets.items()},
        update_ulps=update_ulps_of(result.model_dump()),
        epochs=[
            SourceEpochs(source=use.corpus, epochs=use.epochs, target_epochs=use.target_epochs) for use in result.plan
        ],
        highest_loss=max((row[1] for row in result.curve if row[1] is not None), default=None),
        source_shares={name: measured.source_share for name, measured in part.sets.items()},
    )
    return [asdict(gate) for gate in gates]
