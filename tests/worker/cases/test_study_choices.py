"""What a study says that the rate search would choose from its proxies. Runs are ended by hand."""

import math
from typing import Any

import numpy as np
import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from tests.worker.cases.conftest import Bureau, recipe
from tests.worker.cases.trials import PROXIES, RECIPES, ask, end, end_kind, runs_of, suites_of
from worker import evaluations, rate_searches
from worker.evaluations import Request
from worker.rate_searches import SearchRequest
from worker.rate_searches.controls import submit_control
from worker.recipes import parse_recipe, store_recipe
from worker.store.models import Evaluation, EvaluationRun, Protocol, Run, RunScore, Study, Suite
from worker.store.states import State
from worker.studies.layout import layout_of_row
from worker.studies.reports import report_of_row
from worker.studies.searching import choose_rate

RATES, OPTIMUM = (1e-4, 3e-4, 1e-3, 3e-3), 1.2e-3


def scored(run: Run) -> float:
    """A parabola in log rate, recipes .1 apart, a little seed noise."""
    noise = np.random.default_rng([run.seed, RECIPES.index(run.recipe.name)]).normal(0, 0.002)
    return 3 + 0.1 * RECIPES.index(run.recipe.name) + 0.1 * math.log(run.learning_rate / OPTIMUM) ** 2 + float(noise)


def trained(session: Session, bureau: Bureau) -> Study:
    """A study whose proxies have all ended."""
    row, _ = ask(session, bureau, proxies={**PROXIES, "rates": list(RATES)})
    runs = runs_of(session, row, "proxies")
    end_kind(session, bureau, row, "proxies", scored)
    tell(session, row, runs, progress=0.85)
    return row


def tell(session: Session, row: Study, runs: list[Run], progress: float) -> None:
    """Their curves and sets, as a child says them: H_uni is 8 and H_bi 6 nats."""
    part = {"bits_per_byte": 1.0, "tokens": 1, "text_bytes": 1, "documents": 1, "unigram_nats": 8.0, "bigram_nats": 6.0}
    sets = {"held": part | {"nats_per_token": 8.0 - 2 * progress}}
    for run in runs:
        curve = [[step, 5.0, 1.0, run.learning_rate, 1e-3, 0.0, 1000.0] for step in range(8)]
        told = {"curve": curve, "suites": {suite["id"]: {"sets": sets} for suite in row.spec["suites"]}}
        run.result = {**(run.result or {}), **told}
    session.flush()


def choice(session: Session, row: Study) -> dict[str, Any]:
    return choose_rate(session, session.get_one(Suite, row.spec["suites"][0]["id"]), layout_of_row(session, row))


def proxies_of(session: Session, row: Study, recipe: str, rate: float) -> list[Run]:
    points = [point["evaluation"] for point in row.points if point["kind"] == "proxies"]
    query = select(Run).join(EvaluationRun, EvaluationRun.run_id == Run.id)
    query = query.where(EvaluationRun.evaluation_id.in_(points)).order_by(Run.seed)
    return [run for run in session.scalars(query) if (run.recipe.name, run.learning_rate) == (recipe, rate)]


def test_the_lowest_rate_that_passes_is_named_with_what_a_study_does_not_measure(
    session: Session, bureau: Bureau
) -> None:
    found = choice(session, trained(session, bureau))
    assert (found["rate"], found["outcome"], found["anchors_used"]) == (1e-4, "chosen", 3)
    assert found["optimum"] == pytest.approx(OPTIMUM, rel=0.05)
    assert "0.0001 is the lowest rate that passes every gate that was measured" in found["conclusion"]
    assert "Not measured at the rate that passes: shuffled tokens, bf16 re-score." in found["remarks"]
    assert any("tuning, and hence a reduced rate, matters little" in remark for remark in found["remarks"])
    assert set(found["rates"][0]["ranks"]) == set(RECIPES)
    assert found["left_out"] == {}


def test_recipes_that_repeat_move_neither_the_choice_nor_the_standard_rate(session: Session, bureau: Bureau) -> None:
    """Their best rate is the lowest of the ladder, by more than all others together."""

    def low(run: Run) -> float:
        return 1e4 * run.learning_rate

    store_recipe(session, parse_recipe(recipe("again", web=9, code=1)))
    recipes = [{"recipe": name} for name in RECIPES] + [{"recipe": "again", "axis": "repetition"}]
    row, _ = ask(session, bureau, proxies={**PROXIES, "rates": list(RATES)}, recipes=recipes)
    runs = runs_of(session, row, "proxies")
    end_kind(session, bureau, row, "proxies", lambda run: scored(run) if run.recipe.name in RECIPES else low(run))
    tell(session, row, runs, progress=0.85)
    found = choice(session, row)
    assert (found["rate"], found["anchors_used"]) == (1e-4, 3)
    assert found["optimum"] == pytest.approx(OPTIMUM, rel=0.05)
    assert report_of_row(session, row)["suites"][0]["table"]["standard"] == 1e-3


def test_more_seeds_of_one_recipe_at_one_rate_change_nothing(session: Session, bureau: Bureau) -> None:
    row = trained(session, bureau)
    before = choice(session, row)
    protocol = row.protocols["ladder"][0]["protocol"]
    request = Request(recipe="even", protocol=protocol, suite="suite", seeds=3)
    evaluation, _ = evaluations.submit_evaluation(session, bureau.settings, request)
    for run in evaluation.runs:
        run.state = State.FINISHED
    evaluation.state = State.FINISHED
    session.flush()
    assert choice(session, row) == before


def test_a_recipe_whose_run_broke_is_left_out_by_name_and_the_others_decide(session: Session, bureau: Bureau) -> None:
    row = trained(session, bureau)
    run = proxies_of(session, row, "even", 3e-4)[0]
    session.delete(session.get_one(RunScore, (run.id, row.spec["suites"][0]["id"])))
    run.state, run.error = State.FAILED, "no disk space"
    session.flush()
    found = choice(session, row)
    assert set(found["left_out"]) == {"even"}
    assert "no disk space" in found["left_out"]["even"]
    assert "2 recipes have been trained at every rate so far; 3 are the least" in found["conclusion"]


def test_recipes_that_are_all_alike_are_told_by_their_names(session: Session, bureau: Bureau) -> None:
    row = trained(session, bureau)
    for score in session.scalars(select(RunScore)):
        score.score = 3.0
    session.flush()
    found = choice(session, row)
    assert found["rate"] is None
    assert "all alike" in found["conclusion"]
    assert all(name in found["conclusion"] for name in RECIPES)


def test_gates_that_a_rate_search_over_the_same_proxies_measured_count(session: Session, bureau: Bureau) -> None:
    row = trained(session, bureau)
    base = session.get_one(Protocol, row.protocols["base"])
    recipes = tuple(part["id"] for part in row.spec["recipes"])
    asked = SearchRequest(protocol=base.id, suite="suite", anchors=recipes, rates=RATES, seeds=2)
    runs = len(session.scalars(select(Run)).all())
    search, _ = rate_searches.submit_search(session, bureau.settings, asked)
    assert len(session.scalars(select(Run)).all()) == runs  # the ladder is there
    search.rescoring_id = None
    search.points = [
        *search.points,
        *submit_control(session, bureau.settings, search, 1e-4),
    ]
    ids = [point["evaluation"] for point in search.points if point.get("is_shuffled")]
    shuffled = [run for one in ids for run in session.get_one(Evaluation, one).runs]
    assert len(shuffled) == len(RECIPES)
    assert choice(session, row)["rate"] == 1e-4  # while they train they say nothing
    end(session, bureau, shuffled, suites_of(row), scored)
    tell(session, row, shuffled, progress=0.8)
    found = choice(session, row)
    assert found["rate"] == 3e-4  # at 1e-4 shuffling costs too little
    gates = {gate["name"]: gate["verdict"] for gate in found["rates"][0]["gates"]}
    assert gates["shuffled tokens"] == "failed"
