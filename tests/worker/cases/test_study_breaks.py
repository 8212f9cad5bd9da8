"""Studies that break, are cancelled or contradicted, and go on when they are sent again."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from tests.worker.cases.conftest import Bureau
from tests.worker.cases.trials import (
    BEST,
    GRID,
    LADDER,
    LARGE_PARAMETERS,
    RECIPES,
    SMALL,
    add_protocol,
    add_recipes,
    ask,
    end_kind,
    named,
    play,
    references,
    runs_of,
)
from worker import evaluations, replications, studies
from worker.references import ReferenceFields, register_reference
from worker.replications import ReplicationRequest
from worker.store.models import Evaluation, Run
from worker.store.states import State


def test_a_study_in_which_everything_failed_has_failed(session: Session, bureau: Bureau) -> None:
    row, _ = ask(session, bureau)
    play(session, bureau, row, lambda _: None)
    assert row.state == State.FAILED
    assert row.error == "every evaluation failed; mostly-web: the loss was nan at step 3"
    assert studies.cancel_study(session, row.id).state == State.FAILED  # nothing of it trains on


def test_a_sweep_that_broke_is_taken_up_again_when_the_study_is_sent_again(session: Session, bureau: Bureau) -> None:
    """Before, only the lowest rate had a score, and its second seed was asked for with the one given up."""
    row, _ = ask(session, bureau)
    sweep = runs_of(session, row, "sweeps", recipe="even")
    for run in sweep:
        run.state, run.error = State.FAILED, "no disk space"
    evaluations.conclude_runs(session, bureau.settings, [run.id for run in sweep])
    play(session, bureau, row)
    assert (row.state, studies.progress_of(session, row)["sweeps"]["failed"]) == (State.FINISHED, 1)
    assert {name for name, _, _ in references(session, row)} == {"mostly-web", "mostly-code"}
    again, _ = ask(session, bureau)
    assert (again.id, again.state) == (row.id, State.RUNNING)
    assert runs_of(session, row, "sweeps") == sweep
    play(session, bureau, row)
    assert row.state == State.FINISHED
    assert {rate for name, rate, seed in references(session, row) if (name, seed) == ("even", 1)} == {BEST, GRID[-1]}


def test_cancelling_ends_what_was_queued_for_it_alone_and_sent_again_it_goes_on(
    session: Session, bureau: Bureau
) -> None:
    row, _ = ask(session, bureau)
    other, _ = ask(session, bureau, name="trial-b", recipes=[named(name) for name in RECIPES])
    protocol = row.protocols["ladder"][0]["protocol"]
    race, _ = replications.submit_replication(
        session,
        bureau.settings,
        ReplicationRequest(resolve="best", protocol=protocol, suite="suite", recipes=RECIPES[:2], max_runs=99),
    )
    studies.cancel_study(session, row.id)
    assert row.state == State.CANCELLED
    states = {one.id: one.state for one in session.scalars(select(Evaluation))}
    mine = {point["evaluation"]: states[point["evaluation"]] for point in row.points}
    spared = {point["evaluation"] for point in race.points}
    assert {key for key, state in mine.items() if state != State.CANCELLED} == spared
    assert len(runs_of(session, other, "proxies")) == 12  # runs are shared: the other study's are all there
    studies.cancel_study(session, other.id)
    waiting = session.scalars(select(Run).where(Run.state == State.QUEUED)).all()
    assert {(run.recipe.name, run.learning_rate) for run in waiting} == {(name, LADDER[0]) for name in RECIPES[:2]}
    assert studies.cancel_study(session, row.id).state == State.CANCELLED
    again, is_new = ask(session, bureau)
    assert (again.id, is_new, again.state) == (row.id, False, State.RUNNING)
    play(session, bureau, row)
    assert row.state == State.FINISHED


def queued(session: Session) -> int:
    return len(session.scalars(select(Run).where(Run.state == State.QUEUED)).all())


def test_a_study_that_was_sent_again_is_cancelled_as_any_other(session: Session, bureau: Bureau) -> None:
    row, _ = ask(session, bureau)
    for _ in range(2):
        assert (row.state, queued(session)) == (State.RUNNING, 21)
        studies.cancel_study(session, row.id)
        assert (row.state, queued(session)) == (State.CANCELLED, 0)
        ask(session, bureau)
    end_kind(session, bureau, row, "sweeps")
    studies.advance_study(session, bureau.settings, row.id)
    for _ in range(2):
        assert len(runs_of(session, row, "more_seeds")) == 6
        studies.cancel_study(session, row.id)
        assert queued(session) == 0
        ask(session, bureau)


def test_what_somebody_else_asked_for_and_what_has_ended_is_no_studys_own(session: Session, bureau: Bureau) -> None:
    first, _ = ask(session, bureau)
    end_kind(session, bureau, first, "sweeps")
    for point in first.points:
        if point["kind"] == "proxies" and point["recipe"] == first.points[0]["recipe"]:
            evaluations.cancel_evaluation(session, point["evaluation"])
    more = [{"recipe": name, "name": f"{name}-again"} for name in RECIPES]
    second, _ = ask(session, bureau, recipes=more)
    own = [point["is_own"] for point in second.points if point["kind"] == "proxies"]
    assert (second.id != first.id, sum(own), len(own)) == (True, 2, 6)  # those that were cancelled
    assert not any(point["is_own"] for point in second.points if point["kind"] == "sweeps")


def test_a_study_that_failed_can_be_cancelled_while_it_trains_on(session: Session, bureau: Bureau) -> None:
    row, _ = ask(session, bureau)
    contradict(session)
    end_kind(session, bureau, row, "sweeps")
    studies.advance_study(session, bureau.settings, row.id)
    assert (row.state, queued(session)) == (State.FAILED, 12)
    error = row.error
    studies.cancel_study(session, row.id)
    assert (row.state, row.error, queued(session)) == (State.CANCELLED, error, 0)


def test_what_a_study_waits_for_is_spared_by_whoever_cancels_another_thing(session: Session, bureau: Bureau) -> None:
    add_recipes(session)
    protocol = add_protocol(session, f"trial-proxy-at-{LADDER[0]:g}", SMALL, LADDER[0])
    asked = ReplicationRequest(resolve="best", protocol=protocol, suite="suite", recipes=RECIPES[:2], max_runs=99)
    race, _ = replications.submit_replication(session, bureau.settings, asked)
    assert all(point["is_own"] for point in race.points)
    row, _ = ask(session, bureau)
    replications.cancel_replication(session, race.id)
    assert race.state == State.CANCELLED
    assert len(runs_of(session, row, "proxies")) == 12
    studies.cancel_study(session, row.id)  # the last that waited for what the race had queued
    assert session.scalars(select(Run).where(Run.state == State.QUEUED)).all() == []


def test_an_evaluation_that_somebody_cancels_fails_the_study_and_sent_again_it_goes_on(
    session: Session, bureau: Bureau
) -> None:
    row, _ = ask(session, bureau)
    sweep = next(point for point in row.points if point["kind"] == "sweeps")
    evaluations.cancel_evaluation(session, sweep["evaluation"])
    play(session, bureau, row)
    assert row.state == State.FAILED
    assert row.error is not None
    assert "of mostly-web was cancelled; send the study again to go on" in row.error
    assert ask(session, bureau)[0].state == State.RUNNING
    play(session, bureau, row)
    assert row.state == State.FINISHED
    assert len(references(session, row)) == 3 * (3 + 2)


def contradict(session: Session) -> None:
    """Somebody registers another value for a run of the sweep."""
    said = ReferenceFields(
        reference_set="trial-suite",
        recipe="even",
        metric="bits_per_byte",
        direction="lower",
        unit="bits/byte",
        value=1.0,
        learning_rate=BEST,
        seed=0,
        hyperparameters={"steps": 8, "schedule": "constant"},
        parameters=LARGE_PARAMETERS,
        tokens=256,
    )
    register_reference(session, said)


def test_a_reference_that_contradicts_one_that_is_stored_fails_the_study_and_nothing_is_overwritten(
    session: Session, bureau: Bureau
) -> None:
    row, _ = ask(session, bureau)
    contradict(session)
    play(session, bureau, row)
    assert row.state == State.FAILED
    assert row.error is not None
    assert "no result is overwritten" in row.error
    assert len(references(session, row)) == 1
    assert runs_of(session, row, "more_seeds") == []
