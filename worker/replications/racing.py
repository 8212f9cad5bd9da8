"""The race itself: when a round has ended a look is taken, and the next round submitted or the end written down."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from proxy.errors import ConflictError, ForetasteError
from worker.leaderboards import refusal_of
from worker.protocols import known_noise
from worker.replications.costs import runs_paid_for, runs_to_train, seconds_of_run
from worker.replications.reports import looks_of, new_looks, report_of
from worker.replications.requests import Budget
from worker.replications.rounds import Gathered, gather, newest_points, round_has_ended, submit_round
from worker.settings import Settings
from worker.store.models import Recipe, Replication, utc_now
from worker.store.sessions import Sessions
from worker.store.states import State
from worker.turns import let_go_on

if TYPE_CHECKING:
    from proxy.ranking.replication import Race, RaceStatus

UNLIMITED = 10**9  # the budget counts runs that are not there yet, which only this room knows
FAILURES, BUDGET_SPENT = "failures", "budget_spent"


def advance_replications(sessions: Sessions, settings: Settings) -> tuple[str, ...]:
    """Takes every look that is due; the ids of the races that moved."""
    return let_go_on(
        sessions, Replication, round_has_ended, lambda session, race_id: advance_replication(session, settings, race_id)
    )


def advance_replication(session: Session, settings: Settings, replication_id: str) -> bool:
    """Goes on as far as what is there allows; True if anything changed. A race that cannot go on has failed, with the
    reason; sent again, it goes on."""
    row = session.get_one(Replication, replication_id, with_for_update=True, populate_existing=True)
    has_moved = False
    while not row.state.is_final and round_has_ended(session, row):
        has_moved = True
        try:
            with session.begin_nested():
                _step(session, settings, row)
        except ForetasteError as error:
            end(row, State.FAILED, error=str(error))
        session.flush()
    return has_moved


def begin(session: Session, settings: Settings, row: Replication) -> None:
    """The first round: as many seeds as the first look needs, or one run alone where nobody knows what one takes."""
    if row.budget_seconds is not None and row.budget_runs is None:
        submit(session, settings, row, {row.recipes[0]: 1})
    else:
        submit(session, settings, row, dict.fromkeys(row.recipes, race_of(row).looks[0]))


def submit(session: Session, settings: Settings, row: Replication, seeds: Mapping[str, int]) -> None:
    """A round that the budget pays for; else the race has ended."""
    known = {recipe: int(point["seeds"]) for recipe, point in newest_points(row).items()}
    cost = runs_to_train(session, row.protocol, seeds, known)
    if row.budget_runs is not None and row.runs_used + cost > row.budget_runs:
        end(row, State.FINISHED, outcome=BUDGET_SPENT)
        return
    row.runs_used += cost
    submit_round(session, settings, row, seeds)


def end(row: Replication, state: State, *, outcome: str | None = None, error: str | None = None) -> None:
    """Written once; sent again, a race that did not end for good goes on."""
    row.state, row.outcome, row.error, row.finished_at = state, outcome, error, utc_now()


def race_of(row: Replication) -> "Race":
    """The rules, which were fixed before the first look."""
    from proxy.ranking.replication import Race
    from proxy.ranking.standings import parse_goal

    return Race(goal=parse_goal(row.resolve), error_rate=row.error_rate, most_seeds=row.most_seeds)


def _step(session: Session, settings: Settings, row: Replication) -> None:
    """One round has ended: failures are noted, the look is taken, and the next round begins or nothing does."""
    from proxy.ranking.standings import is_contest

    if (refused := refusal_of(session, row.protocol_id, row.suite_id)) is not None:
        raise ConflictError(f"{row.protocol.name}@{row.protocol.version} ranks nothing: {refused}")
    gathered = gather(session, row)
    row.failed = {**row.failed, **gathered.failed}
    alive = [recipe for recipe in row.recipes if recipe not in row.failed]
    if not is_contest(len(alive), race_of(row).goal):
        _end_for_failures(session, row, gathered, alive)
    elif row.budget_seconds is not None and row.budget_runs is None and not _learn_cost(session, row):
        _probe(session, settings, row, alive)
    elif lacking := [recipe for recipe in alive if recipe not in gathered.scores or len(gathered.scores[recipe]) < 2]:
        submit(session, settings, row, dict.fromkeys(lacking, race_of(row).looks[0]))
    else:
        _look(session, settings, row, gathered)


def _learn_cost(session: Session, row: Replication) -> bool:
    """Converts the time to runs, once, by what a run took; False if that is not known yet."""
    row.seconds_per_run = seconds_of_run(session, row.protocol)
    budget = Budget(text=row.budget, seconds=row.budget_seconds, runs=row.max_runs)
    row.budget_runs = runs_paid_for(budget, row.seconds_per_run)
    return row.budget_runs is not None


def _probe(session: Session, settings: Settings, row: Replication, alive: list[str]) -> None:
    """The run that was to show the cost of one failed: the next recipe's."""
    untried = [recipe for recipe in alive if recipe not in newest_points(row)]
    if not untried:
        raise ConflictError(f"no finished run says how long one takes, so {row.budget} are no number; give max_runs")
    submit(session, settings, row, {untried[0]: 1})


def _look(session: Session, settings: Settings, row: Replication, gathered: Gathered) -> None:
    from proxy.ranking.replication import RaceState

    status = _status(session, row, gathered)
    row.report = report_of(status, gathered.scores)
    row.looks = [*row.looks, *new_looks(row, status, len(race_of(row).looks))]
    if status.state is not RaceState.RACING:
        end(row, State.FINISHED, outcome=str(status.state))
        return
    wanted: dict[str, int] = {}
    for run in status.next_runs:
        wanted[run.recipe] = max(wanted.get(run.recipe, 0), run.seed + 1)
    submit(session, settings, row, {recipe: wanted[recipe] for recipe in row.recipes if recipe in wanted})


def _status(session: Session, row: Replication, gathered: Gathered) -> "RaceStatus":
    """From what the looks so far have found; those are not taken again."""
    from proxy.ranking.replication import continue_race

    return continue_race(
        _digest(session, row, gathered),
        race_of(row),
        batch=UNLIMITED,
        runs_left=UNLIMITED,
        failed=sorted(row.failed),
        looks=looks_of(row),
    )


def _end_for_failures(session: Session, row: Replication, gathered: Gathered, alive: list[str]) -> None:
    """Too few recipes are left: the others did not lose, so that nothing singles these out."""
    row.report = report_of(_status(session, row, gathered), gathered.scores) if gathered.scores else None
    recipe = next(recipe for recipe in row.recipes if recipe in row.failed)
    name = session.get_one(Recipe, recipe).name
    which = f"{len(row.failed)} of {len(row.recipes)} recipes" if alive else "every recipe"
    error = f"{which} failed; {name}: {row.failed[recipe]['reason']}"
    end(row, State.FAILED, outcome=FAILURES, error=error)


def _digest(session: Session, row: Replication, gathered: Gathered) -> Any:
    """The suite's score is all that a race compares: one set. Anchors are those that do not race themselves."""
    import numpy as np

    from proxy.ranking.evidence import Digest, RecipeDigest, SetDigest

    racing = set(session.scalars(select(Recipe.fingerprint).where(Recipe.id.in_(row.recipes))))
    entries = (
        RecipeDigest(
            recipe=recipe,
            seeds=tuple(sorted(scores)),
            scores={"suite": np.array([scores[seed] for seed in sorted(scores)])},
            document_variances={"suite": 0.0},
            seed_by_document={"suite": 0.0},
        )
        for recipe, scores in gathered.scores.items()
    )
    return Digest(
        sets=(SetDigest(name="suite", share=1.0, clusters=1),),
        recipes=tuple(entries),
        anchors=known_noise(row.protocol, row.suite, racing),
    )
