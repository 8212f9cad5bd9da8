"""What the page reads from the database besides the snapshots: what can be selected, and what is going on."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session, joinedload

from worker.store.models import Agreement, Corpus, Evaluation, Job, Protocol, Run, Suite, Tokenizer
from worker.store.states import State

MOST_SHOWN = 24
RECENT = timedelta(hours=24)
MOST_FAILURES = 5
UNATTENDED = timedelta(seconds=60)  # queued for longer with nothing running: no worker is there


@dataclass(frozen=True, kw_only=True)
class Choices:
    """References that can be selected, newest first, as `name@version`."""

    protocols: tuple[str, ...]
    suites: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Work:
    """What workers do now. `running` holds at most `MOST_SHOWN` runs; the counts are complete."""

    running: tuple[Run, ...]
    jobs: tuple[Job, ...]
    failures: tuple[Run | Job, ...]
    running_runs: int
    queued_runs: int
    is_unattended: bool

    @property
    def is_idle(self) -> bool:
        """True if nothing runs and nothing waits."""
        return not (self.running_runs or self.queued_runs or self.jobs)


HELD_OUT_WORDS = ("held", "valid", "test", "eval")


@dataclass(frozen=True, kw_only=True)
class Inventory:
    """What is there already, newest first, so that the next command can name it. Tokenizers: name and vocabulary."""

    corpora: tuple[str, ...]
    tokenizers: tuple[tuple[str, int], ...]
    has_suite: bool
    has_protocol: bool

    @property
    def held_out_corpora(self) -> tuple[str, ...]:
        """Corpora whose name says that they are for measuring; without any, the newest."""
        named = tuple(name for name in self.corpora if any(word in name for word in HELD_OUT_WORDS))
        return named or self.corpora[:1]

    @property
    def training_corpora(self) -> tuple[str, ...]:
        """All other corpora; without any, all."""
        return tuple(name for name in self.corpora if name not in self.held_out_corpora) or self.corpora


def read_choices(session: Session) -> Choices:
    """Protocols that have proxy evaluations (or all, while there is none), and all suites."""
    used = select(Evaluation.protocol_id).where(Evaluation.kind == "proxy")
    newest_first = (Protocol.created_at.desc(), Protocol.version.desc())
    protocols = session.scalars(select(Protocol).where(Protocol.id.in_(used)).order_by(*newest_first)).all()
    protocols = protocols or session.scalars(select(Protocol).order_by(*newest_first)).all()
    suites = session.scalars(select(Suite).order_by(Suite.created_at.desc(), Suite.version.desc())).all()
    return Choices(
        protocols=tuple(f"{row.name}@{row.version}" for row in protocols),
        suites=tuple(f"{row.name}@{row.version}" for row in suites),
    )


def read_reference_sets(session: Session, protocol_id: str, suite_id: str) -> dict[str, tuple[str, str]]:
    """Reference sets with their metric that this leaderboard was compared with, newest first, by the words that choose
    them: the set's name, with the metric where the set has several."""
    newest = func.max(Agreement.created_at)
    query = select(Agreement.reference_set, Agreement.metric).where(
        Agreement.protocol_id == protocol_id, Agreement.suite_id == suite_id
    )
    rows = session.execute(query.group_by(Agreement.reference_set, Agreement.metric).order_by(newest.desc())).all()
    counts = Counter(reference_set for reference_set, _ in rows)
    return {
        reference_set if counts[reference_set] == 1 else f"{reference_set} ({metric})": (reference_set, metric)
        for reference_set, metric in rows
    }


def read_rate_search(session: Session, protocol_id: str) -> str | None:
    """Id of the search that found this version's rate; None if it was not found by one."""
    searches = session.get_one(Protocol, protocol_id).made_by
    return searches[0].id if searches else None


def read_rival_protocols(session: Session, suite_id: str, reference_set: str, metric: str) -> tuple[str, ...]:
    """Ids of all protocols that were compared with the same references on the same suite, lowest rate first."""
    query = (
        select(Protocol.id)
        .join(Agreement, Agreement.protocol_id == Protocol.id)
        .where(
            Agreement.suite_id == suite_id,
            Agreement.reference_set == reference_set,
            Agreement.metric == metric,
        )
        .group_by(Protocol.id, Protocol.learning_rate)
        .order_by(Protocol.learning_rate, Protocol.id)
    )
    return tuple(session.scalars(query))


def read_external_sets(session: Session, reference_set: str, metric: str) -> tuple[str, ...]:
    """Sets of proxy scores from elsewhere that were compared with the same references."""
    query = (
        select(Agreement.proxy_set)
        .distinct()
        .where(Agreement.proxy_set.is_not(None), Agreement.reference_set == reference_set, Agreement.metric == metric)
    )
    return tuple(sorted(name for name in session.scalars(query) if name))


def read_work(session: Session, now: datetime) -> Work:
    """Runs and jobs in progress, and what failed in the last day."""
    with_names = select(Run).options(joinedload(Run.recipe), joinedload(Run.protocol))
    running = session.scalars(
        with_names.where(Run.state == State.RUNNING).order_by(Run.started_at, Run.id).limit(MOST_SHOWN)
    ).all()
    jobs = session.scalars(
        select(Job).where(Job.state.in_((State.RUNNING, State.QUEUED))).order_by(Job.created_at).limit(MOST_SHOWN)
    ).all()
    return Work(
        running=tuple(running),
        jobs=tuple(jobs),
        failures=_read_failures(session, now - RECENT),
        running_runs=_count_runs(session, State.RUNNING),
        queued_runs=_count_runs(session, State.QUEUED),
        is_unattended=_is_unattended(session, now),
    )


def _count_runs(session: Session, state: State) -> int:
    return session.scalar(select(func.count()).select_from(Run).where(Run.state == state)) or 0


def _read_failures(session: Session, since: datetime) -> tuple[Run | Job, ...]:
    found: list[Run | Job] = []
    for model in (Run, Job):
        failed = select(model).where(model.state == State.FAILED, model.finished_at >= since)
        found += session.scalars(failed.order_by(model.finished_at.desc()).limit(MOST_FAILURES))
    return tuple(sorted(found, key=_ended_at, reverse=True)[:MOST_FAILURES])


def _ended_at(row: Run | Job) -> datetime:
    assert row.finished_at is not None
    return row.finished_at


def _is_unattended(session: Session, now: datetime) -> bool:
    """Something has been waiting for long and nothing runs."""
    models: Sequence[Any] = (Run, Job)
    if any(session.scalars(select(model.id).where(model.state == State.RUNNING).limit(1)).first() for model in models):
        return False
    waiting = (select(func.min(model.created_at)).where(model.state == State.QUEUED) for model in models)
    oldest = [found for found in map(session.scalar, waiting) if found is not None]
    return bool(oldest) and now - min(oldest) > UNATTENDED


def read_inventory(session: Session) -> Inventory:
    """Finished corpora and tokenizers by name, and whether there are suites and protocols."""
    corpora = session.scalars(
        select(Corpus.name).where(Corpus.state == State.FINISHED).order_by(Corpus.created_at.desc(), Corpus.id)
    )
    tokenizers = session.scalars(
        select(Tokenizer).where(Tokenizer.state == State.FINISHED).order_by(Tokenizer.created_at.desc(), Tokenizer.id)
    )
    return Inventory(
        corpora=tuple(dict.fromkeys(corpora)),
        tokenizers=tuple((row.name, row.vocabulary or 0) for row in tokenizers),
        has_suite=session.scalars(select(Suite.id).limit(1)).first() is not None,
        has_protocol=session.scalars(select(Protocol.id).limit(1)).first() is not None,
    )
