"""Evaluations that several races, rate searches and studies wait for: who cancels them, and in which order they are
locked; and a race's numbers in columns that are not endless. On both databases, with rows alone."""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from sqlalchemy.orm import Session

from tests.worker.engine.rows import add_protocol, add_recipe
from worker import rate_searches, replications, schedules, studies
from worker.evaluation_runs import lock_runs
from worker.evaluations import Request, cancel_evaluation, lock_evaluations, submit_evaluation
from worker.replications.rounds import submit_round
from worker.settings import Settings
from worker.shared_evaluations import Asker
from worker.store import models
from worker.store.sessions import Sessions, read_scope, session_scope
from worker.store.states import State
from worker.studies.points import submit_again

HUGE = "100000d"  # more runs of a nanosecond than an INTEGER holds


def add_evaluation(session: Session, settings: Settings, protocol: models.Protocol) -> models.Evaluation:
    """Two queued runs of a recipe of its own."""
    recipe = add_recipe(session)
    suite = session.get(models.Suite, "sui_1") or models.Suite(
        id="sui_1", name="s", version=1, fingerprint="s", spec={"name": "s", "sets": []}
    )
    session.add(suite)
    session.flush()
    asked = Request(recipe=recipe.id, protocol=protocol.id, suite=suite.id, seeds=2)
    return submit_evaluation(session, settings, asked, checks_data=False)[0]


def ask_for(session: Session, settings: Settings, evaluation: models.Evaluation) -> models.Evaluation:
    """As a user does, by itself."""
    names = (evaluation.recipe_id, evaluation.protocol_id, evaluation.suite_id)
    asked = Request(recipe=names[0], protocol=names[1], suite=names[2], seeds=evaluation.seeds)
    return submit_evaluation(session, settings, asked, is_requested=True)[0]


def schedule_of(session: Session, settings: Settings, evaluation: models.Evaluation, seeds: int) -> models.ScheduleSlot:
    """A rule that finds the evaluation, fired."""
    suite = evaluation.suite.name
    rule = schedules.Rule(name="nightly", cron="0 3 * * *", protocol=evaluation.protocol_id, suite=suite, seeds=seeds)
    made, _ = schedules.create_schedule(session, rule)
    return schedules.trigger_schedule(session, settings, made.id)


def add_search(session: Session, evaluations: Sequence[models.Evaluation], *, is_own: bool) -> models.RateSearch:
    (first, *_) = evaluations
    points = [{"evaluation": one.id, "recipe": one.recipe_id, "rate": 1e-3, "is_own": is_own} for one in evaluations]
    row = models.RateSearch(
        request_key=f"search-{first.id}",
        protocol_id=first.protocol_id,
        suite_id=first.suite_id,
        anchors=[one.recipe_id for one in evaluations],
        rates=[1e-3],
        seeds=2,
        steps=4,
        state=State.RUNNING,
        estimate={},
        points=points,
    )
    session.add(row)
    session.flush()
    return row


def add_race(
    session: Session, evaluations: Sequence[models.Evaluation], *, is_own: bool | None, **changes: Any
) -> models.Replication:
    """`is_own` None: it has asked for nothing yet."""
    (first, *_) = evaluations
    points = [
        {"recipe": one.recipe_id, "seeds": 2, "evaluation": one.id, "is_own": is_own}
        for one in (() if is_own is None else evaluations)
    ]
    settings = {"resolve": "top-1", "error_rate": 0.05, "most_seeds": 2, "max_runs": 100, "budget_runs": 100} | changes
    row = models.Replication(
        request_key=f"race-{first.id}-{is_own}",
        protocol_id=first.protocol_id,
        suite_id=first.suite_id,
        recipes=[one.recipe_id for one in evaluations],
        state=State.RUNNING,
        estimate={},
        points=points,
        failed={},
        looks=[],
        **settings,
    )
    session.add(row)
    session.flush()
    return row


def add_study(session: Session, evaluations: Sequence[models.Evaluation], *, is_own: bool) -> models.Study:
    """Of proxies alone."""
    (first, *_) = evaluations
    names = {"recipe": "recipe_id", "suite": "suite_id", "protocol": "protocol_id", "evaluation": "id"}
    points = [
        {name: getattr(one, column) for name, column in names.items()}
        | {"kind": "proxies", "is_own": is_own, "is_taken_up": False}
        for one in evaluations
    ]
    protocol = first.protocol_id
    row = models.Study(
        request_key=f"study-{first.id}",
        name="study",
        spec={"suites": [{"id": first.suite_id, "reference_set": "study-s"}]},
        protocols={"base": protocol, "ladder": [{"rate": 1e-2, "protocol": protocol}], "reference": protocol},
        state=State.RUNNING,
        estimate={},
        points=points,
    )
    session.add(row)
    session.flush()
    return row


def cancel(session: Session, row: Asker) -> None:
    if isinstance(row, models.RateSearch):
        rate_searches.cancel_search(session, row.id)
    elif isinstance(row, models.Study):
        studies.cancel_study(session, row.id)
    else:
        replications.cancel_replication(session, row.id)


def seeds_of(row: models.Replication) -> dict[str, int]:
    return dict.fromkeys(row.recipes, 2)


@pytest.mark.parametrize("search_is_first", [True, False])
def test_who_waits_for_an_evaluation_keeps_it_and_the_last_one_cancels_it(
    both_sessions: Sessions, both_settings: Settings, search_is_first: bool
) -> None:
    """Made for one of a rate search and a race, needed by both; beside it, what somebody asked for by itself."""
    with session_scope(both_sessions) as session:
        protocol = add_protocol(session)
        shared, alone, somebodys = (add_evaluation(session, both_settings, protocol) for _ in range(3))
        search = add_search(session, [shared], is_own=search_is_first)
        race = add_race(session, [shared], is_own=not search_is_first)
        first, last = (search, race) if search_is_first else (race, search)
        first.points = [*first.points, first.points[0] | {"evaluation": alone.id}]
        for row in (first, last):
            row.points = [*row.points, row.points[0] | {"evaluation": somebodys.id, "is_own": False}]
        session.flush()
        cancel(session, first)
        assert (shared.state, alone.state, last.state) == (State.QUEUED, State.CANCELLED, State.RUNNING)
        assert {run.state for run in shared.runs} == {State.QUEUED}
        cancel(session, last)
        assert {run.state for run in shared.runs} == {shared.state} == {State.CANCELLED}
        assert somebodys.state == State.QUEUED


def test_what_a_race_revives_is_its_own(both_sessions: Sessions, both_settings: Settings) -> None:
    """Cancelled with another race, queued again for this one: nobody else would ever cancel it."""
    with session_scope(both_sessions) as session:
        evaluation = add_evaluation(session, both_settings, add_protocol(session))
        cancel(session, add_race(session, [evaluation], is_own=True))
        assert evaluation.state == State.CANCELLED
        other = add_race(session, [evaluation], is_own=None)
        submit_round(session, both_settings, other, seeds_of(other))
        assert (evaluation.state, [point["is_own"] for point in other.points]) == (State.QUEUED, [True])
        cancel(session, other)
        assert evaluation.state == State.CANCELLED


def test_what_a_study_revives_is_its_own(both_sessions: Sessions, both_settings: Settings) -> None:
    """Cancelled, sent again and cancelled again, as often as somebody likes."""
    with session_scope(both_sessions) as session:
        evaluation = add_evaluation(session, both_settings, add_protocol(session))
        row = add_study(session, [evaluation], is_own=True)
        for _ in range(2):
            cancel(session, row)
            assert {run.state for run in evaluation.runs} == {evaluation.state} == {State.CANCELLED}
            assert submit_again(session, both_settings, row)
            row.state = State.RUNNING
            assert (evaluation.state, [point["is_own"] for point in row.points]) == (State.QUEUED, [True])


@pytest.mark.parametrize("seeds", [None, 1, 2])
def test_what_a_user_or_a_schedule_finds_open_goes_on(
    both_sessions: Sessions, both_settings: Settings, seeds: int | None
) -> None:
    """A search's, a race's and a study's, found by users, or by a schedule of as many seeds or fewer; beside it, what
    each of them has for itself."""
    with session_scope(both_sessions) as session:
        protocol = add_protocol(session)
        wanted = [add_evaluation(session, both_settings, protocol) for _ in range(3)]
        rows: list[Asker] = [
            add(session, [one], is_own=True) for add, one in zip((add_search, add_race, add_study), wanted, strict=True)
        ]
        if seeds is None:
            assert [ask_for(session, both_settings, one) for one in wanted] == wanted
        else:
            slot = schedule_of(session, both_settings, wanted[0], seeds)
            assert (slot.submitted, set(slot.reused), slot.refused) == ([], {one.id for one in wanted}, [])
        for row in rows:
            alone = add_evaluation(session, both_settings, protocol)
            row.points = [*row.points, row.points[0] | {"evaluation": alone.id}]
            session.flush()
            cancel(session, row)
            assert (row.state, alone.state) == (State.CANCELLED, State.CANCELLED)
            assert not any(point["is_own"] for point in row.points)
        assert {one.state for one in wanted} == {run.state for one in wanted for run in one.runs} == {State.QUEUED}


def test_what_a_user_gave_up_is_the_races_again(both_sessions: Sessions, both_settings: Settings) -> None:
    """Asked for, cancelled by hand, queued again for a race: nobody else waits for it now."""
    with session_scope(both_sessions) as session:
        evaluation = add_evaluation(session, both_settings, add_protocol(session))
        ask_for(session, both_settings, evaluation)
        cancel_evaluation(session, evaluation.id)
        race = add_race(session, [evaluation], is_own=None)
        submit_round(session, both_settings, race, seeds_of(race))
        assert evaluation.state == State.QUEUED
        cancel(session, race)
        assert evaluation.state == State.CANCELLED


def while_blocked(sessions: Sessions, work: Callable[[Session], object], act: Callable[[Session], object]) -> None:
    """`work` begins in a transaction of its own, meets the locks that `act` holds by then, and ends after it."""
    errors: list[Exception] = []

    def run() -> None:
        try:
            with session_scope(sessions) as session:
                work(session)
        except Exception as error:  # noqa: BLE001 - told by the test
            errors.append(error)

    thread = threading.Thread(target=run)
    with session_scope(sessions) as session:
        act(session)
        thread.start()
        time.sleep(0.3)
        act(session)
    thread.join()
    assert errors == []


def test_a_race_that_begins_while_another_is_cancelled_keeps_what_it_asked_for(
    both_sessions: Sessions, both_settings: Settings
) -> None:
    with session_scope(both_sessions) as session:
        evaluation = add_evaluation(session, both_settings, add_protocol(session))
        first = add_race(session, [evaluation], is_own=True)
        second = add_race(session, [evaluation], is_own=None)

    def begin(session: Session) -> None:
        row = session.get_one(models.Replication, second.id)
        submit_round(session, both_settings, row, seeds_of(row))

    while_blocked(both_sessions, lambda session: replications.cancel_replication(session, first.id), begin)
    with read_scope(both_sessions) as session:
        assert session.get_one(models.Replication, first.id).state == State.CANCELLED
        assert session.get_one(models.Evaluation, evaluation.id).state == State.QUEUED


@pytest.mark.parametrize("user_is_first", [True, False])
def test_what_a_user_asks_for_at_the_moment_of_a_cancel_goes_on(
    both_sessions: Sessions, both_settings: Settings, user_is_first: bool
) -> None:
    """Found open and kept, or found cancelled and queued again."""
    with session_scope(both_sessions) as session:
        evaluation = add_evaluation(session, both_settings, add_protocol(session))
        race = add_race(session, [evaluation], is_own=True)

    def ask(session: Session) -> None:
        ask_for(session, both_settings, session.get_one(models.Evaluation, evaluation.id))

    def stop(session: Session) -> None:
        replications.cancel_replication(session, race.id)

    first, second = (ask, stop) if user_is_first else (stop, ask)
    while_blocked(both_sessions, second, first)
    with read_scope(both_sessions) as session:
        assert session.get_one(models.Replication, race.id).state == State.CANCELLED
        found = session.get_one(models.Evaluation, evaluation.id)
        assert {run.state for run in found.runs} == {found.state} == {State.QUEUED}


def test_a_round_locks_its_evaluations_in_the_order_of_their_ids(
    both_sessions: Sessions, both_settings: Settings
) -> None:
    """Its recipes' order is another: one that concludes both meanwhile would wait for it, and it for that."""
    with session_scope(both_sessions) as session:
        protocol = add_protocol(session)
        made = [add_evaluation(session, both_settings, protocol) for _ in range(2)]
        low, high = sorted(made, key=lambda one: one.id)
        race = add_race(session, [high, low], is_own=True)
    rest = iter([low.id, high.id])

    def begin(session: Session) -> None:
        row = session.get_one(models.Replication, race.id)
        submit_round(session, both_settings, row, seeds_of(row))

    while_blocked(both_sessions, begin, lambda session: lock_evaluations(session, [next(rest)]))
    with read_scope(both_sessions) as session:
        points = session.get_one(models.Replication, race.id).points
        assert {point["evaluation"] for point in points} == {low.id, high.id}


def test_a_study_that_is_sent_again_locks_its_evaluations_in_the_order_of_their_ids(
    both_sessions: Sessions, both_settings: Settings
) -> None:
    """They lie in the database in another order: two studies that share them would else wait for each other."""
    with session_scope(both_sessions) as session:
        protocol = add_protocol(session)
        made = [add_evaluation(session, both_settings, protocol) for _ in range(2)]
        low, high = sorted(made, key=lambda one: one.id)
        for one in (high, low):
            one.state = State.CANCELLED
            for run in one.runs:
                run.state = State.CANCELLED
            session.flush()
        row = add_study(session, [high, low], is_own=False)
    rest = iter([low.id, high.id])

    def again(session: Session) -> None:
        assert submit_again(session, both_settings, session.get_one(models.Study, row.id))

    while_blocked(both_sessions, again, lambda session: lock_evaluations(session, [next(rest)]))
    with read_scope(both_sessions) as session:
        assert all(point["is_own"] for point in session.get_one(models.Study, row.id).points)


def test_more_runs_are_locked_than_a_statement_takes(both_sessions: Sessions, both_settings: Settings) -> None:
    with session_scope(both_sessions) as session:
        evaluation = add_evaluation(session, both_settings, add_protocol(session))
        own = sorted(run.id for run in evaluation.runs)
        nobodys = [f"run_{number}" for number in range(66_000)]
        assert [run.id for run in lock_runs(session, [own[1], *nobodys, own[0]])] == own


def test_a_budget_of_centuries_is_a_number_that_every_database_holds(
    both_sessions: Sessions, both_settings: Settings
) -> None:
    with session_scope(both_sessions) as session:
        protocol = add_protocol(session)
        made = [add_evaluation(session, both_settings, protocol) for _ in range(3)]
        for place, evaluation in enumerate(made):
            evaluation.state = State.FINISHED
            for run in evaluation.runs:
                run.state, run.result, run.finished_at = State.FINISHED, {"tokens_per_second": 1e11}, models.utc_now()
                score = place + 0.01 * (run.seed * place) ** 2
                session.add(
                    models.RunScore(run_id=run.id, suite_id="sui_1", score=score, sets={}, gates=[], artifact="")
                )
        seconds = 100_000 * 86_400.0
        race = add_race(
            session, made, is_own=True, budget=HUGE, budget_seconds=seconds, budget_runs=None, max_runs=None
        )
    assert replications.advance_replications(both_sessions, both_settings) == (race.id,)
    with read_scope(both_sessions) as session:
        row = session.get_one(models.Replication, race.id)
        assert (row.budget_runs, row.state, [look["seeds"] for look in row.looks]) == (1_000_000, State.FINISHED, [2])
