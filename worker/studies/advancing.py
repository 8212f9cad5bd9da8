"""What waits for others: references are registered when their sweep has ended, and more seeds asked for at its best
rate, until the best rate over all seeds has them all; a study in which nothing is left has ended.

Whoever finds that something is due does it (worker.turns). Each turn is one transaction under the row's lock.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy.orm import Session

from proxy.errors import ConflictError, ForetasteError
from proxy.protocols import Protocol as ProtocolSpec
from worker.references import ReferenceFields, register_reference
from worker.settings import Settings
from worker.store.models import Evaluation, Run, Study, utc_now
from worker.store.sessions import Sessions
from worker.store.states import State
from worker.studies.more_seeds import ask_for_more_seeds, scores_of
from worker.studies.points import MORE_SEEDS, SWEEPS, Point, has_ended, of_kind, states_of
from worker.studies.seeds import hyperparameters_of
from worker.studies.sets import DIRECTION, METRIC, SOURCE, UNIT
from worker.turns import let_go_on


def advance_studies(sessions: Sessions, settings: Settings) -> tuple[str, ...]:
    """Does what is due; the ids of the studies that moved."""
    return let_go_on(sessions, Study, _is_due, lambda session, study_id: advance_study(session, settings, study_id))


def advance_study(session: Session, settings: Settings, study_id: str) -> bool:
    """Goes on as far as what is there allows; True if anything changed. A study that cannot go on has failed, with the
    reason; sent again, it goes on."""
    from worker.agreement import references_changed

    row = session.get_one(Study, study_id, with_for_update=True, populate_existing=True)
    has_moved, changed = False, set[str]()
    while not row.state.is_final and _is_due(session, row):
        has_moved = True
        with _failing_for_its_reason(session, row):
            changed |= _step(session, settings, row)
        session.flush()
    if changed:  # Runs are locked before suites, as by every submission: comparing locks all suites, and comes last.
        with _failing_for_its_reason(session, row):
            references_changed(session, settings, sorted(changed))
    return has_moved


@contextmanager
def _failing_for_its_reason(session: Session, row: Study) -> Iterator[None]:
    """What the block did is undone where it raises."""
    try:
        with session.begin_nested():
            yield
    except ForetasteError as error:
        row.state, row.error, row.finished_at = State.FAILED, str(error), utc_now()


def _is_due(session: Session, row: Study) -> bool:
    states = states_of(session, row)
    return bool(_due(row, states)) or all(state.is_final for state in states.values())


def _due(row: Study, states: dict[str, State]) -> list[Point]:
    """Sweeps and more seeds that have ended and are not taken up."""
    return [point for kind in (SWEEPS, MORE_SEEDS) for point in _due_of(of_kind(row.points, kind), states)]


def _due_of(points: list[Point], states: dict[str, State]) -> list[Point]:
    """A recipe's, which are the same runs on all suites, are taken up together: more seeds are of the best rate on
    each."""
    own: dict[str, list[Point]] = {}
    for point in points:
        own.setdefault(point["recipe"], []).append(point)
    return [
        point
        for those in own.values()
        if not all(one["is_taken_up"] for one in those) and has_ended(those, states)
        for point in those
    ]


def _step(session: Session, settings: Settings, row: Study) -> set[str]:
    """The names of the sets that have gained a reference."""
    states = states_of(session, row)
    due = _due(row, states)
    changed = _register(session, row, due)
    asked = ask_for_more_seeds(session, settings, row, of_kind(due, SWEEPS))
    if not due and not asked:
        _end(session, row, states)
        return changed
    taken = {point["evaluation"] for point in due}
    kept = [point | {"is_taken_up": True} if point["evaluation"] in taken else point for point in row.points]
    again = {(point["recipe"], point["suite"]) for point in asked}
    row.points = [
        point for point in kept if point["kind"] != MORE_SEEDS or (point["recipe"], point["suite"]) not in again
    ] + asked
    return changed


def _register(session: Session, row: Study, due: list[Point]) -> set[str]:
    """Every setting that was tried is a reference; what each recipe earned is computed from all of them. The names of
    the sets that have gained one."""
    sets = {suite["id"]: suite["reference_set"] for suite in row.spec["suites"]}
    axes = {recipe["id"]: recipe["axis"] for recipe in row.spec["recipes"]}
    changed: set[str] = set()
    for point in due:
        evaluation = session.get_one(Evaluation, point["evaluation"])
        scores = scores_of(session, evaluation)
        for run in _registered_runs(evaluation, point["kind"]):
            if run.result and run.state in (State.FINISHED, State.STOPPED):
                fields = _reference(evaluation, run, scores.get(run.id), sets[point["suite"]], axes[point["recipe"]])
                if register_reference(session, fields)[1]:
                    changed.add(sets[point["suite"]])
    session.flush()
    return changed


def _registered_runs(evaluation: Evaluation, kind: str) -> list[Run]:
    """The first seed is the sweep's own run. More seeds of a single rate, which studies once asked for, are no sweep:
    their first seed is another run of the same setting, whose last bits may differ."""
    is_single = kind == MORE_SEEDS and len(evaluation.learning_rates) == 1
    return [run for run in evaluation.runs if run.seed > evaluation.first_seed or not is_single]


def _reference(evaluation: Evaluation, run: Run, score: float | None, reference_set: str, axis: str) -> ReferenceFields:
    spec = ProtocolSpec.model_validate(evaluation.protocol.spec)
    result: dict[str, Any] = run.result or {}
    return ReferenceFields(
        reference_set=reference_set,
        recipe=evaluation.recipe_id,
        axis=axis,
        metric=METRIC,
        direction=DIRECTION,
        unit=UNIT,
        value=score,
        stopped_early=run.state == State.STOPPED,
        learning_rate=run.learning_rate,
        seed=run.seed,
        hyperparameters=dict(hyperparameters_of(spec)),
        parameters=result["parameters"],
        tokens=result["tokens"],
        source=SOURCE,
        evaluation=evaluation.id,
    )


def _end(session: Session, row: Study, states: dict[str, State]) -> None:
    """Runs that failed are part of what was found; a study in which everything failed, or of which somebody cancelled a
    part, has not come to its end."""
    ids = [point["evaluation"] for point in row.points]
    for evaluation_id in ids:
        if states[evaluation_id] == State.CANCELLED:
            name = session.get_one(Evaluation, evaluation_id).recipe.name
            raise ConflictError(f"evaluation {evaluation_id} of {name} was cancelled; send the study again to go on")
    if State.FINISHED not in states.values():
        first = session.get_one(Evaluation, ids[0])
        reason = next((run.error for run in first.runs if run.error), "no reason given")
        raise ConflictError(f"every evaluation failed; {first.recipe.name}: {reason}")
    row.state, row.error, row.finished_at = State.FINISHED, None, utc_now()
