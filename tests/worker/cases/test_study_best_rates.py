"""Best rates of references that move once more seeds are there: the new one gets its seeds too."""

from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from proxy.suites import Suite as SuiteSpec
from tests.worker.cases.conftest import Bureau
from tests.worker.cases.trials import (
    BEST,
    GIVEN_UP,
    GRID,
    LARGE,
    LARGE_PARAMETERS,
    RECIPES,
    REFERENCES,
    Ending,
    ask,
    end,
    end_kind,
    measured,
    play,
    references,
    request,
    runs_of,
    suites_of,
)
from worker import evaluations, studies
from worker.references import ReferenceFields, label_rows, register_reference, rows_of
from worker.store.models import Recipe, Run, Study
from worker.store.states import State
from worker.studies.reports import report_of_row
from worker.suites import store_suite

LOW, HIGH = GRID[0], GRID[-1]
LUCKY = {(BEST, 0): 2.554, (BEST, 1): 2.672, (LOW, 0): 2.5735, (LOW, 1): 2.581}


def lucky(run: Run) -> float | None:
    """Of one recipe the middle rate is the best one with its first seed only."""
    return LUCKY.get((run.learning_rate, run.seed), measured(run)) if run.recipe.name == "even" else measured(run)


def settle(session: Session, bureau: Bureau, row: Study, ending: Ending = lucky) -> int:
    """To its end; how often more seeds were asked for."""
    play(session, bureau, row, ending)
    rounds = 1
    while row.state == State.RUNNING:
        assert runs_of(session, row, "more_seeds"), "a study that has not ended waits for something"
        end_kind(session, bureau, row, "more_seeds", ending)
        assert studies.advance_study(session, bureau.settings, row.id)
        rounds += 1
    return rounds


def asked_for(session: Session, row: Study) -> set[tuple[str, float, int]]:
    return {(run.recipe.name, run.learning_rate, run.seed) for run in runs_of(session, row, "more_seeds")}


def recipes_with_all_seeds(session: Session, row: Study) -> int:
    found: int = report_of_row(session, row)["progress"]["recipes_with_all_seeds"]
    return found


def best_rate(session: Session, recipe: str = "even") -> float | None:
    labels = label_rows(rows_of(session, "trial-suite", "bits_per_byte"))
    (key,) = session.scalars(select(Recipe.id).where(Recipe.name == recipe))
    return labels[key].best_learning_rate


def point_of(session: Session, row: Study, recipe: str = "even") -> dict[str, Any]:
    """Of more seeds."""
    (key,) = session.scalars(select(Recipe.id).where(Recipe.name == recipe))
    (found,) = [point for point in row.points if point["kind"] == "more_seeds" and point["recipe"] == key]
    return found


def leave_it_at_that(patch: pytest.MonkeyPatch) -> None:
    """As studies did before: more seeds are asked for once."""
    patch.setattr("worker.studies.more_seeds.rates_to_ask_for_again", lambda *_: {})


@pytest.fixture
def ended(session: Session, bureau: Bureau, monkeypatch: pytest.MonkeyPatch) -> Study:
    """A study that has ended though a best rate lacks its second seed."""
    with monkeypatch.context() as patch:
        leave_it_at_that(patch)
        row, _ = ask(session, bureau)
        settle(session, bureau, row)
    assert (row.state, best_rate(session)) == (State.FINISHED, LOW)
    return row


def test_a_best_rate_that_more_seeds_have_moved_gets_its_seeds_too(session: Session, bureau: Bureau) -> None:
    row, _ = ask(session, bureau)
    end_kind(session, bureau, row, "sweeps", lucky)
    studies.advance_study(session, bureau.settings, row.id)
    assert best_rate(session) == BEST
    others = [point_of(session, row, name) for name in RECIPES if name != "even"]
    end_kind(session, bureau, row, "more_seeds", lucky)
    studies.advance_study(session, bureau.settings, row.id)
    assert best_rate(session) == LOW  # 2.5735, of one seed, against the mean of 2.554 and 2.672
    assert asked_for(session, row) == {("even", LOW, 1)}
    assert recipes_with_all_seeds(session, row) == 2
    for point in others:
        assert point | {"is_taken_up": True} in row.points
    end_kind(session, bureau, row, "proxies", lucky)
    assert not studies.advance_study(session, bureau.settings, row.id)
    end_kind(session, bureau, row, "more_seeds", lucky)
    studies.advance_study(session, bureau.settings, row.id)
    assert (row.state, recipes_with_all_seeds(session, row)) == (State.FINISHED, 3)
    assert {key[1:] for key in references(session, row) if key[0] == "even"} == {
        (rate, seed) for rate in GRID for seed in (0, 1)
    }
    assert studies.progress_of(session, row)["more_seeds"] == {"evaluations": 3, "ended": 3, "failed": 0}


def test_a_best_rate_that_moves_each_time_moves_once_a_rate_at_most(session: Session, bureau: Bureau) -> None:
    """Every second seed is worse than any first one: the third and the fourth rate become the best in their turn."""
    grid = (1e-4, 1e-3, 1e-2, 1e-1)

    def worse(run: Run) -> float | None:
        return 3 + 0.1 * grid.index(run.learning_rate) + run.seed

    row, _ = ask(session, bureau, references={**REFERENCES, "rates": list(grid)})
    assert settle(session, bureau, row, worse) == 3  # the first two rates, the third, the fourth
    assert row.state == State.FINISHED
    assert len(references(session, row)) == 3 * 4 * 2
    assert (best_rate(session), recipes_with_all_seeds(session, row)) == (grid[0], 3)


def test_a_best_rate_whose_second_seed_diverges_is_asked_for_once(session: Session, bureau: Bureau) -> None:
    def diverges(run: Run) -> float | None:
        is_it = (run.recipe.name, run.learning_rate, run.seed) == ("even", LOW, 1)
        return None if is_it else lucky(run)

    row, _ = ask(session, bureau)
    assert settle(session, bureau, row, diverges) == 2
    assert (row.state, best_rate(session), recipes_with_all_seeds(session, row)) == (State.FINISHED, LOW, 2)
    at = row.finished_at
    assert ask(session, bureau)[0].finished_at == at  # nor is it when the study is sent again
    assert row.state == State.FINISHED


def test_a_second_seed_that_is_given_up_moves_the_best_rate_as_well(session: Session, bureau: Bureau) -> None:
    def hopeless(run: Run) -> float | None:
        return GIVEN_UP if (run.recipe.name, run.learning_rate, run.seed) == ("even", BEST, 1) else lucky(run)

    row, _ = ask(session, bureau)
    assert settle(session, bureau, row, hopeless) == 2
    assert (row.state, best_rate(session), recipes_with_all_seeds(session, row)) == (State.FINISHED, LOW, 3)


def test_a_study_that_ended_without_them_goes_on_when_it_is_sent_again(
    session: Session, bureau: Bureau, ended: Study
) -> None:
    assert recipes_with_all_seeds(session, ended) == 2
    cost = studies.estimate_study(session, request())
    assert [cost[part]["runs_to_train"] for part in ("proxies", "references")] == [0, 1]
    assert cost["references"]["runs"] == 9 + 6 + 1
    again, is_new = ask(session, bureau)
    assert (again.id, is_new, again.state, again.finished_at) == (ended.id, False, State.RUNNING, None)
    assert asked_for(session, again) == {("even", LOW, 1)}
    assert len(session.scalars(select(Run).where(Run.state == State.QUEUED)).all()) == 1
    settle(session, bureau, again)
    assert (again.state, recipes_with_all_seeds(session, again)) == (State.FINISHED, 3)
    assert studies.estimate_study(session, request())["runs_to_train"] == 0
    at = again.finished_at
    assert (ask(session, bureau)[0].state, again.finished_at) == (State.FINISHED, at)


def test_a_study_that_had_asked_once_and_still_runs_goes_on_at_its_end(
    session: Session, bureau: Bureau, monkeypatch: pytest.MonkeyPatch
) -> None:
    row, _ = ask(session, bureau)
    with monkeypatch.context() as patch:
        leave_it_at_that(patch)
        for kind in ("sweeps", "more_seeds"):
            end_kind(session, bureau, row, kind, lucky)
            studies.advance_study(session, bureau.settings, row.id)
    assert asked_for(session, row) == set()
    end_kind(session, bureau, row, "proxies", lucky)
    assert studies.advance_study(session, bureau.settings, row.id)
    assert (row.state, asked_for(session, row)) == (State.RUNNING, {("even", LOW, 1)})


def test_seeds_that_a_single_rate_got_before_are_not_trained_again_in_a_sweep(
    session: Session, bureau: Bureau, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They would be other runs of the same setting, whose last bits may contradict those that are stored."""

    def alone(run: Run) -> float | None:
        score = lucky(run)
        return score if score is None or run.sweep is not None else score + 1e-13

    with monkeypatch.context() as patch:
        leave_it_at_that(patch)
        patch.setattr("worker.studies.more_seeds.rates_of_more_seeds", lambda _: [BEST])
        row, _ = ask(session, bureau)
        settle(session, bureau, row, alone)
    ask(session, bureau)
    assert asked_for(session, row) == {("even", LOW, 1), ("even", HIGH, 1)}  # beside a rate that is soon given up
    settle(session, bureau, row, alone)
    assert (row.state, row.error, recipes_with_all_seeds(session, row)) == (State.FINISHED, None, 3)


def test_what_is_asked_for_again_is_cancelled_and_goes_on_as_the_rest(
    session: Session, bureau: Bureau, ended: Study
) -> None:
    ask(session, bureau)
    for _ in range(2):
        assert (ended.state, asked_for(session, ended)) == (State.RUNNING, {("even", LOW, 1)})
        studies.cancel_study(session, ended.id)
        assert (ended.state, asked_for(session, ended)) == (State.CANCELLED, set())
        ask(session, bureau)
    evaluations.cancel_evaluation(session, point_of(session, ended)["evaluation"])
    assert studies.advance_study(session, bureau.settings, ended.id)
    assert (ended.state, ended.error is not None and "of even was cancelled" in ended.error) == (State.FAILED, True)
    ask(session, bureau)
    assert (ended.state, asked_for(session, ended)) == (State.RUNNING, {("even", LOW, 1)})
    settle(session, bureau, ended)
    assert (ended.state, recipes_with_all_seeds(session, ended)) == (State.FINISHED, 3)


def test_what_broke_of_them_is_trained_again_when_the_study_is_sent_again(
    session: Session, bureau: Bureau, ended: Study
) -> None:
    ask(session, bureau)
    (run,) = runs_of(session, ended, "more_seeds")
    run.state, run.error = State.FAILED, "no disk space"
    evaluations.conclude_runs(session, bureau.settings, [run.id])
    studies.advance_study(session, bureau.settings, ended.id)
    assert (ended.state, recipes_with_all_seeds(session, ended)) == (State.FINISHED, 2)
    ask(session, bureau)
    assert (ended.state, runs_of(session, ended, "more_seeds")) == (State.RUNNING, [run])
    settle(session, bureau, ended)
    assert (ended.state, recipes_with_all_seeds(session, ended)) == (State.FINISHED, 3)


def test_a_rate_is_the_best_of_a_suite_and_gets_its_seeds_on_all(session: Session, bureau: Bureau) -> None:
    part = {"name": "held", "corpus": "held"}
    store_suite(session, SuiteSpec.model_validate({"name": "trial-other", "sets": [part]}))
    row, _ = ask(session, bureau, suites=["suite", "trial-other"])
    first, second = suites_of(row)

    def end_on_both(kind: str) -> None:
        runs = runs_of(session, row, kind)
        end(session, bureau, runs, [first], measured)
        assert not studies.advance_study(session, bureau.settings, row.id)  # the other suite is not scored yet
        end(session, bureau, runs, [second], lucky)
        assert studies.advance_study(session, bureau.settings, row.id)

    end_on_both("sweeps")
    end_on_both("more_seeds")
    assert asked_for(session, row) == {("even", LOW, 1)}
    assert recipes_with_all_seeds(session, row) == 2  # all three, on the first suite
    end_on_both("more_seeds")
    assert recipes_with_all_seeds(session, row) == 3
    assert len(references(session, row)) == 3 * 3 + 2 * 2 + 3


def register(session: Session, **changes: Any) -> None:
    """A result of somebody else, far better than all."""
    said: dict[str, Any] = {
        "reference_set": "trial-suite",
        "recipe": "even",
        "metric": "bits_per_byte",
        "direction": "lower",
        "unit": "bits/byte",
        "value": 1.0,
        "seed": 0,
        "hyperparameters": {"steps": LARGE["steps"], "schedule": "constant"},
        "parameters": LARGE_PARAMETERS,
        "tokens": 256,
    }
    register_reference(session, ReferenceFields(**said | changes))


@pytest.mark.parametrize(
    "best",
    [
        {"learning_rate": 3e-3},
        {"learning_rate": LOW, "hyperparameters": {"steps": 8, "schedule": "constant", "weight_decay": 0.1}},
    ],
    ids=["another rate", "another hyperparameter"],
)
def test_a_best_setting_that_the_study_does_not_train_is_counted_as_it_is(
    session: Session, bureau: Bureau, best: dict[str, Any]
) -> None:
    row, _ = ask(session, bureau)
    register(session, **best)
    assert settle(session, bureau, row, measured) == 1
    assert (row.state, best_rate(session), recipes_with_all_seeds(session, row)) == (
        State.FINISHED,
        best["learning_rate"],
        2,
    )


def test_seeds_of_the_best_rate_that_are_there_already_are_asked_for_by_nobody(
    session: Session, bureau: Bureau
) -> None:
    row, _ = ask(session, bureau)
    register(session, learning_rate=LOW, seed=1, value=2.581)
    assert settle(session, bureau, row) == 1
    assert (row.state, best_rate(session), recipes_with_all_seeds(session, row)) == (State.FINISHED, LOW, 3)
