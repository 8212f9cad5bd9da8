"""Retiring a corpus (a licence that ended, a takedown): its copies are purged, its row and all results stay and say so.

Retired is the content: every registration of the same documents goes with it, under whatever name, for they share one
table and one set of shards. A name means all its revisions, name@revision that one. What cannot go on without it fails
with the reason at once, running children included: they would read, or make again, what was purged.

Rows first, files second, in one transaction: whoever is killed between the two sends it again, and the reconciler
removes what a child wrote after the purge.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from proxy.errors import FieldProblem, InvalidInputError
from proxy.protocols import Protocol as ProtocolSpec
from proxy.recipes import Recipe as RecipeSpec
from worker import leases
from worker.corpora import find_revisions, retirement_words
from worker.jobs import JobKind
from worker.purges import Purged, left_behind, purge
from worker.settings import Settings
from worker.store.models import Corpus, Evaluation, EvaluationRun, Job, Protocol, Recipe, Run, Suite, utc_now
from worker.store.states import FINAL_STATES, State

MOST_REASON = 1000  # characters


@dataclass(frozen=True, kw_only=True)
class Retirement:
    """What went, what failed with it, and what stays."""

    corpora: Sequence[Corpus]
    purged: Purged
    failed_runs: Sequence[str]
    failed_jobs: Sequence[str]

    @property
    def notes(self) -> list[str]:
        """What people must know of it, in sentences."""
        places = ", ".join(sorted({row.uri for row in self.corpora}))
        return [
            f"The files at {places} are yours and were not touched.",
            "Results, losses a document (without text) and checkpoints of runs stay, and say that the corpus is "
            "retired.",
            "Every registration of the same documents is retired; the same documents are not registered again.",
        ]


def retire_corpus(session: Session, settings: Settings, reference: str, reason: str) -> Retirement:
    """Retires every revision that the reference means, and all registrations of the same content. Sent again it
    finishes what was broken off; the first date and reason stay.

    InvalidInputError at /corpus for what is not registered, at /reason for an empty or overlong one.
    """
    reason = reason.strip()
    if not 1 <= len(reason) <= MOST_REASON:
        raise InvalidInputError.at("/reason", reason[:80], f"must have 1 to {MOST_REASON} characters")
    rows = _same_content(session, find_revisions(session, reference))
    now = utc_now()
    for row in rows:
        if row.retired_at is None:
            row.retired_at, row.retired_reason = now, reason
    session.flush()
    contents = {row.fingerprint for row in rows if row.fingerprint is not None}
    jobs, runs = _jobs_that_need(session, rows, contents), _runs_that_need(session, contents)
    failed_jobs, failed_runs = [job.id for job in jobs], [run.id for run in runs]
    unfinished: list[Job | Run] = [*jobs, *runs]
    for found in unfinished:
        leases.conclude(found, State.FAILED, retirement_words(rows[0]), now)
    for row in rows:
        if not row.state.is_final:
            row.state, row.error = State.FAILED, retirement_words(row)
    session.flush()
    if failed_runs:
        from worker.evaluations import conclude_runs

        conclude_runs(session, settings, failed_runs)
    purged = purge(settings, contents, {row.uri for row in rows})
    return Retirement(corpora=rows, purged=purged, failed_runs=failed_runs, failed_jobs=failed_jobs)


def retired_contents(session: Session) -> dict[str, Corpus]:
    """By fingerprint, one of the registrations of each content that is retired."""
    rows = session.scalars(select(Corpus).where(Corpus.retired_at.is_not(None)).order_by(Corpus.created_at))
    return {row.fingerprint: row for row in rows if row.fingerprint is not None}


def retired_of(session: Session, contents: Iterable[str]) -> list[str]:
    """Which of these are retired, when and why, in words."""
    retired = retired_contents(session)
    return sorted({retirement_words(retired[content]) for content in contents if content in retired})


def retired_sources(session: Session, recipe_ids: Collection[str]) -> dict[str, list[str]]:
    """By recipe, the corpora of it that are retired, in words; recipes without any left out."""
    recipes = session.execute(select(Recipe.id, Recipe.corpora).where(Recipe.id.in_(recipe_ids)))
    found = {recipe_id: retired_of(session, corpora.values()) for recipe_id, corpora in recipes}
    return {recipe_id: words for recipe_id, words in found.items() if words}


def retired_sets(session: Session, suite: Suite) -> list[str]:
    """The retired corpora of a suite's held-out sets, in words."""
    return retired_of(session, contents_of_suite(suite))


def contents_of_suite(suite: Suite) -> set[str]:
    """Fingerprints of its held-out corpora."""
    return {part["corpus"] for part in suite.spec["sets"]}


def require_live(problems: Sequence[FieldProblem]) -> None:
    """Refuses work that `retirement_problems` found to need a retired corpus."""
    if problems:
        raise InvalidInputError(problems)


def retirement_problems(session: Session, recipe: Recipe, protocol: Protocol, suite: Suite) -> list[FieldProblem]:
    """What of a submission is retired: its sources, its held-out sets, its decontamination set."""
    retired = retired_contents(session)
    problems = [
        FieldProblem(pointer=f"/recipe{pointer}", value=reference, message=retirement_words(retired[content]))
        for pointer, reference, content in _sources(recipe.spec, recipe.corpora)
        if content in retired
    ]
    for content in sorted(contents_of_suite(suite) & retired.keys()):
        words = f"{retirement_words(retired[content])}; nothing new is scored on this suite"
        problems.append(FieldProblem(pointer="/suite", value=suite.name, message=words))
    held_out = _decontaminated_against(recipe.spec, protocol.spec)
    if held_out in retired:
        words = f"its decontamination set: {retirement_words(retired[held_out])}"
        problems.append(FieldProblem(pointer="/protocol", value=protocol.name, message=words))
    return problems


def purge_again(session: Session, settings: Settings) -> list[str]:
    """Removes what lies of retired contents all the same; their fingerprints. For the reconciler: a child that did not
    hear in time may have written shards after the purge."""
    found = left_behind(settings, retired_contents(session))
    purge(settings, found, ())
    return found


def _same_content(session: Session, rows: Sequence[Corpus]) -> list[Corpus]:
    """These and all registrations of the same documents."""
    contents = {row.fingerprint for row in rows if row.fingerprint is not None}
    same = session.scalars(select(Corpus).where(Corpus.fingerprint.in_(contents))).all()
    return sorted({row.id: row for row in (*rows, *same)}.values(), key=lambda row: (row.created_at, row.id))


def _sources(spec: Mapping[str, object], corpora: Mapping[str, str]) -> Iterable[tuple[str, str, str]]:
    for leaf in RecipeSpec.model_validate(spec).all_leaves():
        yield f"{leaf.pointer}/corpus", leaf.source.corpus, corpora[leaf.source.corpus]


def _decontaminated_against(recipe: Mapping[str, object], protocol: Mapping[str, object]) -> str | None:
    held_out = ProtocolSpec.model_validate(protocol).decontamination_set
    is_needed = held_out is not None and RecipeSpec.model_validate(recipe).decontaminate
    return held_out.corpus if held_out is not None and is_needed else None


def _runs_that_need(session: Session, contents: set[str]) -> list[Run]:
    """Unfinished runs that train on it, are decontaminated against it, or are asked for by no other suite."""
    unfinished = select(Run).where(Run.state.not_in(FINAL_STATES)).order_by(Run.id).with_for_update()
    return [run for run in session.scalars(unfinished) if _needs(session, run, contents)]


def _needs(session: Session, run: Run, contents: set[str]) -> bool:
    if contents & set(run.recipe.corpora.values()):
        return True
    if _decontaminated_against(run.recipe.spec, run.protocol.spec) in contents:
        return True
    suites = _suites_asking_for(session, run.id)
    return bool(suites) and all(contents_of_suite(suite) & contents for suite in suites)


def _suites_asking_for(session: Session, run_id: str) -> Sequence[Suite]:
    asking = (
        select(Evaluation.suite_id)
        .join(EvaluationRun, EvaluationRun.evaluation_id == Evaluation.id)
        .where(EvaluationRun.run_id == run_id, Evaluation.state.not_in(FINAL_STATES))
    )
    return session.scalars(select(Suite).where(Suite.id.in_(asking))).all()


def _jobs_that_need(session: Session, rows: Sequence[Corpus], contents: set[str]) -> list[Job]:
    unfinished = select(Job).where(Job.state.not_in(FINAL_STATES)).order_by(Job.id).with_for_update()
    registering = {row.job_id for row in rows}
    return [job for job in session.scalars(unfinished) if job.id in registering or _reads(session, job, contents)]


def _reads(session: Session, job: Job, contents: set[str]) -> bool:
    payload = job.payload
    if JobKind(job.kind) is JobKind.SCORE_RUN:
        run, suite = session.get_one(Run, payload["run_id"]), session.get_one(Suite, payload["suite_id"])
        return bool(contents & ({*run.recipe.corpora.values()} | contents_of_suite(suite)))
    if JobKind(job.kind) is JobKind.RESCORE_RUNS:
        return bool(contents & contents_of_suite(session.get_one(Suite, payload["suite_id"])))
    return bool(contents & {payload.get("corpus"), *payload.get("corpora", ())})
