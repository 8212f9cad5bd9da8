"""What a replication is asked for, checked: recipes, what to resolve, and how much may be spent on it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import select
from sqlalchemy.orm import Session

from proxy import NUMERICS_VERSION
from proxy.errors import FieldProblem, InvalidInputError, NotFoundError
from proxy.fingerprints import fingerprint
from worker.evaluations import MOST_SEEDS
from worker.leaderboards import find_leaderboard, refusal_of
from worker.protocols import find_protocol
from worker.recipes import find_recipe
from worker.store.models import Leaderboard, Protocol, Recipe, Replication, Suite
from worker.suites import find_suite

if TYPE_CHECKING:
    from proxy.ranking.replication import Race

LEAST_RECIPES, MOST_RECIPES = 2, 100
MOST_RUNS = 1_000_000
SECONDS = {"d": 86_400.0, "h": 3600.0, "m": 60.0, "s": 1.0}
NUMBER = r"[0-9]{1,9}(?:\.[0-9]{1,3})?"
DURATION = re.compile("".join(f"(?:(?P<{unit}>{NUMBER}){unit})?" for unit in SECONDS))


@dataclass(frozen=True, kw_only=True)
class ReplicationRequest:
    """What a user asks for. Without recipes, those of the newest race by the same rules in which all that are ranked
    took part, else all that the newest ranking has; without protocol or suite, that ranking's own. `budget` is training
    time such as 2h, `max_runs` a number of runs; whichever is spent first counts."""

    resolve: str
    protocol: str | None = None
    suite: str | None = None
    recipes: tuple[str, ...] = ()
    budget: str | None = None
    max_runs: int | None = None
    error_rate: float = 0.05
    most_seeds: int = 16


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What the race may train in all; at least one of the two is there."""

    text: str | None
    seconds: float | None
    runs: int | None


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A request whose words have become rows."""

    protocol: Protocol
    suite: Suite
    recipes: tuple[Recipe, ...]
    race: "Race"
    budget: Budget

    @property
    def resolve(self) -> str:
        """In one spelling: `top-1` for `best`."""
        return _spell_goal(self.race)

    @property
    def key(self) -> str:
        """The same race is the same row, in whatever order and with whatever budget: a budget may be raised."""
        recipes = sorted(recipe.fingerprint for recipe in self.recipes)
        rules = [self.resolve, f"{self.race.error_rate:.9e}", self.race.most_seeds]
        return fingerprint([self.protocol.id, self.suite.id, recipes, *rules])


def plan_replication(session: Session, request: ReplicationRequest) -> Plan:
    """InvalidInputError names every field that is wrong; nothing is written."""
    from proxy.ranking.replication import Race
    from proxy.ranking.standings import parse_goal

    if not 2 <= request.most_seeds <= MOST_SEEDS:
        raise InvalidInputError.at("/most_seeds", request.most_seeds, f"must be between 2 and {MOST_SEEDS}")
    race = Race(goal=parse_goal(request.resolve), error_rate=request.error_rate, most_seeds=request.most_seeds)
    budget = parse_budget(request.budget, request.max_runs)
    board = None if request.protocol and request.suite and request.recipes else _newest_ranking(session, request)
    protocol = find_protocol(session, request.protocol or _id_of(board, "protocol"))
    if protocol.spec["numerics_version"] != NUMERICS_VERSION:
        message = f"was made for numerics version {protocol.spec['numerics_version']}; this code computes version "
        raise InvalidInputError.at("/protocol", protocol.name, f"{message}{NUMERICS_VERSION}")
    suite = find_suite(session, request.suite or _id_of(board, "suite"))
    if (refused := refusal_of(session, protocol.id, suite.id)) is not None:
        raise InvalidInputError.at("/protocol", f"{protocol.name}@{protocol.version}", refused)
    recipes = _recipes(session, request.recipes or _unnamed(session, protocol, suite, race, _ranked(board)))
    if race.goal.best is not None and race.goal.best >= len(recipes):
        message = f"of {len(recipes)} recipes at most {len(recipes) - 1} can be singled out"
        raise InvalidInputError.at("/resolve", request.resolve, message)
    return Plan(protocol=protocol, suite=suite, recipes=recipes, race=race, budget=budget)


def parse_budget(text: str | None, runs: int | None) -> Budget:
    """InvalidInputError for none at all, or one that allows nothing."""
    if text is None and runs is None:
        raise InvalidInputError.at("/budget", None, "say what may be spent: a duration such as 2h, or max_runs")
    if runs is not None and not 1 <= runs <= MOST_RUNS:
        raise InvalidInputError.at("/max_runs", runs, f"must be between 1 and {MOST_RUNS}")
    text = None if text is None else text.strip()
    return Budget(text=text, seconds=None if text is None else parse_duration(text), runs=runs)


def parse_duration(text: str) -> float:
    """Seconds of `2h`, `90m`, `1h30m`, `1.5d`. InvalidInputError at /budget for anything else, and for nothing."""
    found = DURATION.fullmatch(text.strip())
    if found is None or not found[0]:
        raise InvalidInputError.at("/budget", text, "is no duration such as 2h, 90m or 1h30m")
    seconds = sum(float(part) * SECONDS[unit] for unit, part in found.groupdict().items() if part)
    if not seconds:
        raise InvalidInputError.at("/budget", text, "nothing can be trained in no time")
    return seconds


def _newest_ranking(session: Session, request: ReplicationRequest) -> Leaderboard:
    try:
        return find_leaderboard(session, request.protocol, request.suite)
    except NotFoundError as error:
        message = f"{error}: name protocol, suite and recipes"
        raise InvalidInputError.at("/recipes", list(request.recipes), message) from error


def _id_of(board: Leaderboard | None, noun: str) -> str:
    assert board is not None  # read where the request leaves anything out
    return str(board.body[noun]["id"])


def _ranked(board: Leaderboard | None) -> list[str]:
    """Ids, without broken ones."""
    assert board is not None
    return [entry["recipe"]["id"] for entry in board.body["entries"] if entry["rank"] is not None]


def _unnamed(session: Session, protocol: Protocol, suite: Suite, race: "Race", ranked: list[str]) -> list[str]:
    """Ids of the newest race by the same rules that all who are ranked took part in; of the ranked where there is none.

    Who broke in a race is ranked no longer: without them it would be another race, with an error rate of its own.
    """
    same_rules = select(Replication).where(
        Replication.protocol_id == protocol.id,
        Replication.suite_id == suite.id,
        Replication.resolve == _spell_goal(race),
        Replication.error_rate == race.error_rate,
        Replication.most_seeds == race.most_seeds,
    )
    for row in session.scalars(same_rules.order_by(Replication.created_at.desc(), Replication.id)):
        if set(ranked) <= set(row.recipes):
            return list(row.recipes)
    return ranked


def _spell_goal(race: "Race") -> str:
    best = race.goal.best
    return "pairs" if best is None else f"top-{best}"


def _recipes(session: Session, references: Sequence[str]) -> tuple[Recipe, ...]:
    """In the order of their names. InvalidInputError for two that are one recipe."""
    if not LEAST_RECIPES <= len(references) <= MOST_RECIPES:
        message = f"at least {LEAST_RECIPES} recipes are compared, and at most {MOST_RECIPES}"
        raise InvalidInputError.at("/recipes", list(references)[:MOST_RECIPES], message)
    rows = [find_recipe(session, reference, f"/recipes/{index}") for index, reference in enumerate(references)]
    first: dict[str, int] = {}
    problems = [
        FieldProblem(
            pointer=f"/recipes/{index}",
            value=references[index],
            message=f"is the same recipe as /recipes/{first[row.id]}",
        )
        for index, row in enumerate(rows)
        if first.setdefault(row.id, index) != index
    ]
    if problems:
        raise InvalidInputError(problems)
    return tuple(sorted(rows, key=lambda row: (row.name, row.id)))
