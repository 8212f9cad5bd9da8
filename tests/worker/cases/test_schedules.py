"""Schedules fire once a slot and train nothing twice."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from proxy.errors import ConflictError, InvalidInputError, NotFoundError
from tests.worker.cases.conftest import Bureau, recipe, submit
from worker import evaluations, protocols, schedules
from worker.schedules import Rule
from worker.store.models import Evaluation, ScheduleSlot, utc_now
from worker.store.states import State


def nightly(**changes: object) -> Rule:
    return Rule(**{"name": "nightly", "cron": "0 3 * * *", "protocol": "small", "suite": "suite", **changes})  # type: ignore[arg-type]


def test_the_same_rule_is_the_same_row(session: Session, bureau: Bureau) -> None:
    first, is_new = schedules.create_schedule(session, nightly())
    again, is_new_again = schedules.create_schedule(session, nightly())
    assert (is_new, is_new_again, again.id) == (True, False, first.id)
    with pytest.raises(ConflictError):
        schedules.create_schedule(session, nightly(seeds=3))
    assert schedules.get_schedule(session, "nightly") in schedules.list_schedules(session)
    schedules.delete_schedule(session, first.id)
    with pytest.raises(NotFoundError):
        schedules.get_schedule(session, "nightly")


@pytest.mark.parametrize(("change", "pointer"), [({"cron": "every day"}, "/cron"), ({"seeds": 0}, "/seeds")])
def test_wrong_rules_are_named(session: Session, bureau: Bureau, change: dict[str, object], pointer: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        schedules.create_schedule(session, nightly(**change))
    assert refused.value.problems[0].pointer == pointer


def test_a_new_version_is_evaluated_and_an_old_one_is_not(session: Session, bureau: Bureau) -> None:
    submit(session, bureau, recipe("a", web=2, code=1), seeds=2)
    submit(session, bureau, {**recipe("b", code=1), "tags": {"axis": "corpora"}}, seeds=2)
    schedule, _ = schedules.create_schedule(session, nightly())
    slot = schedules.trigger_schedule(session, bureau.settings, schedule.id)
    assert (slot.submitted, len(slot.reused)) == ([], 2)
    protocols.store_protocol(session, bureau.protocol(reduction=0.5))
    slot = schedules.trigger_schedule(session, bureau.settings, schedule.id)
    assert (len(slot.submitted), slot.reused) == (2, [])
    assert session.get_one(Evaluation, slot.submitted[0]).protocol.version == 2
    tagged, _ = schedules.create_schedule(session, nightly(name="tagged", tags={"axis": "corpora"}))
    assert len(schedules.trigger_schedule(session, bureau.settings, tagged.id).reused) == 1


def test_a_recipe_that_no_longer_fits_keeps_nobody_else_from_it(session: Session, bureau: Bureau) -> None:
    submit(session, bureau, recipe("a", web=1), seeds=2)
    submit(session, bureau, {"name": "short", "sources": [{"corpus": "tiny", "weight": 1, "max_epochs": 9}]}, seeds=2)
    protocols.store_protocol(session, bureau.protocol(steps=80))
    schedule, _ = schedules.create_schedule(session, nightly())
    slot = schedules.trigger_schedule(session, bureau.settings, schedule.id)
    assert len(slot.submitted) == 1
    assert [refused["recipe"] for refused in slot.refused] == ["short"]
    assert "/sources/0/weight" in slot.refused[0]["error"]


def test_a_slot_fires_once(session: Session, bureau: Bureau) -> None:
    schedule, _ = schedules.create_schedule(session, nightly())
    first = schedules.trigger_schedule(session, bureau.settings, schedule.id, slot="2026-01-01T03:00")
    assert schedules.trigger_schedule(session, bureau.settings, schedule.id, slot="2026-01-01T03:00").id == first.id


def test_due_rules_fire_once_a_minute_and_missed_ones_are_left(session: Session, bureau: Bureau) -> None:
    schedule, _ = schedules.create_schedule(session, nightly(cron="*/10 * * * *"))
    schedule.created_at = utc_now() - timedelta(days=1)
    now = datetime.now(UTC)
    assert len(schedules.fire_due(session, bureau.settings, now)) == 1
    assert schedules.fire_due(session, bureau.settings, now) == []
    assert len(session.scalars(select(ScheduleSlot).where(ScheduleSlot.schedule_id == schedule.id)).all()) == 1
    schedule.is_enabled = False
    assert schedules.fire_due(session, bureau.settings, now + timedelta(minutes=10)) == []


def test_a_rule_is_due_at_its_minute() -> None:
    now = datetime(2026, 3, 1, 3, 20, tzinfo=UTC)
    assert schedules.last_due("0 3 * * *", now) == datetime(2026, 3, 1, 3, 0, tzinfo=UTC)
    assert schedules.last_due("0 4 * * *", now) is None


def test_what_was_cancelled_is_not_taken_up_by_a_rule(session: Session, bureau: Bureau) -> None:
    only, _ = submit(session, bureau, recipe("only", web=5, code=1), seeds=2)
    evaluations.cancel_evaluation(session, only.id)
    submit(session, bureau, recipe("kept", web=1, code=6), seeds=2)
    protocols.store_protocol(session, bureau.protocol(reduction=0.5))
    newest, _ = submit(session, bureau, "kept", seeds=2)
    evaluations.cancel_evaluation(session, newest.id)
    schedule, _ = schedules.create_schedule(session, nightly())
    slot = schedules.trigger_schedule(session, bureau.settings, schedule.id)
    assert (slot.submitted, slot.reused, [one["recipe"] for one in slot.refused]) == ([], [], ["kept"])
    assert newest.id in slot.refused[0]["error"]
    assert {row.state for row in (only, newest)} == {State.CANCELLED}


def test_as_many_seeds_that_begin_elsewhere_are_no_evidence_for_a_rule(session: Session, bureau: Bureau) -> None:
    other, _ = submit(session, bureau, recipe("other", web=1, code=6), seeds=3, first_seed=100)
    evaluations.cancel_evaluation(session, submit(session, bureau, "other", seeds=4, first_seed=50)[0].id)
    schedule, _ = schedules.create_schedule(session, nightly(seeds=2))
    slot = schedules.trigger_schedule(session, bureau.settings, schedule.id)
    assert (len(slot.submitted), slot.reused, slot.refused) == (1, [], [])
    made = session.get_one(Evaluation, slot.submitted[0])
    assert (made.recipe_id, sorted(run.seed for run in made.runs)) == (other.recipe_id, [0, 1])


def test_more_seeds_than_a_rule_asks_for_are_enough(session: Session, bureau: Bureau) -> None:
    more, _ = submit(session, bureau, recipe("more", web=1, code=6), seeds=3)
    schedule, _ = schedules.create_schedule(session, nightly(seeds=2))
    slot = schedules.trigger_schedule(session, bureau.settings, schedule.id)
    assert (slot.submitted, slot.reused) == ([], [more.id])
