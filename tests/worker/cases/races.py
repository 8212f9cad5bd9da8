"""Races played by hand: recipes, runs that end with scores made up here, and what a row has come to."""

from collections.abc import Callable
from typing import Any

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from tests.worker.cases.boards import DOCUMENTS, forget_rows
from tests.worker.cases.conftest import Bureau, recipe
from worker import evaluations, replications
from worker.artifacts import SetLosses, new_losses_path, relative_path, write_losses
from worker.recipes import parse_recipe, store_recipe
from worker.replications import ReplicationRequest
from worker.runs import Score, record_score
from worker.store.models import (
    Evaluation,
    EvaluationRun,
    Leaderboard,
    Recipe,
    Replication,
    Run,
    RunScore,
    utc_now,
)
from worker.store.sessions import session_scope
from worker.store.states import State

RECIPES = ("a-best", "b-second", "c-third", "d-fourth", "e-last")
GAPS = (0.0, 0.04, 0.2, 0.4, 0.6)  # of the mean scores; a seed's own noise is .01
NOISE, SPEED = 0.01, 1000.0
Ending = Callable[[Run], float | None]


def add_recipes(session: Session) -> tuple[str, ...]:
    for index, name in enumerate(RECIPES):
        store_recipe(session, parse_recipe(recipe(name, web=5 - index, code=1 + index)))
    return RECIPES


def ask(session: Session, bureau: Bureau, **changes: Any) -> tuple[Replication, bool]:
    add_recipes(session)
    said: dict[str, Any] = {"resolve": "top-2", "protocol": "small", "suite": "suite", "recipes": RECIPES}
    said |= {"max_runs": 1000} | changes
    return replications.submit_replication(session, bureau.settings, ReplicationRequest(**said))


def waiting(session: Session, row: Replication) -> list[Run]:
    ids = [point["evaluation"] for point in row.points]
    query = select(Run).join(EvaluationRun, EvaluationRun.run_id == Run.id)
    query = query.where(EvaluationRun.evaluation_id.in_(ids), Run.state == State.QUEUED).distinct()
    return sorted(session.scalars(query), key=lambda run: (run.recipe.name, run.seed))


def measured(run: Run) -> float | None:
    """The recipe's gap, what the seed does to all, and noise of its own."""
    place = RECIPES.index(run.recipe.name)
    own = np.random.default_rng([run.seed, place]).normal(0, NOISE)
    return 3 + GAPS[place] + 0.3 * run.seed + float(own)


def end(session: Session, bureau: Bureau, runs: list[Run], suite_id: str, ending: Ending = measured) -> None:
    """Every run has ended as `ending` says; None: its loss diverged."""
    path = new_losses_path(bureau.settings, runs[0].id, suite_id)
    clusters = np.arange(DOCUMENTS) // 3
    losses = SetLosses(nats=np.full(DOCUMENTS, 100.0), text_bytes=np.full(DOCUMENTS, 150), clusters=clusters)
    write_losses(path, {"held": losses})
    artifact = relative_path(bureau.settings, path)
    for run in runs:
        score = ending(run)
        run.result = {"failed_step": 3 if score is None else None, "tokens_per_second": SPEED, "curve": []}
        run.finished_at = utc_now()
        if score is None:
            run.state, run.error = State.FAILED, "the loss was nan at step 3"
            continue
        run.state, run.checkpoint = State.FINISHED, "checkpoints/none.safetensors"
        made = Score(suite_id=suite_id, score=score, sets={"held": score}, gates=[], artifact=artifact)
        record_score(session, run.id, made)
    session.flush()
    evaluations.conclude_runs(session, bureau.settings, [run.id for run in runs])


def race(session: Session, bureau: Bureau, row: Replication, ending: Ending = measured, rounds: int = 100) -> int:
    """Round after round until it has ended; the number of rounds."""
    for done in range(rounds):
        if row.state.is_final:
            return done
        runs = waiting(session, row)
        assert runs, "a race that has not ended waits for something"
        end(session, bureau, runs, row.suite_id, ending)
        assert replications.advance_replication(session, bureau.settings, row.id)
    return rounds


def names(session: Session, ids: list[str]) -> list[str]:
    return [session.get_one(Recipe, key).name for key in ids]


def placed(session: Session, row: Replication) -> dict[str, str]:
    assert row.report is not None
    return {session.get_one(Recipe, one["recipe"]).name: one["place"] for one in row.report["recipes"]}


def seeds_of(session: Session, row: Replication) -> dict[str, int]:
    return {session.get_one(Recipe, point["recipe"]).name: point["seeds"] for point in row.points}


def said(session: Session, row: Replication) -> str:
    found = replications.conclusion_of(row, {key: session.get_one(Recipe, key).name for key in row.recipes})
    assert found is not None
    return found


def forget(bureau: Bureau) -> None:
    """What a test that commits leaves."""
    with session_scope(bureau.sessions) as session:
        forget_rows(session, Replication, Leaderboard, EvaluationRun, RunScore, Evaluation, Run, Recipe)
