"""Rate searches of three anchors whose runs are ended by hand."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from tests.worker.cases.boards import DOCUMENTS, forget_rows
from tests.worker.cases.conftest import Bureau, recipe
from worker import evaluations, rate_searches
from worker.artifacts import SetLosses, new_losses_path, relative_path, write_losses
from worker.jobs import JobKind
from worker.rate_searches import SearchRequest
from worker.recipes import parse_recipe, store_recipe
from worker.runs import Score, record_bf16_difference, record_score
from worker.store.models import Evaluation, Job, Protocol, RateSearch, Recipe, Run, RunScore
from worker.store.sessions import session_scope
from worker.store.states import State

RATES = (1e-4, 3e-4, 1e-3, 3e-3)
SEEDS = 2
BEST = 1.2e-3
ANCHORS = ("mostly-web", "even", "mostly-code")
Ending = Callable[[Run], dict[str, Any] | None]


def add_anchors(session: Session) -> tuple[str, ...]:
    for index, name in enumerate(ANCHORS):
        store_recipe(session, parse_recipe(recipe(name, web=3 - index, code=1 + index)))
    return ANCHORS


def ask(session: Session, bureau: Bureau, **changes: Any) -> tuple[RateSearch, bool]:
    add_anchors(session)
    said: dict[str, Any] = {"protocol": "small", "suite": "suite", "anchors": ANCHORS, "rates": RATES, "seeds": SEEDS}
    return rate_searches.submit_search(session, bureau.settings, SearchRequest(**said | changes))


def runs_of(session: Session, row: RateSearch, *, is_shuffled: bool = False) -> list[Run]:
    """Of the ladder, or of the controls."""
    ids = [point["evaluation"] for point in row.points if point["is_shuffled"] is is_shuffled]
    found = session.scalars(select(Evaluation).where(Evaluation.id.in_(ids)).order_by(Evaluation.id))
    return [run for evaluation in found for run in evaluation.runs]


def learned(run: Run) -> dict[str, Any]:
    """A parabola whose vertex is `BEST`, anchors .05 apart, a little noise, φ well above its threshold."""
    noise = np.random.default_rng([run.seed, ANCHORS.index(run.recipe.name), round(1e6 * run.learning_rate)])
    score = 3 + 0.05 * ANCHORS.index(run.recipe.name) + 0.1 * math.log(run.learning_rate / BEST) ** 2
    return {"score": score + noise.normal(0, 0.002), "progress": 0.85}


def end(session: Session, bureau: Bureau, runs: list[Run], suite_id: str, ending: Ending = learned) -> None:
    """Every run has ended as `ending` says; None: its loss diverged. All have one file of losses: none is read here."""
    path = new_losses_path(bureau.settings, runs[0].id, suite_id)
    clusters = np.arange(DOCUMENTS) // 3
    losses = SetLosses(nats=np.full(DOCUMENTS, 100.0), text_bytes=np.full(DOCUMENTS, 150), clusters=clusters)
    write_losses(path, {"held": losses})
    artifact = relative_path(bureau.settings, path)
    for run in runs:
        found = ending(run)
        run.result = result_of(run, suite_id, found)
        if found is None:
            run.state, run.error = State.FAILED, "the loss was nan at step 3"
            continue
        run.state, run.checkpoint = State.FINISHED, "checkpoints/none.safetensors"
        score = Score(suite_id=suite_id, score=found["score"], sets={"held": 1.0}, gates=[], artifact=artifact)
        record_score(session, run.id, score)
    session.flush()
    evaluations.conclude_runs(session, bureau.settings, [run.id for run in runs])


def result_of(run: Run, suite_id: str, found: dict[str, Any] | None) -> dict[str, Any]:
    """As a child says it, as far as a search reads it: H_uni is 8 and H_bi 6 nats."""
    if found is None:
        return {"failed_step": 3, "tokens_per_second": 1000.0, "curve": []}
    part = {"bits_per_byte": 1.0, "tokens": 1, "text_bytes": 1, "documents": 1, "unigram_nats": 8.0, "bigram_nats": 6.0}
    sets = {"held": part | {"nats_per_token": 8.0 - 2 * found["progress"]}}
    curve = [[step, 5.0, 1.0, run.learning_rate, 1e-3, 0.0, 1000.0] for step in range(8)]
    return {"failed_step": None, "tokens_per_second": 1000.0, "curve": curve, "suites": {suite_id: {"sets": sets}}}


def conclude(session: Session, bureau: Bureau, row: RateSearch, cost: float = 0.5) -> bool:
    """As a worker does it that also does what the search asks for meanwhile."""
    while not rate_searches.conclude_search(session, bureau.settings, row.id):
        if not rescore(session, row) and not end_control(session, bureau, row, cost):
            return False
    return True


def end_control(session: Session, bureau: Bureau, row: RateSearch, cost: float = 0.5) -> bool:
    """Ends runs on shuffled tokens by hand, with φ so much lower; False if none waits."""
    waiting = [run for run in runs_of(session, row, is_shuffled=True) if not run.state.is_final]
    if waiting:
        end(session, bureau, waiting, row.suite_id, lambda run: learned(run) | {"progress": 0.85 - cost})
    return bool(waiting)


def rescore(session: Session, row: RateSearch, difference: float = 1e-5) -> bool:
    """Ends the search's job by hand; False if none waits."""
    job = None if row.rescoring_id is None else session.get_one(Job, row.rescoring_id)
    if job is None or job.state.is_final:
        return False
    for run_id in job.payload["run_ids"]:
        record_bf16_difference(session, run_id, row.suite_id, difference)
    job.state = State.FINISHED
    session.flush()
    return True


def forget(bureau: Bureau) -> None:
    """What a test that commits leaves."""
    from worker.store.models import EvaluationRun, Leaderboard

    with session_scope(bureau.sessions) as session:
        forget_rows(session, RateSearch, Leaderboard, EvaluationRun, RunScore, Evaluation, Run, Recipe)
        for job in session.scalars(select(Job).where(Job.kind == JobKind.RESCORE_RUNS)):
            session.delete(job)
        for protocol in session.scalars(select(Protocol)):
            if protocol.name != "small" or protocol.version > 1:
                session.delete(protocol)
