"""Schedules: cron rules (UTC) that re-evaluate recipes whose evidence is not from their protocol's newest version.

A firing is a row (schedule, slot); the unique pair makes two beats, or two workers, fire once.
"""

import uuid
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cronsim import CronSim, CronSimError
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from proxy.errors import ConflictError, ForetasteError, InvalidInputError, NotFoundError
from worker.evaluations import (
    MOST_SEEDS,
    Request,
    conclude_evaluations,
    has_seeds,
    lock_evaluations,
    submit_evaluation,
)
from worker.lookup import find_or_add
from worker.protocols import find_protocol
from worker.settings import Settings
from worker.store.models import Evaluation, Recipe, Schedule, ScheduleSlot
from worker.store.states import State
from worker.suites import find_suite

CATCH_UP = timedelta(hours=1)  # a slot missed for longer (nothing was running) is left out


@dataclass(frozen=True, kw_only=True)
class Rule:
    """What a user asks for: recipes that carry all `tags`, under the newest version of the protocol and suite."""

    name: str
    cron: str
    protocol: str
    suite: str
    seeds: int = 2
    tags: dict[str, str] = field(default_factory=dict)


def create_schedule(session: Session, rule: Rule) -> tuple[Schedule, bool]:
    """The rule and True if it is new; the same rule again is the same row. ConflictError if the name says otherwise."""
    _parse_cron(rule.cron)
    if not 1 <= rule.seeds <= MOST_SEEDS:
        raise InvalidInputError.at("/seeds", rule.seeds, f"must be between 1 and {MOST_SEEDS}")
    protocol, suite = find_protocol(session, rule.protocol).name, find_suite(session, rule.suite).name
    content = {"cron": rule.cron, "protocol": protocol, "suite": suite, "seeds": rule.seeds, "tags": dict(rule.tags)}

    def find() -> Schedule | None:
        return session.scalars(select(Schedule).where(Schedule.name == rule.name)).first()

    row, is_new = find_or_add(session, find, lambda: Schedule(name=rule.name, **content))
    if {name: getattr(row, name) for name in content} != content:
        raise ConflictError(f"schedule {rule.name!r} exists with another rule; delete it first")
    return row, is_new


def _parse_cron(cron: str, since: datetime | None = None) -> CronSim:
    try:
        return CronSim(cron, since or datetime(2026, 1, 1))  # noqa: DTZ001 - UTC wall clock, see next_due
    except CronSimError as error:
        raise InvalidInputError.at("/cron", cron, f"is no cron rule: {error}") from error


def get_schedule(session: Session, schedule_id: str) -> Schedule:
    """By id or name. NotFoundError if there is none."""
    query = select(Schedule).where((Schedule.id == schedule_id) | (Schedule.name == schedule_id))
    row = session.scalars(query).first()
    if row is None:
        raise NotFoundError(f"no schedule {schedule_id!r}")
    return row


def list_schedules(session: Session) -> Sequence[Schedule]:
    """All rules, oldest first."""
    return session.scalars(select(Schedule).order_by(Schedule.created_at, Schedule.id)).all()


def delete_schedule(session: Session, schedule_id: str) -> None:
    """Removes the rule and its history of firings; evaluations stay."""
    session.delete(get_schedule(session, schedule_id))


def trigger_schedule(session: Session, settings: Settings, schedule_id: str, slot: str | None = None) -> ScheduleSlot:
    """Fires the rule for a slot (default: a slot of its own, now). A slot that has fired is returned unchanged."""
    schedule = get_schedule(session, schedule_id)
    name = slot or f"trigger:{uuid.uuid4().hex}"
    fired = select(ScheduleSlot).where(ScheduleSlot.schedule_id == schedule.id, ScheduleSlot.slot == name)
    if (known := session.scalars(fired).first()) is not None:
        return known
    row = ScheduleSlot(schedule_id=schedule.id, slot=name)
    try:
        with session.begin_nested():
            session.add(row)
    except IntegrityError:
        return session.scalars(fired).one()
    firing = _Firing()
    recipes = _selected(session, schedule)
    evidence = _lock_evidence(session, schedule, recipes)
    for recipe in recipes:
        _re_evaluate(session, settings, schedule, recipe, _newest(evidence[recipe.id]), firing)
    conclude_evaluations(session, settings, firing.submitted)
    row.submitted, row.reused, row.refused = firing.submitted, firing.reused, firing.refused
    session.flush()
    return row


@dataclass(kw_only=True)
class _Firing:
    """What one firing came to."""

    submitted: list[str] = field(default_factory=list)
    reused: list[str] = field(default_factory=list)
    refused: list[dict[str, str]] = field(default_factory=list)


def _selected(session: Session, schedule: Schedule) -> list[Recipe]:
    """Recipes that were evaluated under any version of the protocol's name and carry all tags. Those that people
    only ever cancelled are not taken up."""
    protocol = find_protocol(session, schedule.protocol)
    same_name = select(Evaluation.recipe_id).where(
        Evaluation.kind == "proxy",
        Evaluation.state != State.CANCELLED,
        Evaluation.protocol.has(name=protocol.name),
    )
    rows = session.scalars(select(Recipe).where(Recipe.id.in_(same_name)).order_by(Recipe.created_at, Recipe.id))
    wanted = schedule.tags.items()
    return [row for row in rows if wanted <= dict(row.spec.get("tags", {})).items()]


def _re_evaluate(
    session: Session,
    settings: Settings,
    schedule: Schedule,
    recipe: Recipe,
    known: Evaluation | None,
    firing: _Firing,
) -> None:
    """Submits one recipe, unless its newest evidence is from more seeds, or was cancelled by somebody; one that can no
    longer be evaluated does not keep the others from it. What is found open is asked for by the schedule too."""
    if known is not None and known.state == State.CANCELLED:
        reason = f"evaluation {known.id} was cancelled; submit it again by hand"
        firing.refused.append({"recipe": recipe.name, "error": reason})
        return
    if known is not None and known.seeds > schedule.seeds:
        known.is_requested = known.is_requested or not known.state.is_final
        firing.reused.append(known.id)
        return
    request = Request(recipe=recipe.id, protocol=schedule.protocol, suite=schedule.suite, seeds=schedule.seeds)
    try:
        with session.begin_nested():
            evaluation, is_new = submit_evaluation(session, settings, request, concludes=False, is_requested=True)
    except ForetasteError as error:
        firing.refused.append({"recipe": recipe.name, "error": str(error)})
        return
    (firing.submitted if is_new else firing.reused).append(evaluation.id)


def _lock_evidence(
    session: Session, schedule: Schedule, recipes: Sequence[Recipe]
) -> defaultdict[str, list[Evaluation]]:
    """By recipe, its evaluations under the newest protocol and suite with at least the schedule's seeds (from 0 on).

    All are locked at once, in the order of their ids as everywhere: who cancels one comes before or after."""
    query = select(Evaluation.id, Evaluation.recipe_id).where(
        Evaluation.kind == "proxy",
        Evaluation.replicate == 0,
        Evaluation.protocol_id == find_protocol(session, schedule.protocol).id,
        Evaluation.suite_id == find_suite(session, schedule.suite).id,
        has_seeds(range(schedule.seeds)),
    )
    wanted = {recipe.id for recipe in recipes}
    found = defaultdict(list)
    for row in lock_evaluations(session, [row.id for row in session.execute(query) if row.recipe_id in wanted]):
        found[row.recipe_id].append(row)
    return found


def _newest(evidence: Sequence[Evaluation]) -> Evaluation | None:
    """One that still counts and has the most seeds; else a cancelled one."""
    return max(evidence, key=lambda row: (row.state != State.CANCELLED, row.seeds), default=None)


def fire_due(session: Session, settings: Settings, now: datetime) -> list[ScheduleSlot]:
    """Fires every enabled rule whose newest due minute has not fired; older missed ones are not made up for."""
    fired = []
    for schedule in list_schedules(session):
        due = last_due(schedule.cron, now) if schedule.is_enabled else None
        if due is None or due < schedule.created_at or now - due > CATCH_UP:
            continue
        name = due.isoformat(timespec="minutes")
        query = select(ScheduleSlot.id).where(ScheduleSlot.schedule_id == schedule.id, ScheduleSlot.slot == name)
        if session.scalars(query).first() is None:
            fired.append(trigger_schedule(session, settings, schedule.id, slot=name))
    return fired


def last_due(cron: str, now: datetime) -> datetime | None:
    """The newest minute at or before `now` that the rule names within the last hour; None if there is none."""
    ticks = _parse_cron(cron, now - CATCH_UP)
    newest = None
    for tick in ticks:
        if tick > now:
            break
        newest = tick
    return newest
