"""What runs look like over HTTP."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from worker.store.models import Protocol, Recipe, Run, RunScore, Suite
from worker.store.states import State

CURVE_COLUMNS = (
    "step",
    "loss",
    "gradient_norm",
    "learning_rate",
    "update_to_weight",
    "flops",
    "tokens_per_second",
)
SCORE_COLUMNS = ("suite", "set", "step", "tokens", "bits_per_byte", "is_budget")
HEAVY = ("curve", "suites")  # the curve has its own address, the suites' results are `scores`


class RecipeRef(BaseModel):
    """Which recipe."""

    id: str
    name: str
    fingerprint: str


class VersionRef(BaseModel):
    """Which version of a protocol or suite."""

    id: str
    name: str
    version: int
    fingerprint: str


class CheckpointOut(BaseModel):
    """One suite at one step of a run, in bits per byte."""

    step: int
    tokens: int
    score: float
    sets: dict[str, float]
    is_budget: bool = Field(
        description="a run of this many tokens under the same protocol would have ended here, on another draw of the "
        "same mixture: its rate is constant, and its stream neither ordered nor repeated"
    )


class ScoreOut(BaseModel):
    """A run on one suite, in bits per byte, with the marks of its gates."""

    suite: VersionRef
    score: float
    sets: dict[str, float]
    gates: list[dict[str, Any]]
    checkpoints: list[CheckpointOut] = Field(
        description="what the score is the mean of, by step; empty where it was scored before they were kept"
    )


class RunOut(BaseModel):
    """One training. `result` is null until it ended by itself."""

    id: str
    state: State
    recipe: RecipeRef
    protocol: VersionRef
    learning_rate: float
    seed: int
    replicate: int
    sweep: str | None = Field(description="runs with the same word are the rates of one sweep")
    attempt: int
    progress: dict[str, Any] = Field(
        description="step, steps, loss, tokens_per_second, seconds_left, resumed_from_step while it runs; before it, "
        "while a corpus is tokenised or its columns are computed: activity, corpus, documents, bytes, of_bytes, "
        "megabytes_a_second, seconds_left"
    )
    error: str | None
    resumed_from_step: list[int] = Field(
        description="the step that each further beginning went on from, 0: anew; known when the run has ended"
    )
    result: dict[str, Any] | None
    scores: list[ScoreOut]
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class CurveOut(BaseModel):
    """Training curve, thinned to at most 200 points. Loss in nats a token, gradient norm before clipping, FLOPs up to
    the step. What was not recorded when the run was trained is null."""

    columns: tuple[str, ...] = CURVE_COLUMNS
    rows: list[list[float | None]]


class ScoresOut(BaseModel):
    """Scores as a table. `suite` is name@version; a row without `set` is the whole suite's, weighted; one without
    `step` is the run's own score, the mean of the steps'."""

    columns: tuple[str, ...] = SCORE_COLUMNS
    rows: list[list[str | int | float | bool | None]]


def show_rows(run: Run) -> list[list[float | None]]:
    """All columns in every row; older runs recorded the first four."""
    rows: list[list[float | None]] = (run.result or {}).get("curve", [])
    return [[*row, *[None] * (len(CURVE_COLUMNS) - len(row))] for row in rows]


def show_score_rows(scores: list[tuple[RunScore, Suite]]) -> list[list[str | int | float | bool | None]]:
    """Suite after suite: the run's score, then each step's."""
    rows: list[list[str | int | float | bool | None]] = []
    for score, suite in scores:
        name = f"{suite.name}@{suite.version}"
        whole = {"step": None, "tokens": None, "score": score.score, "sets": score.sets, "is_budget": None}
        for one in [whole, *(score.checkpoints or [])]:
            for part, value in [(None, one["score"]), *one["sets"].items()]:
                rows.append([name, part, one["step"], one["tokens"], value, one["is_budget"]])
    return rows


def refer_to_recipe(row: Recipe) -> RecipeRef:
    """The short form."""
    return RecipeRef(id=row.id, name=row.name, fingerprint=row.fingerprint)


def refer_to_version(row: Protocol | Suite) -> VersionRef:
    """The short form."""
    return VersionRef(id=row.id, name=row.name, version=row.version, fingerprint=row.fingerprint)


def show_run(run: Run, scores: list[tuple[RunScore, Suite]]) -> RunOut:
    """A row with its scores as people see it."""
    result = None if run.result is None else {name: part for name, part in run.result.items() if name not in HEAVY}
    return RunOut(
        id=run.id,
        state=run.state,
        recipe=refer_to_recipe(run.recipe),
        protocol=refer_to_version(run.protocol),
        learning_rate=run.learning_rate,
        seed=run.seed,
        replicate=run.replicate,
        sweep=run.sweep,
        attempt=run.attempt,
        progress=run.progress,
        error=run.error,
        resumed_from_step=(run.result or {}).get("resumed_from_step", []),
        result=result,
        scores=[
            ScoreOut(
                suite=refer_to_version(suite),
                score=score.score,
                sets=score.sets,
                gates=score.gates,
                checkpoints=[CheckpointOut.model_validate(one) for one in score.checkpoints or []],
            )
            for score, suite in scores
        ],
        created_at=run.created_at,
        started_at=run.started_at,
        finished_at=run.finished_at,
    )
