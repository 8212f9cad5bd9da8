"""From rows to the specification a child can work on without a database."""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from proxy.errors import OUT_OF_MEMORY, NotFoundError
from proxy.protocols import Protocol as ProtocolSpec
from proxy.recipes import Recipe as RecipeSpec
from proxy.suites import Suite as SuiteModel
from worker.cohorts.messages import (
    CohortSpec,
    CorpusSpec,
    ImportTokensSpec,
    JobSpec,
    RegisterCorpusSpec,
    RescoreRunsSpec,
    RunSpec,
    ScoreRunSpec,
    SuiteSpec,
    TokeniseCorpusSpec,
    TokeniseSpanSpec,
    TrainTokenizerSpec,
)
from worker.corpora import find_corpus
from worker.jobs import JobKind
from worker.parts import parts_of
from worker.rate_searches.middles import wanted_middles
from worker.retirements import retired_sets
from worker.settings import Settings
from worker.store.models import Corpus, Evaluation, EvaluationRun, Job, Run, Suite
from worker.store.states import State


def build_cohort_spec(session: Session, runs: Sequence[Run], settings: Settings) -> CohortSpec:
    """What a child needs to train the runs, all of one cohort key. NotFoundError if a corpus is registered no more."""
    suites = {run.id: _suites_of(session, run.id) for run in runs}
    middles = wanted_middles(session, [run.id for run in runs])
    distinct = {suite.id: suite for part in suites.values() for suite in part}
    under = _under(session, runs[0], settings)
    ranks = min(settings.ranks, under["protocol"].batch_sequences)  # each has a row of every batch
    return CohortSpec(
        **under | {"threads": settings.threads_a_rank(ranks)},
        suites=tuple(_suite_spec(session, suite) for suite in distinct.values()),
        runs=tuple(_run_spec(session, run, suites[run.id], middles.get(run.id, ())) for run in runs),
        checkpoint_seconds=settings.checkpoint_seconds,
        micro_batches=max(_micro_batches(run) for run in runs),
        stacked_runs=1 if any(_has_broken(run) for run in runs) else settings.stacked_runs,
        ranks=ranks,
    )


def build_job_spec(session: Session, job: Job, settings: Settings) -> JobSpec:
    """What a child needs to do the job. NotFoundError if something it speaks of is not there."""
    kind = JobKind(job.kind)
    if kind is JobKind.REGISTER_CORPUS:
        corpus = session.scalars(select(Corpus).where(Corpus.job_id == job.id)).one()
        return RegisterCorpusSpec(**_common(settings), job=job.id, corpus=_corpus_spec(corpus))
    if kind is JobKind.TRAIN_TOKENIZER:
        return _tokenizer_spec(session, job, settings)
    if kind is JobKind.TOKENISE_CORPUS:
        return _tokenise_spec(session, job, settings)
    if kind is JobKind.TOKENISE_SPAN:
        return _span_spec(session, job, settings)
    if kind is JobKind.IMPORT_TOKENS:
        return _import_spec(session, job, settings)
    if kind is JobKind.RESCORE_RUNS:
        return _rescore_spec(session, job, settings)
    return _score_spec(session, job, settings)


def _common(settings: Settings) -> dict[str, Any]:
    return {
        "artifact_dir": settings.artifact_dir,
        "shared_store": settings.shared_store,
        "corpus_roots": settings.corpus_roots,
        "threads": settings.lane_threads,
        "compile": settings.compile,
        "shard_bytes": settings.shard_bytes,
    }


def _under(session: Session, run: Run, settings: Settings) -> dict[str, Any]:
    """The run's protocol, and where its decontamination set lies."""
    protocol = ProtocolSpec.model_validate(run.protocol.spec)
    held_out = protocol.decontamination_set
    # read only where a recipe asks for it, and no run of such a recipe is queued once the set is retired
    corpus = None if held_out is None else _corpus_spec(find_corpus(session, held_out.corpus, allows_retired=True))
    return {**_common(settings), "protocol": protocol, "decontamination": corpus}


def _tokenizer_spec(session: Session, job: Job, settings: Settings) -> TrainTokenizerSpec:
    payload = job.payload
    return TrainTokenizerSpec(
        **_common(settings),
        job=job.id,
        vocabulary=payload["vocabulary"],
        sample_bytes=payload["sample_bytes"],
        corpora=tuple(_corpus_spec(find_corpus(session, reference)) for reference in payload["corpora"]),
    )


def _tokenise_spec(session: Session, job: Job, settings: Settings) -> TokeniseCorpusSpec:
    corpus = find_corpus(session, job.payload["corpus"])
    return TokeniseCorpusSpec(
        **_common(settings),
        job=job.id,
        corpus=_corpus_spec(corpus),
        tokenizer=job.payload["tokenizer"],
        text_bytes=corpus.text_bytes or 0,
        shards=_shards(parts_of(session, job.id)),
    )


def _shards(parts: Sequence[Job]) -> tuple[dict[str, Any], ...] | None:
    """Of all parts in the order of their spans; None for a job that has none yet."""
    ordered = sorted(parts, key=lambda part: int(part.payload["span"]["index"]))
    return tuple(shard for part in ordered for shard in (part.result or {})["shards"]) if ordered else None


def _span_spec(session: Session, job: Job, settings: Settings) -> TokeniseSpanSpec:
    return TokeniseSpanSpec(
        **_common(settings),
        job=job.id,
        corpus=_corpus_spec(find_corpus(session, job.payload["corpus"])),
        tokenizer=job.payload["tokenizer"],
        span=job.payload["span"],
    )


def _import_spec(session: Session, job: Job, settings: Settings) -> ImportTokensSpec:
    corpus = session.scalars(select(Corpus).where(Corpus.job_id == job.id)).one()
    files = {name: job.payload[name] for name in ("tokens", "offsets", "dtype", "text_bytes")}
    return ImportTokensSpec(**_common(settings), job=job.id, tokenizer=str(corpus.tokenizer), **files)


def _score_spec(session: Session, job: Job, settings: Settings) -> ScoreRunSpec:
    run = session.get_one(Run, job.payload["run_id"])
    suite = session.get_one(Suite, job.payload["suite_id"])
    if run.checkpoint is None:
        raise NotFoundError(f"run {run.id} has no checkpoint to score")
    return ScoreRunSpec(
        **_under(session, run, settings),
        job=job.id,
        run=_run_spec(session, run, [suite]),
        suite=_suite_spec(session, suite),
        checkpoint=run.checkpoint,
    )


def _rescore_spec(session: Session, job: Job, settings: Settings) -> RescoreRunsSpec:
    """`run_ids` of the payload are runs of one architecture; those without a checkpoint are left out."""
    runs = session.scalars(select(Run).where(Run.id.in_(job.payload["run_ids"])).order_by(Run.id)).all()
    return RescoreRunsSpec(
        **_under(session, session.get_one(Run, job.payload["run_id"]), settings),
        job=job.id,
        suite=_suite_spec(session, session.get_one(Suite, job.payload["suite_id"])),
        checkpoints={run.id: run.checkpoint for run in runs if run.checkpoint is not None},
    )


def _suites_of(session: Session, run_id: str) -> Sequence[Suite]:
    """The suites of the evaluations that need this run, whoever asked first, but for those with a retired set."""
    needing = (
        select(Evaluation.suite_id)
        .join(EvaluationRun, EvaluationRun.evaluation_id == Evaluation.id)
        .where(EvaluationRun.run_id == run_id, Evaluation.state != State.CANCELLED)
    )
    suites = session.scalars(select(Suite).where(Suite.id.in_(needing)).order_by(Suite.id)).all()
    return [suite for suite in suites if not retired_sets(session, suite)]


def _run_spec(session: Session, run: Run, suites: Iterable[Suite], middles: tuple[float, ...] = ()) -> RunSpec:
    return RunSpec(
        id=run.id,
        recipe=RecipeSpec.model_validate(run.recipe.spec),
        corpora={
            reference: _corpus_spec(find_corpus(session, print_)) for reference, print_ in run.recipe.corpora.items()
        },
        learning_rate=run.learning_rate,
        seed=run.seed,
        replicate=run.replicate,
        sweep=run.sweep,
        suites=tuple(suite.id for suite in suites),
        attempt=max(run.attempt, 1),
        claim=(run.lease_owner or "alone").rpartition(":")[2],
        middles=middles,
    )


def _has_broken(run: Run) -> bool:
    """Its last attempt ended with its child: alone, it is known whether it was this run's fault."""
    return run.attempt > 1 and run.error is not None


def _micro_batches(run: Run) -> int:
    """Twice as many parts of a batch for each attempt after one whose memory ran out."""
    return 2 ** (run.attempt - 1) if OUT_OF_MEMORY in (run.error or "") and run.attempt > 1 else 1


def _suite_spec(session: Session, suite: Suite) -> SuiteSpec:
    model = SuiteModel.model_validate(suite.spec)
    corpora = {part.corpus: _corpus_spec(find_corpus(session, part.corpus)) for part in model.sets}
    return SuiteSpec(id=suite.id, suite=model, corpora=corpora)


def _corpus_spec(corpus: Corpus) -> CorpusSpec:
    return CorpusSpec(
        uri=corpus.uri,
        text_field=corpus.text_field,
        fields=tuple(corpus.fields),
        fingerprint=corpus.fingerprint,
        tokenizer=corpus.tokenizer,
    )
