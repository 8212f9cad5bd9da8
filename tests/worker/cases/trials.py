"""Studies played by hand: recipes, runs that end with scores made up here, and what a row has come to."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from proxy.protocols import Protocol as ProtocolSpec
from proxy.studies import StudyRequest
from tests.worker.cases.boards import DOCUMENTS, forget_rows
from tests.worker.cases.conftest import VOCABULARY, Bureau, recipe
from worker import evaluations, studies
from worker.artifacts import SetLosses, new_losses_path, relative_path, write_losses
from worker.parsing import validate
from worker.protocols import register_protocol
from worker.recipes import parse_recipe, store_recipe
from worker.runs import Score, record_score
from worker.store.models import (
    Agreement,
    Evaluation,
    EvaluationRun,
    Leaderboard,
    Protocol,
    Recipe,
    Reference,
    Run,
    RunScore,
    Study,
    utc_now,
)
from worker.store.sessions import session_scope
from worker.store.states import State

RECIPES = ("mostly-web", "even", "mostly-code")
LADDER, GRID = (1e-3, 1e-2), (1e-3, 1e-2, 1e-1)
BEST = 1e-2
SPEED = 1000.0
SHAPE = {"layers": 1, "width": 16, "heads": 1, "hidden": 16, "context_tokens": 16, "vocabulary": VOCABULARY}
SMALL = {
    "architecture": SHAPE,
    "batch_sequences": 2,
    "steps": 8,
    "precision": "fp32",
    "scoring": {"checkpoints": 1},
}
LARGE = {**SMALL, "architecture": {**SHAPE, "width": 32}}
LARGE_PARAMETERS = 14_688
PROXIES: dict[str, Any] = {"protocol": SMALL, "rates": list(LADDER), "seeds": 2}
REFERENCES: dict[str, Any] = {"protocol": LARGE, "rates": list(GRID), "seeds": 2}
Ending = Callable[[Run], float | None]
GIVEN_UP = -1.0


def add_protocol(session: Session, name: str, content: dict[str, Any], rate: float) -> str:
    """Its id."""
    body = {**content, "name": name, "tokenizer": "bpe", "standard_rate": rate, "reduction": 1.0}
    return register_protocol(session, body)[0].id


def add_recipes(session: Session) -> None:
    for index, name in enumerate(RECIPES):
        store_recipe(session, parse_recipe(recipe(name, web=3 - index, code=1 + index) | {"tags": {"axis": "mixture"}}))


def request(**changes: Any) -> StudyRequest:
    said: dict[str, Any] = {
        "name": "trial",
        "tokenizer": "bpe",
        "suites": ["suite"],
        "recipes": [{"recipe": name} for name in RECIPES],
        "proxies": PROXIES,
        "references": REFERENCES,
    }
    return validate(StudyRequest, said | changes)


def ask(session: Session, bureau: Bureau, **changes: Any) -> tuple[Study, bool]:
    add_recipes(session)
    return studies.submit_study(session, bureau.settings, request(**changes))


def runs_of(session: Session, row: Study, kind: str, *, recipe: str | None = None) -> list[Run]:
    """Queued ones, of one kind of evaluation."""
    ids = [point["evaluation"] for point in row.points if point["kind"] == kind]
    query = select(Run).join(EvaluationRun, EvaluationRun.run_id == Run.id)
    query = query.where(EvaluationRun.evaluation_id.in_(ids), Run.state == State.QUEUED).distinct()
    found = sorted(session.scalars(query), key=lambda run: (run.recipe.name, run.learning_rate, run.seed))
    return [run for run in found if recipe in (None, run.recipe.name)]


def measured(run: Run) -> float | None:
    """Recipes are .1 apart, the middle rate is the best one, and the highest rate of references is hopeless."""
    if run.learning_rate == GRID[-1]:
        return GIVEN_UP
    place = (*RECIPES, run.recipe.name).index(run.recipe.name)
    noise = np.random.default_rng([run.seed, place]).normal(0, 0.01)
    return 3 + 0.1 * place + abs(math.log10(run.learning_rate / BEST)) + float(noise)


def end(session: Session, bureau: Bureau, runs: list[Run], suites: list[str], ending: Ending = measured) -> None:
    """Every run has ended as `ending` says: None, its loss diverged; `GIVEN_UP`, it was stopped."""
    for run in runs:
        score = ending(run)
        run.result = {
            "failed_step": 3 if score is None else None,
            "tokens_per_second": SPEED,
            "seconds": 1.0,
            "parameters": ProtocolSpec.model_validate(run.protocol.spec).architecture.parameters,
            "tokens": 256 if score != GIVEN_UP else 77,
            "curve": [],
        }
        run.finished_at = utc_now()
        if score is None:
            run.state, run.error = State.FAILED, "the loss was nan at step 3"
        elif score == GIVEN_UP:
            run.state = State.STOPPED
        else:
            run.state, run.error, run.checkpoint = State.FINISHED, None, "checkpoints/none.safetensors"
            for suite_id in suites:
                _score(session, bureau, run, suite_id, score)
    session.flush()
    evaluations.conclude_runs(session, bureau.settings, [run.id for run in runs])


def _score(session: Session, bureau: Bureau, run: Run, suite_id: str, score: float) -> None:
    path = new_losses_path(bureau.settings, run.id, suite_id)
    nats = np.full(DOCUMENTS, 150 * np.log(2) * score)
    losses = SetLosses(nats=nats, text_bytes=np.full(DOCUMENTS, 150), clusters=np.arange(DOCUMENTS) // 3)
    write_losses(path, {"held": losses})
    artifact = relative_path(bureau.settings, path)
    made = Score(suite_id=suite_id, score=score, sets={"held": score}, gates=[], artifact=artifact)
    record_score(session, run.id, made)


def suites_of(row: Study) -> list[str]:
    return [suite["id"] for suite in row.spec["suites"]]


def end_kind(session: Session, bureau: Bureau, row: Study, kind: str, ending: Ending = measured) -> None:
    end(session, bureau, runs_of(session, row, kind), suites_of(row), ending)


def play(session: Session, bureau: Bureau, row: Study, ending: Ending = measured) -> None:
    """To its end."""
    for kind in ("sweeps", "proxies", "more_seeds"):
        if runs_of(session, row, kind):
            end_kind(session, bureau, row, kind, ending)
        studies.advance_study(session, bureau.settings, row.id)


def references(session: Session, row: Study) -> dict[tuple[str, float, int], float | None]:
    """Values by recipe, rate and seed, of the first suite."""
    name = row.spec["suites"][0]["reference_set"]
    found = session.scalars(select(Reference).where(Reference.reference_set == name))
    return {(one.recipe_name, one.learning_rate or 0.0, one.seed or 0): one.value for one in found}


def forget(bureau: Bureau) -> None:
    """What a test that commits leaves."""
    with session_scope(bureau.sessions) as session:
        forget_rows(session, Study, Agreement, Leaderboard, Reference, EvaluationRun, RunScore, Evaluation, Run, Recipe)
        for protocol in session.scalars(select(Protocol).where(Protocol.name.startswith("trial-"))):
            session.delete(protocol)


def named(recipe: str) -> dict[str, str]:
    return {"recipe": recipe}
