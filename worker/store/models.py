"""The tables. The database is the truth; the broker only rings the bell.

Identifiers are a short prefix and 32 hex digits. Times are UTC. Specifications are stored as the JSON the user's
words were parsed into, beside the fingerprint that names their content.
"""

import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from datetime import date as calendar_date
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    ForeignKey,
    Index,
    MetaData,
    String,
    Text,
    TypeDecorator,
    UniqueConstraint,
    false,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, declared_attr, mapped_column, relationship

from worker.store.states import State

NAMING = {
    "ix": "ix_%(column_0_label)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class UtcDateTime(TypeDecorator[datetime]):
    """Aware in Python on every database; SQLite stores no zone, so it is put back when read."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value.astimezone(UTC) if value is not None else None

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class StateWord(TypeDecorator[State]):
    """A word in the database, a `State` in Python."""

    impl = String(16)
    cache_ok = True

    def process_bind_param(self, value: State | None, dialect: Dialect) -> str | None:
        return None if value is None else State(value).value

    def process_result_value(self, value: str | None, dialect: Dialect) -> State | None:
        return None if value is None else State(value)


class Base(DeclarativeBase):
    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map = {  # noqa: RUF012 - read once by SQLAlchemy's metaclass
        datetime: UtcDateTime,
        dict[str, Any]: JSON,
        list[Any]: JSON,
        State: StateWord,
    }


def utc_now() -> datetime:
    """Now, aware."""
    return datetime.now(UTC)


def new_id(prefix: str) -> Callable[[], str]:
    """A column default: `prefix_` and 32 hex digits."""
    return lambda: f"{prefix}_{uuid.uuid4().hex}"


class ApiKey(Base):
    """Writes need one. Only the hash is kept; the key is shown once."""

    __tablename__ = "api_keys"
    id: Mapped[str] = mapped_column(String(48), primary_key=True, default=new_id("key"))
    name: Mapped[str] = mapped_column(String(100))
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    revoked_at: Mapped[datetime | None]


class LeasedMixin:
    """Work a worker claims: `attempt` is the fencing token, counted at each claim."""

    state: Mapped[State] = mapped_column(default=State.QUEUED, index=True)
    attempt: Mapped[int] = mapped_column(default=0)
    lease_owner: Mapped[str | None] = mapped_column(String(100))
    lease_expires_at: Mapped[datetime | None]
    progress: Mapped[dict[str, Any]] = mapped_column(default=dict)
    error: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


class Job(LeasedMixin, Base):
    """Durable long work that is not training: `register_corpus`, `train_tokenizer`, `score_run`, …: worker.jobs."""

    __tablename__ = "jobs"
    id: Mapped[str] = mapped_column(String(48), primary_key=True, default=new_id("job"))
    kind: Mapped[str] = mapped_column(String(40))
    payload: Mapped[dict[str, Any]]
    result: Mapped[dict[str, Any] | None]
    parent_id: Mapped[str | None] = mapped_column(String(48), index=True)  # of the job it is a part of: worker.parts


class Corpus(Base):
    """One revision of a named corpus; counts and fingerprint are there once its job has finished."""

    __tablename__ = "corpora"
    __table_args__ = (UniqueConstraint("name", "revision"),)
    id: Mapped[str] = mapped_column(String(48), primary_key=True, default=new_id("cor"))
    name: Mapped[str] = mapped_column(String(100), index=True)
    revision: Mapped[int]
    uri: Mapped[str] = mapped_column(Text)
    text_field: Mapped[str] = mapped_column(String(100), default="text")
    fields: Mapped[list[Any]] = mapped_column(default=list)
    state: Mapped[State] = mapped_column(default=State.QUEUED)
    error: Mapped[str | None] = mapped_column(Text)
    fingerprint: Mapped[str | None] = mapped_column(String(64), index=True)
    documents: Mapped[int | None] = mapped_column(BigInteger)
    characters: Mapped[int | None] = mapped_column(BigInteger)
    text_bytes: Mapped[int | None] = mapped_column(BigInteger)
    job_id: Mapped[str | None] = mapped_column(ForeignKey("jobs.id"))
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    tokenizer: Mapped[str | None] = mapped_column(String(64))  # imported as its tokens: worker.token_imports
    tokens: Mapped[int | None] = mapped_column(BigInteger)  # of an imported corpus
    lost: Mapped[list[Any] | None]  # what an imported corpus cannot do, in sentences
    retired_at: Mapped[datetime | None]  # its copies are purged: worker.retirements
    retired_reason: Mapped[str | None] = mapped_column(Text)


class Tokenizer(Base):
    """A tokenizer.json in the artifact folder, named by its fingerprint."""

    __tablename__ = "tokenizers"
    id: Mapped[str] = mapped_column(String(48), primary_key=True, default=new_id("tok"))
    name: Mapped[str] = mapped_column(String(100), index=True)
    state: Mapped[State] = mapped_column(default=State.QUEUED)
    error: Mapped[str | None] = mapped_column(Text)
    fingerprint: Mapped[str | None] = mapped_column(String(64), index=True)
    vocabulary: Mapped[int | None]
    job_id: Mapped[str | None] = mapped_column(ForeignKey("jobs.id"))
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class Suite(Base):
    """One version of a named suite."""

    __tablename__ = "suites"
    __table_args__ = (UniqueConstraint("name", "version"),)
    id: Mapped[str] = mapped_column(String(48), primary_key=True, default=new_id("sui"))
    name: Mapped[str] = mapped_column(String(100), index=True)
    version: Mapped[int]
    fingerprint: Mapped[str] = mapped_column(String(64), index=True)
    spec: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class Protocol(Base):
    """One version of a named protocol."""

    __tablename__ = "protocols"
    __table_args__ = (UniqueConstraint("name", "version"),)
    id: Mapped[str] = mapped_column(String(48), primary_key=True, default=new_id("pro"))
    name: Mapped[str] = mapped_column(String(100), index=True)
    version: Mapped[int]
    fingerprint: Mapped[str] = mapped_column(String(64), index=True)
    cohort_key: Mapped[str] = mapped_column(String(64))
    learning_rate: Mapped[float]
    spec: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(default=utc_now)

    made_by: Mapped[list["RateSearch"]] = relationship(  # the searches that found this version's rate
        foreign_keys="RateSearch.found_id", viewonly=True, order_by="RateSearch.created_at, RateSearch.id"
    )


class Recipe(Base):
    """A training mixture, content-addressed: the same content again is the same row."""

    __tablename__ = "recipes"
    id: Mapped[str] = mapped_column(String(48), primary_key=True, default=new_id("rec"))
    name: Mapped[str] = mapped_column(String(100), index=True)
    fingerprint: Mapped[str] = mapped_column(String(64), unique=True)
    spec: Mapped[dict[str, Any]]
    corpora: Mapped[dict[str, Any]]  # each source's `corpus` reference → fingerprint of its content
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class Evaluation(Base):
    """One recipe under one protocol and suite, with its runs. `request_key` makes the same request the same row."""

    __tablename__ = "evaluations"
    id: Mapped[str] = mapped_column(String(48), primary_key=True, default=new_id("eva"))
    kind: Mapped[str] = mapped_column(String(12))  # proxy | reference
    recipe_id: Mapped[str] = mapped_column(ForeignKey("recipes.id"), index=True)
    protocol_id: Mapped[str] = mapped_column(ForeignKey("protocols.id"), index=True)
    suite_id: Mapped[str] = mapped_column(ForeignKey("suites.id"), index=True)
    seeds: Mapped[int]
    first_seed: Mapped[int] = mapped_column(default=0, server_default="0")  # the others follow it
    learning_rates: Mapped[list[Any]]
    replicate: Mapped[int] = mapped_column(default=0)
    request_key: Mapped[str] = mapped_column(String(64), unique=True)
    state: Mapped[State] = mapped_column(default=State.QUEUED, index=True)
    is_requested: Mapped[bool] = mapped_column(
        default=False, server_default=false()
    )  # by a user or schedule, by itself
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    finished_at: Mapped[datetime | None]

    recipe: Mapped[Recipe] = relationship()
    protocol: Mapped[Protocol] = relationship()
    suite: Mapped[Suite] = relationship()
    runs: Mapped[list["Run"]] = relationship(secondary="evaluation_runs", order_by="Run.learning_rate, Run.seed")


class Run(LeasedMixin, Base):
    """One training. `fingerprint` is unique: the same run is never trained twice."""

    __tablename__ = "runs"
    __table_args__ = (Index("ix_runs_claim", "state", "cohort_key"),)
    id: Mapped[str] = mapped_column(String(48), primary_key=True, default=new_id("run"))
    fingerprint: Mapped[str] = mapped_column(String(64), unique=True)
    recipe_id: Mapped[str] = mapped_column(ForeignKey("recipes.id"), index=True)
    protocol_id: Mapped[str] = mapped_column(ForeignKey("protocols.id"), index=True)
    cohort_key: Mapped[str] = mapped_column(String(64))
    sweep: Mapped[str | None] = mapped_column(String(64), index=True)  # rates compared while they train
    learning_rate: Mapped[float]
    seed: Mapped[int]
    replicate: Mapped[int] = mapped_column(default=0)
    result: Mapped[dict[str, Any] | None]  # losses, tokens/s, plan, environment: worker.cohorts.messages
    checkpoint: Mapped[str | None] = mapped_column(Text)  # artifact path

    recipe: Mapped[Recipe] = relationship()
    protocol: Mapped[Protocol] = relationship()


class EvaluationRun(Base):
    """Runs are shared: several evaluations may need the same one."""

    __tablename__ = "evaluation_runs"
    evaluation_id: Mapped[str] = mapped_column(ForeignKey("evaluations.id", ondelete="CASCADE"), primary_key=True)
    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"), primary_key=True, index=True)


class RunScore(Base):
    """A run scored on a suite. Per-document losses lie in the artifact (npz)."""

    __tablename__ = "run_scores"
    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"), primary_key=True)
    suite_id: Mapped[str] = mapped_column(ForeignKey("suites.id"), primary_key=True)
    score: Mapped[float]  # bits per byte, weighted over the sets
    sets: Mapped[dict[str, Any]]  # bits per byte of each set
    gates: Mapped[list[Any]]
    artifact: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    checkpoints: Mapped[list[Any] | None]  # what the score averages, by step; None: scored before they were kept
    bf16_difference: Mapped[float | None]  # what logits in bf16 add to the score; None: not measured


class ResultMixin:
    """A measured result of a recipe. Without `recipe_id` the recipe is known by the name its team gave it only."""

    recipe_name: Mapped[str] = mapped_column(String(200))
    axis: Mapped[str | None] = mapped_column(String(100))
    metric: Mapped[str] = mapped_column(String(100))
    direction: Mapped[str] = mapped_column(String(6))  # lower | higher
    unit: Mapped[str] = mapped_column(String(40), default="")
    value: Mapped[float | None]  # None: this setting was given up early
    stopped_early: Mapped[bool] = mapped_column(default=False)
    learning_rate: Mapped[float | None]
    hyperparameters: Mapped[dict[str, Any]] = mapped_column(default=dict)
    seed: Mapped[int | None]
    parameters: Mapped[int] = mapped_column(BigInteger)
    tokens: Mapped[int] = mapped_column(BigInteger)
    source: Mapped[str] = mapped_column(Text, default="")
    date: Mapped[calendar_date | None]  # when it was measured
    request_key: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(default=utc_now)

    @declared_attr
    def recipe_id(cls) -> Mapped[str | None]:  # noqa: N805 - SQLAlchemy passes the class
        return mapped_column(ForeignKey("recipes.id"), index=True)

    @declared_attr
    def recipe(cls) -> Mapped[Recipe | None]:  # noqa: N805
        return relationship()


class Reference(ResultMixin, Base):
    """One large-scale result of a recipe. Labels are computed from all rows of a set, never declared."""

    __tablename__ = "reference_results"
    __table_args__ = (UniqueConstraint("request_key"),)
    id: Mapped[str] = mapped_column(String(48), primary_key=True, default=new_id("ref"))
    reference_set: Mapped[str] = mapped_column(String(100), index=True)
    evaluation_id: Mapped[str | None] = mapped_column(ForeignKey("evaluations.id"))


class ExternalScore(ResultMixin, Base):
    """One proxy score that was measured elsewhere: a team's past, or a published study."""

    __tablename__ = "external_scores"
    __table_args__ = (UniqueConstraint("request_key"),)
    id: Mapped[str] = mapped_column(String(48), primary_key=True, default=new_id("ext"))
    proxy_set: Mapped[str] = mapped_column(String(100), index=True)


class Leaderboard(Base):
    """A snapshot; the newest of a (protocol, suite) is what people read. Never overwritten."""

    __tablename__ = "leaderboards"
    __table_args__ = (Index("ix_leaderboards_newest", "protocol_id", "suite_id", "created_at"),)
    id: Mapped[str] = mapped_column(String(48), primary_key=True, default=new_id("lea"))
    protocol_id: Mapped[str] = mapped_column(ForeignKey("protocols.id"))
    suite_id: Mapped[str] = mapped_column(ForeignKey("suites.id"))
    evidence: Mapped[str] = mapped_column(String(64))  # fingerprint of what it was computed from
    body: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class Agreement(Base):
    """A snapshot of how a leaderboard, or else a set of external scores, agrees with one metric of a reference set.
    Never overwritten: its history is shown."""

    __tablename__ = "agreements"
    __table_args__ = (
        Index("ix_agreements_newest", "protocol_id", "suite_id", "reference_set", "created_at"),
        Index("ix_agreements_external", "proxy_set", "reference_set", "created_at"),
    )
    id: Mapped[str] = mapped_column(String(48), primary_key=True, default=new_id("agr"))
    protocol_id: Mapped[str | None] = mapped_column(ForeignKey("protocols.id"))
    suite_id: Mapped[str | None] = mapped_column(ForeignKey("suites.id"))
    proxy_set: Mapped[str | None] = mapped_column(String(100))
    reference_set: Mapped[str] = mapped_column(String(100))
    metric: Mapped[str] = mapped_column(String(100))
    evidence: Mapped[str] = mapped_column(String(64))
    body: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class RateSearch(Base):
    """A ladder of evaluations and what the rule made of them: worker.rate_searches. Running until all have ended."""

    __tablename__ = "rate_searches"
    id: Mapped[str] = mapped_column(String(48), primary_key=True, default=new_id("rat"))
    request_key: Mapped[str] = mapped_column(String(64), unique=True)
    protocol_id: Mapped[str] = mapped_column(ForeignKey("protocols.id"))  # whose rate is searched
    suite_id: Mapped[str] = mapped_column(ForeignKey("suites.id"))
    anchors: Mapped[list[Any]]  # ids of recipes
    rates: Mapped[list[Any]]
    seeds: Mapped[int]
    first_seed: Mapped[int] = mapped_column(default=0, server_default="0")
    steps: Mapped[int]
    state: Mapped[State] = mapped_column(default=State.RUNNING, index=True)
    estimate: Mapped[dict[str, Any]]  # what it was to cost when it was submitted
    points: Mapped[list[Any]]  # rate, recipe, protocol, evaluation, is_own, is_shuffled
    rescoring_id: Mapped[str | None] = mapped_column(ForeignKey("jobs.id"))  # its runs' scores with logits in bf16
    report: Mapped[dict[str, Any] | None]  # proxy.ranking.rate_search.Finding, with its evidence
    found_id: Mapped[str | None] = mapped_column(ForeignKey("protocols.id"))  # the version that was made
    error: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    finished_at: Mapped[datetime | None]

    protocol: Mapped[Protocol] = relationship(foreign_keys=[protocol_id])
    suite: Mapped[Suite] = relationship()
    found: Mapped[Protocol | None] = relationship(foreign_keys=[found_id])


class Replication(Base):
    """Seeds given out look by look until something is resolved: worker.replications. Running until the race ends."""

    __tablename__ = "replications"
    id: Mapped[str] = mapped_column(String(48), primary_key=True, default=new_id("rep"))
    request_key: Mapped[str] = mapped_column(String(64), unique=True)
    protocol_id: Mapped[str] = mapped_column(ForeignKey("protocols.id"))
    suite_id: Mapped[str] = mapped_column(ForeignKey("suites.id"))
    recipes: Mapped[list[Any]]  # ids
    resolve: Mapped[str] = mapped_column(String(20))  # top-3, pairs
    error_rate: Mapped[float]
    most_seeds: Mapped[int]  # of one recipe
    budget: Mapped[str | None] = mapped_column(String(60))  # as the user wrote it
    budget_seconds: Mapped[float | None]
    max_runs: Mapped[int | None]
    budget_runs: Mapped[int | None]  # what the budget comes to; None until it is known what a run takes
    seconds_per_run: Mapped[float | None]
    runs_used: Mapped[int] = mapped_column(default=0)  # that were not there yet when they were asked for
    state: Mapped[State] = mapped_column(default=State.RUNNING, index=True)
    outcome: Mapped[str | None] = mapped_column(String(20))  # proxy.ranking.replication.RaceState, or failures
    estimate: Mapped[dict[str, Any]]  # what it was to cost when it was submitted
    points: Mapped[list[Any]]  # recipe, seeds, evaluation, is_own; the newest of a recipe last
    failed: Mapped[dict[str, Any]]  # recipes that take no further part: reason, is_lasting
    looks: Mapped[list[Any]]  # each look that was taken, with what was known after it
    report: Mapped[dict[str, Any] | None]  # what is known: worker.replications.racing
    error: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    finished_at: Mapped[datetime | None]

    protocol: Mapped[Protocol] = relationship()
    suite: Mapped[Suite] = relationship()


class Study(Base):
    """Recipes at every rate of a ladder against swept references: worker.studies. Running until all have ended."""

    __tablename__ = "studies"
    id: Mapped[str] = mapped_column(String(48), primary_key=True, default=new_id("stu"))
    request_key: Mapped[str] = mapped_column(String(64), unique=True)
    name: Mapped[str] = mapped_column(String(100), index=True)
    spec: Mapped[dict[str, Any]]  # description, suites, recipes, rates and seeds: worker.studies.plans.Plan.described
    protocols: Mapped[dict[str, Any]]  # ids: base, ladder (rate, protocol), reference
    state: Mapped[State] = mapped_column(default=State.RUNNING, index=True)
    estimate: Mapped[dict[str, Any]]  # what it was to cost when it was submitted
    points: Mapped[list[Any]]  # its evaluations: worker.studies.points
    error: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    finished_at: Mapped[datetime | None]


class Schedule(Base):
    """A cron rule (UTC) that re-evaluates a selection of recipes under a protocol's newest version."""

    __tablename__ = "schedules"
    id: Mapped[str] = mapped_column(String(48), primary_key=True, default=new_id("sch"))
    name: Mapped[str] = mapped_column(String(100), unique=True)
    cron: Mapped[str] = mapped_column(String(100))
    protocol: Mapped[str] = mapped_column(String(100))  # by name: its newest version at each firing
    suite: Mapped[str] = mapped_column(String(100))
    seeds: Mapped[int]
    tags: Mapped[dict[str, Any]] = mapped_column(default=dict)  # recipes that carry all of these; {} means all
    is_enabled: Mapped[bool] = mapped_column(default=True)
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class ScheduleSlot(Base):
    """One firing. The unique pair makes two beats fire once."""

    __tablename__ = "schedule_slots"
    __table_args__ = (UniqueConstraint("schedule_id", "slot"),)
    id: Mapped[str] = mapped_column(String(48), primary_key=True, default=new_id("slo"))
    schedule_id: Mapped[str] = mapped_column(ForeignKey("schedules.id", ondelete="CASCADE"))
    slot: Mapped[str] = mapped_column(String(60))  # the due minute, ISO 8601; or `trigger:` and a unique id
    submitted: Mapped[list[Any]] = mapped_column(default=list)  # evaluations this firing created
    reused: Mapped[list[Any]] = mapped_column(default=list)  # evaluations that were already there
    refused: Mapped[list[Any]] = mapped_column(default=list)  # recipes that can no longer be evaluated, and why
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
