"""Replications as rows: round after round, looks, budgets, ends. Runs are ended by hand, with scores made up here."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from proxy.errors import InvalidInputError, NotFoundError
from proxy.ranking.replication import Race
from proxy.ranking.standings import Goal
from tests.benchmarks.study.races import draw_field, run_race
from tests.worker.cases.boards import count
from tests.worker.cases.conftest import Bureau, recipe, submit
from tests.worker.cases.races import (
    GAPS,
    RECIPES,
    SPEED,
    add_recipes,
    ask,
    end,
    forget,
    measured,
    names,
    placed,
    race,
    said,
    seeds_of,
    waiting,
)
from worker import replications
from worker.cohorts.work import conclude
from worker.queue import Bell
from worker.recipes import parse_recipe, store_recipe
from worker.reconciler import reconcile
from worker.store.models import (
    Evaluation,
    Protocol,
    Replication,
    Run,
)
from worker.store.sessions import session_scope
from worker.store.states import State


def test_a_race_resolves_the_best_and_gives_seeds_to_those_that_are_open(session: Session, bureau: Bureau) -> None:
    row, is_new = ask(session, bureau)
    assert (is_new, row.state, len(waiting(session, row))) == (True, State.RUNNING, 10)
    race(session, bureau, row)
    assert (row.state, row.outcome) == (State.FINISHED, "resolved")
    assert placed(session, row) == dict(zip(RECIPES, ["best", "best", "rest", "rest", "rest"], strict=True))
    assert seeds_of(session, row)["e-last"] <= min(seeds_of(session, row)["b-second"], 3)
    assert row.runs_used == sum(seeds_of(session, row).values()) == count(session, Run)
    assert said(session, row).startswith("The best 2 of 5 recipes are a-best and b-second.")
    assert "at most 0.05, over all recipes and looks" in said(session, row)
    assert said(session, row).endswith("where recipes' seed noise is of similar size.")


def test_the_best_one_needs_more_seeds_than_the_best_two(session: Session, bureau: Bureau) -> None:
    """First and second are .004 apart, far less than a seed moves them: looks go on between these two alone."""

    def near(run: Run) -> float | None:
        score = measured(run)
        assert score is not None
        return score - (0.036 if run.recipe.name == "b-second" else 0)

    row, _ = ask(session, bureau, resolve="best")
    race(session, bureau, row, near)
    taken = seeds_of(session, row)
    assert [look["seeds"] for look in row.looks] == [2, 3, 4, 6, 8, 12, 16][: len(row.looks)]
    assert taken["a-best"] == taken["b-second"] > taken["e-last"]
    assert row.resolve == "top-1"


def test_each_look_is_taken_once_and_spends_its_part_of_the_error_rate(session: Session, bureau: Bureau) -> None:
    row, _ = ask(session, bureau, resolve="best", most_seeds=4)
    race(session, bureau, row, lambda run: 3.0 + np.random.default_rng([run.seed, len(run.recipe.name)]).normal())
    assert [look["seeds"] for look in row.looks] == [2, 3, 4]
    assert [look["error_spent"] for look in row.looks] == pytest.approx([0.05 / 3, 0.1 / 3, 0.05])
    assert (row.state, row.outcome) == (State.FINISHED, "seeds_spent")
    assert "no further seed was planned (4 of each open recipe)" in said(session, row)
    assert not replications.advance_replication(session, bureau.settings, row.id)


def test_the_order_of_all_pairs_can_be_resolved(session: Session, bureau: Bureau) -> None:
    row, _ = ask(session, bureau, resolve="pairs")
    race(session, bureau, row)
    assert row.report is not None
    assert (row.outcome, row.report["resolved_pairs"], row.report["pairs"]) == ("resolved", 10, 10)
    assert names(session, [one["recipe"] for one in row.report["recipes"]]) == list(RECIPES)
    assert "best first: a-best, b-second, c-third, d-fourth, e-last." in said(session, row)


@pytest.mark.parametrize("best", [2, None])
def test_it_trains_and_finds_what_the_simulated_race_does(session: Session, bureau: Bureau, best: int | None) -> None:
    """The race whose error rate and savings are simulated is the one that the service runs, whatever its batches."""
    field = draw_field(np.array([0.0, 2.0, 4.0, 8.0, 12.0]), 8, np.random.default_rng(7))
    simulated = run_race(field, Race(goal=Goal(best=best), most_seeds=8), 3)
    row, _ = ask(session, bureau, resolve="pairs" if best is None else f"top-{best}", most_seeds=8)
    race(session, bureau, row, lambda run: float(field.score_RT[RECIPES.index(run.recipe.name), run.seed]))
    assert row.report is not None
    place = {recipe: index for index, recipe in enumerate(row.recipes)}
    found = {(place[one["recipe"]], place[worse]) for one in row.report["recipes"] for worse in one["better_than"]}
    assert (row.outcome, row.runs_used) == (str(simulated.state), simulated.runs)
    assert found == {(a, b) for a, b in np.argwhere(simulated.known_RR)}
    assert 2 * len(RECIPES) < row.runs_used < 8 * len(RECIPES)


def test_nothing_happens_before_the_last_run_of_a_round(session: Session, bureau: Bureau) -> None:
    row, _ = ask(session, bureau)
    runs = waiting(session, row)
    end(session, bureau, runs[1:], row.suite_id)
    assert not replications.advance_replication(session, bureau.settings, row.id)
    assert (row.looks, row.report) == ([], None)
    end(session, bureau, runs[:1], row.suite_id)
    assert replications.advance_replication(session, bureau.settings, row.id)
    assert [look["seeds"] for look in row.looks] == [2]


def test_runs_that_are_there_cost_nothing_and_are_looked_at_at_once(session: Session, bureau: Bureau) -> None:
    first, _ = ask(session, bureau)
    race(session, bureau, first)
    before, looks = count(session, Run), len(first.looks)
    again, is_new = ask(session, bureau, error_rate=0.049, max_runs=1)
    assert (is_new, again.outcome, again.runs_used, count(session, Run)) == (True, "resolved", 0, before)
    assert len(again.looks) == looks
    assert again.estimate["runs_to_train_until_first_look"] == 0


def test_more_seeds_that_somebody_else_trained_change_no_look(session: Session, bureau: Bureau) -> None:
    row, _ = ask(session, bureau)
    other, _ = submit(session, bureau, "c-third", seeds=9)
    end(session, bureau, waiting(session, row) + [run for run in other.runs if run.seed > 1], row.suite_id)
    replications.advance_replication(session, bureau.settings, row.id)
    assert row.report is not None
    assert {one["seeds"] for one in row.report["recipes"]} == {2}


def test_the_same_race_is_the_same_row_whatever_the_order_and_the_budget(session: Session, bureau: Bureau) -> None:
    row, _ = ask(session, bureau, resolve="best")
    same, is_new = ask(session, bureau, resolve="top-1", recipes=RECIPES[::-1], max_runs=99)
    assert (same.id, is_new, same.budget_runs) == (row.id, False, 99)
    for change in ({"resolve": "top-3"}, {"error_rate": 0.1}, {"most_seeds": 8}, {"recipes": RECIPES[1:]}):
        assert ask(session, bureau, **{"resolve": "best", **change})[0].id != row.id


def test_a_budget_that_does_not_reach_the_next_look_is_not_spent_and_can_be_raised(
    session: Session, bureau: Bureau
) -> None:
    def even(run: Run) -> float | None:
        return 3.0 + float(np.random.default_rng([run.seed, RECIPES.index(run.recipe.name)]).normal())

    row, _ = ask(session, bureau, max_runs=14)
    race(session, bureau, row, even)
    assert (row.state, row.outcome, row.runs_used) == (State.FINISHED, "budget_spent", 10)
    assert "(10 of 14 runs used)" in said(session, row)
    assert ask(session, bureau, max_runs=14)[0].outcome == "budget_spent"
    again, is_new = ask(session, bureau, max_runs=15)
    assert (again.id, is_new, again.state, again.outcome) == (row.id, False, State.RUNNING, None)
    assert len(waiting(session, row)) == 5
    race(session, bureau, row, even)
    assert (row.outcome, row.runs_used, [look["seeds"] for look in row.looks]) == ("budget_spent", 15, [2, 3])


def test_a_duration_is_converted_to_runs_by_what_a_run_takes_here(session: Session, bureau: Bureau) -> None:
    """Nobody has trained anything: one run is trained first, and shows that 2 s are 7 runs of .256 s."""
    row, _ = ask(session, bureau, budget="2s", max_runs=None)
    assert (row.budget_runs, [run.recipe.name for run in waiting(session, row)]) == (None, ["a-best"])
    end(session, bureau, waiting(session, row), row.suite_id)
    replications.advance_replication(session, bureau.settings, row.id)
    assert row.seconds_per_run == pytest.approx(bureau.protocol().token_budget / SPEED)
    assert (row.budget_runs, row.outcome, row.runs_used) == (7, "budget_spent", 1)
    assert said(session, row) == (
        "Nothing is resolved: what is left of the budget does not reach the next look (1 of 7 runs used)."
    )
    again, _ = ask(session, bureau, budget="1m", max_runs=None)
    assert (again.id, again.budget_runs, len(waiting(session, row))) == (row.id, 234, 9)
    race(session, bureau, row)
    assert row.outcome == "resolved"


def test_where_a_runs_time_is_known_a_budget_without_a_look_is_refused(session: Session, bureau: Bureau) -> None:
    row, _ = ask(session, bureau)
    end(session, bureau, waiting(session, row)[:1], row.suite_id)
    with pytest.raises(InvalidInputError, match=r"pays for 3 runs of 0\.256 s each.*needs 9") as refused:
        ask(session, bureau, budget="1s", max_runs=None, error_rate=0.1)
    assert refused.value.problems[0].pointer == "/budget"
    known, _ = ask(session, bureau, budget="1h", max_runs=20, error_rate=0.1)
    assert known.budget_runs == 20


def test_too_few_runs_are_refused_whatever_a_run_takes(session: Session, bureau: Bureau) -> None:
    """Nothing like them was trained here, so that the duration is no number yet."""
    with pytest.raises(InvalidInputError, match=r"pays for 3 runs; the first look.*needs 10") as refused:
        ask(session, bureau, budget="2h", max_runs=3)
    assert refused.value.problems[0].pointer == "/max_runs"


def test_seeds_that_change_nothing_end_the_race(session: Session, bureau: Bureau) -> None:
    row, _ = ask(session, bureau)
    race(session, bureau, row, lambda run: 3.0 + GAPS[RECIPES.index(run.recipe.name)])
    assert (row.state, row.outcome) == (State.FINISHED, "no_noise")
    assert "identical scores" in said(session, row)


def test_progress_says_what_is_left(session: Session, bureau: Bureau) -> None:
    row, _ = ask(session, bureau, max_runs=30)
    end(session, bureau, waiting(session, row)[:4], row.suite_id)
    assert replications.progress_of(session, row) == {
        "look": 2,
        "runs": 10,
        "ended": 4,
        "running": 0,
        "queued": 6,
        "runs_used": 10,
        "runs_left": 20,
        "device_seconds_until_look": None,
    }


def test_without_names_everything_that_is_ranked_races(session: Session, bureau: Bureau) -> None:
    first, _ = ask(session, bureau, recipes=RECIPES[:3])
    race(session, bureau, first)
    row, _ = ask(session, bureau, recipes=(), protocol=None, suite=None, resolve="best")
    assert names(session, row.recipes) == list(RECIPES[:3])
    assert (row.protocol_id, row.suite_id) == (first.protocol_id, first.suite_id)


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"resolve": "top-0"}, "/resolve"),
        ({"resolve": "top-5"}, "/resolve"),
        ({"resolve": "everything"}, "/resolve"),
        ({"recipes": RECIPES[:1]}, "/recipes"),
        ({"recipes": (*RECIPES, "a-best")}, "/recipes/5"),
        ({"recipes": (*RECIPES, "nobody")}, "/recipes/5"),
        ({"recipes": ()}, "/recipes"),
        ({"protocol": "nobody"}, "/protocol"),
        ({"suite": "nobody"}, "/suite"),
        ({"budget": "0h"}, "/budget"),
        ({"budget": "two hours"}, "/budget"),
        ({"budget": ""}, "/budget"),
        ({"max_runs": None}, "/budget"),
        ({"max_runs": 0}, "/max_runs"),
        ({"max_runs": 9}, "/max_runs"),
        ({"error_rate": 0.0}, "/error_rate"),
        ({"error_rate": 1.0}, "/error_rate"),
        ({"error_rate": float("nan")}, "/error_rate"),
        ({"most_seeds": 1}, "/most_seeds"),
        ({"most_seeds": 101}, "/most_seeds"),
    ],
)
def test_a_race_that_cannot_be_is_refused_and_leaves_nothing(
    session: Session, bureau: Bureau, change: dict[str, Any], pointer: str
) -> None:
    add_recipes(session)
    rows = {model: count(session, model) for model in (Replication, Evaluation, Run)}
    with pytest.raises(InvalidInputError) as refused, session.begin_nested():
        ask(session, bureau, **change)
    assert refused.value.problems[0].pointer == pointer
    assert {model: count(session, model) for model in rows} == rows


def test_a_recipe_that_cannot_be_trained_is_named_and_leaves_nothing(session: Session, bureau: Bureau) -> None:
    store_recipe(session, parse_recipe(recipe("leaking", web=1, held=1)))
    with pytest.raises(InvalidInputError, match=r"leaking: .*memory, not learning") as refused, session.begin_nested():
        ask(session, bureau, recipes=(*RECIPES, "leaking"))
    assert refused.value.problems[0].pointer == "/recipes"
    assert count(session, Replication) == 0


def test_a_protocol_of_other_numerics_is_not_raced(session: Session, bureau: Bureau) -> None:
    protocol = session.scalars(select(Protocol).where(Protocol.name == "small")).one()
    protocol.spec = protocol.spec | {"numerics_version": 0}
    with pytest.raises(InvalidInputError, match="numerics version 0") as refused:
        ask(session, bureau)
    assert refused.value.problems[0].pointer == "/protocol"


def test_what_is_not_there_is_not_found(session: Session) -> None:
    with pytest.raises(NotFoundError, match="rep_none"):
        replications.get_replication(session, "rep_none")


@pytest.fixture
def stored(bureau: Bureau) -> Iterator[Replication]:
    """A committed race, all runs of whose first round have ended, and nobody came to look."""
    with session_scope(bureau.sessions) as session:
        row, _ = ask(session, bureau, resolve="best")
        noise = {run.id: float(np.random.default_rng(k).normal()) for k, run in enumerate(waiting(session, row))}
        end(session, bureau, waiting(session, row), row.suite_id, lambda run: 3.0 + noise[run.id])
    yield row
    forget(bureau)


def require_one_look(bureau: Bureau, row: Replication) -> None:
    with bureau.sessions() as session:
        found = session.get_one(Replication, row.id)
        assert ([look["seeds"] for look in found.looks], found.state, found.runs_used) == ([2], State.RUNNING, 15)
        assert len(waiting(session, found)) == 5


def test_the_worker_that_ends_a_round_begins_the_next(bureau: Bureau, stored: Replication) -> None:
    for _ in range(2):  # two workers that end a run at once
        conclude(bureau.sessions, bureau.settings, [])
        require_one_look(bureau, stored)


def test_the_reconciler_goes_on_where_a_killed_worker_stopped(
    bureau: Bureau, stored: Replication, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And calls workers for the next round."""
    monkeypatch.setattr("worker.reconciler.ring", lambda *_, **__: True)
    found = reconcile(bureau.sessions, bureau.settings)
    assert (found.advanced, found.rang) == ((stored.id,), (Bell.RUNS,))
    require_one_look(bureau, stored)
    assert reconcile(bureau.sessions, bureau.settings).advanced == ()
    require_one_look(bureau, stored)


def test_a_transaction_that_is_lost_leaves_the_look_to_the_next(bureau: Bureau, stored: Replication) -> None:
    """Killed between the look and the commit: neither the look nor its round is there, and both are made once."""
    with bureau.sessions() as session:
        assert replications.advance_replication(session, bureau.settings, stored.id)
        session.rollback()
    with bureau.sessions() as session:
        assert session.get_one(Replication, stored.id).looks == []
        assert waiting(session, session.get_one(Replication, stored.id)) == []
    assert replications.advance_replications(bureau.sessions, bureau.settings) == (stored.id,)
    require_one_look(bureau, stored)
