"""Races in which runs or recipes break, or that somebody cancels, and that go on when they are sent again."""

import numpy as np
import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from tests.worker.cases.conftest import Bureau, submit
from tests.worker.cases.races import (
    RECIPES,
    add_recipes,
    ask,
    end,
    measured,
    names,
    placed,
    race,
    said,
    waiting,
)
from worker import evaluations, replications
from worker.store.models import (
    Evaluation,
    Run,
    RunScore,
)
from worker.store.states import State


def test_a_recipe_whose_run_diverged_takes_no_further_part(session: Session, bureau: Bureau) -> None:
    row, _ = ask(session, bureau)
    race(session, bureau, row, lambda run: None if run.recipe.name == "b-second" else measured(run))
    assert (row.outcome, placed(session, row)) == (
        "resolved",
        {"a-best": "best", "c-third": "best", "d-fourth": "rest", "e-last": "rest"},
    )
    (failure,) = row.failed.values()
    assert failure == {"reason": "seed 0 failed: the loss was nan at step 3", "is_lasting": True}
    assert said(session, row).startswith(
        "The best 2 of 4 recipes are a-best and c-third. Without b-second, which failed."
    )
    assert ask(session, bureau)[0].outcome == "resolved"  # it would diverge again


def test_a_recipe_that_broke_for_another_reason_comes_back_when_the_race_is_sent_again(
    session: Session, bureau: Bureau
) -> None:
    """It takes part from the next look on; the one that was taken without it is not taken again."""
    row, _ = ask(session, bureau)
    runs = waiting(session, row)
    broken = next(run for run in runs if run.recipe.name == "b-second")
    broken.state, broken.error = State.FAILED, "no disk space"
    race(session, bureau, row)
    assert row.outcome == "resolved"
    assert "b-second" not in placed(session, row)
    looks = list(row.looks)
    again, _ = ask(session, bureau)
    assert (again.id, again.state, again.failed, again.looks) == (row.id, State.RUNNING, {}, looks)
    assert again.report is None  # "the best 2 of 4" is not what is asked now
    assert waiting(session, row) == [broken]
    race(session, bureau, row)
    assert (row.outcome, placed(session, row)["b-second"]) == ("resolved", "best")
    assert row.looks[: len(looks)] == looks
    assert [look["seeds"] for look in row.looks] == [2, 3]


def test_sent_again_without_names_the_race_goes_on_though_a_recipe_that_broke_is_ranked_no_longer(
    session: Session, bureau: Bureau
) -> None:
    """Two are left that nothing tells apart: the budget ends before they are."""

    def alike(run: Run) -> float | None:
        place = RECIPES.index(run.recipe.name)
        return None if place == 2 else 3.0 + float(np.random.default_rng([run.seed, place]).normal())

    row, _ = ask(session, bureau, recipes=RECIPES[:3], resolve="best", max_runs=7)
    race(session, bureau, row, alike)
    assert (row.outcome, row.runs_used, names(session, list(row.failed))) == ("budget_spent", 6, ["c-third"])
    unnamed = {"recipes": (), "protocol": None, "suite": None, "resolve": "best"}
    again, is_new = ask(session, bureau, **unnamed, max_runs=8)
    assert (again.id, is_new, again.state, len(again.looks)) == (row.id, False, State.RUNNING, 1)
    assert (len(waiting(session, row)), row.runs_used) == (2, 8)
    other, is_new = ask(session, bureau, **unnamed, error_rate=0.01)
    assert (is_new, names(session, other.recipes)) == (True, list(RECIPES[:2]))


def test_a_failure_after_a_look_takes_nothing_back_that_was_known_of_others(session: Session, bureau: Bureau) -> None:
    """The look is not taken again with the noise of those that are left, and no part of the error rate comes back."""

    def noisy(run: Run) -> float | None:
        place = RECIPES.index(run.recipe.name)
        if (place, run.seed) == (1, 2):
            return None
        return 3.0 + 0.1 * place + 0.03 * float(np.random.default_rng([place, run.seed, 0]).normal())

    row, _ = ask(session, bureau)
    race(session, bureau, row, noisy, rounds=1)
    assert row.report is not None
    before = {(one["recipe"], worse) for one in row.report["recipes"] for worse in one["better_than"]}
    (first,) = row.looks
    assert names(session, first["open"]) == ["b-second", "c-third"]
    race(session, bureau, row, noisy)
    (lost,) = row.failed
    assert names(session, [lost]) == ["b-second"]
    after = {(one["recipe"], worse) for one in row.report["recipes"] for worse in one["better_than"]}
    assert after >= {pair for pair in before if lost not in pair} > set()
    assert row.looks[0] == first
    assert [look["error_spent"] for look in row.looks] == sorted(look["error_spent"] for look in row.looks)
    assert len({look["seeds"] for look in row.looks}) == len(row.looks)


def test_a_race_in_which_every_recipe_fails_has_failed(session: Session, bureau: Bureau) -> None:
    row, _ = ask(session, bureau)
    race(session, bureau, row, lambda _: None)
    assert (row.state, row.outcome) == (State.FAILED, "failures")
    assert row.error == "every recipe failed; a-best: seed 0 failed: the loss was nan at step 3"
    assert said(session, row) == "Nothing is resolved: every recipe failed."


@pytest.mark.parametrize(("resolve", "left", "wanted"), [("top-2", 2, "the best 2"), ("pairs", 1, "an order")])
def test_recipes_that_are_left_because_others_failed_are_not_the_best(
    session: Session, bureau: Bureau, resolve: str, left: int, wanted: str
) -> None:
    row, _ = ask(session, bureau, resolve=resolve)
    race(session, bureau, row, lambda run: None if run.recipe.name not in RECIPES[-left:] else measured(run))
    assert (row.state, row.outcome, row.looks) == (State.FAILED, "failures", [])
    assert set(placed(session, row).values()) == {"open"}
    assert row.error is not None
    assert row.error.startswith(f"{5 - left} of 5 recipes failed; a-best: seed 0 failed")
    those = " and ".join(RECIPES[-left:])
    assert said(session, row).startswith(f"It ended because too few recipes are left for {wanted}: {those}. Without a-")
    assert "chance" not in said(session, row)  # nothing was looked at


def test_a_race_whose_protocol_comes_to_be_refused_says_nothing_of_who_is_best(
    session: Session, bureau: Bureau, monkeypatch: pytest.MonkeyPatch
) -> None:
    row, _ = ask(session, bureau)
    monkeypatch.setattr("worker.replications.racing.refusal_of", lambda *_: "anchor even learned nothing")
    end(session, bureau, waiting(session, row), row.suite_id)
    assert replications.advance_replication(session, bureau.settings, row.id)
    assert (row.state, row.outcome, row.report) == (State.FAILED, None, None)
    assert row.error is not None
    assert row.error.endswith("ranks nothing: anchor even learned nothing")
    monkeypatch.undo()
    again, _ = ask(session, bureau)  # nothing is lost
    assert (again.id, again.error, again.runs_used) == (row.id, None, row.runs_used)
    assert again.looks != []


def test_a_fatal_gate_is_a_failure(session: Session, bureau: Bureau) -> None:
    row, _ = ask(session, bureau)
    runs = waiting(session, row)
    end(session, bureau, runs, row.suite_id)
    score = session.get_one(RunScore, (runs[0].id, row.suite_id))
    gate = {"name": "learning", "passed": False, "is_fatal": True, "value": 0, "threshold": 1, "message": "of nothing"}
    score.gates = [gate]
    session.flush()
    replications.advance_replication(session, bureau.settings, row.id)
    assert [failure["reason"] for failure in row.failed.values()] == ["seed 0: learning: of nothing"]


def test_cancelling_ends_what_was_queued_for_it_alone_and_sent_again_it_goes_on(
    session: Session, bureau: Bureau
) -> None:
    own, _ = submit_first(session, bureau)
    row, _ = ask(session, bureau)
    other, _ = ask(session, bureau, recipes=RECIPES[:3], resolve="best")
    replications.cancel_replication(session, row.id)
    assert row.state == State.CANCELLED
    states = {(run.recipe.name, run.seed): run.state for run in session.scalars(select(Run))}
    assert states["d-fourth", 0] == states["e-last", 1] == State.CANCELLED
    assert states["a-best", 1] == State.QUEUED  # the other race needs it
    assert states["e-last", 0] == own.state == State.QUEUED
    assert {run.recipe.name for run in waiting(session, other)} == set(RECIPES[:3])
    assert replications.cancel_replication(session, row.id).state == State.CANCELLED
    again, is_new = ask(session, bureau)
    assert (again.id, is_new, again.state, again.runs_used) == (row.id, False, State.RUNNING, 10)
    race(session, bureau, row)
    assert row.outcome == "resolved"


def submit_first(session: Session, bureau: Bureau) -> tuple[Evaluation, bool]:
    add_recipes(session)
    return submit(session, bureau, "e-last", seeds=1)


def test_an_evaluation_that_somebody_cancels_fails_the_race_and_sent_again_it_goes_on(
    session: Session, bureau: Bureau
) -> None:
    row, _ = ask(session, bureau)
    evaluations.cancel_evaluation(session, row.points[0]["evaluation"])
    end(session, bureau, waiting(session, row), row.suite_id)
    assert replications.advance_replication(session, bureau.settings, row.id)
    assert row.state == State.FAILED
    assert row.error is not None
    assert "of a-best was cancelled; send the replication again" in row.error
    assert ask(session, bureau)[0].state == State.RUNNING
    assert {run.recipe.name for run in waiting(session, row)} == {"a-best"}
    race(session, bureau, row)
    assert row.outcome == "resolved"
