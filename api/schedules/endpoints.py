"""Rules that re-evaluate recipes."""

from fastapi import APIRouter, Response

from api.dependencies import Body, Key, Reading, SettingsOf, Writing
from api.openapi import takes
from api.pagination import Cursor, Limit, Page, paginate
from api.schedules.schemas import ScheduleIn, ScheduleOut, SlotOut, show, show_slot
from worker import schedules
from worker.parsing import validate
from worker.queue import Bell

router = APIRouter(prefix="/schedules", tags=["schedules"])


@router.post("", status_code=201, openapi_extra=takes(ScheduleIn))
def create(key: Key, body: Body, writing: Writing, response: Response) -> ScheduleOut:
    """Creates a rule; 200 if the same is there, 409 if its name says something else."""
    row, is_new = schedules.create_schedule(writing.session, validate(ScheduleIn, body).rule())
    response.status_code = 201 if is_new else 200
    response.headers["Location"] = f"/v1/schedules/{row.id}"
    return show(row)


@router.get("")
def show_all(session: Reading, limit: Limit = 100, cursor: Cursor = None) -> Page[ScheduleOut]:
    """All rules, oldest first."""
    return paginate(schedules.list_schedules(session), cursor, limit, show)


@router.get("/{schedule}")
def show_one(schedule: str, session: Reading) -> ScheduleOut:
    """One rule by id or name."""
    return show(schedules.get_schedule(session, schedule))


@router.post("/{schedule}:trigger")
def trigger(key: Key, schedule: str, writing: Writing, settings: SettingsOf) -> SlotOut:
    """Fires a rule now. Recipes whose evidence is from the newest versions are not trained again."""
    row = schedules.trigger_schedule(writing.session, settings, schedule)
    writing.ring_after_commit(Bell.RUNS, Bell.JOBS)
    return show_slot(row)


@router.delete("/{schedule}", status_code=204)
def delete(key: Key, schedule: str, writing: Writing) -> None:
    """Removes a rule; evaluations stay."""
    schedules.delete_schedule(writing.session, schedule)
