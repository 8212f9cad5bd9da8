"""References that are given: results of a study's own grid that somebody registered, so that they need no training.

A recipe's references are given where on every suite its reference set holds each rate of the grid, and not all of them
from sweeps of this service, which are found by themselves. They are taken as they are, with the seeds that they have.
A sweep beside a part of them would contradict what is stored once it has ended, so that a part is refused before.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from sqlalchemy.orm import Session

from proxy.errors import FieldProblem
from proxy.protocols import Protocol as ProtocolSpec
from worker.references import recipe_key, rows_of, sweep_point
from worker.store.models import Reference
from worker.studies.seeds import settings_of_grid
from worker.studies.sets import METRIC


@dataclass(frozen=True, kw_only=True)
class Grid:
    """What a study asks of its references; `sets` are their names, one a suite, and `first_seed` is the sweeps'."""

    sets: tuple[str, ...]
    spec: ProtocolSpec
    rates: tuple[float, ...]
    first_seed: int


def given_recipes(session: Session, grid: Grid) -> set[str]:
    """Ids of the recipes whose references are given on every suite."""
    held = [_held(session, grid, name) for name in grid.sets]
    return set.intersection(*({recipe for recipe, one in found.items() if one.is_given} for found in held))


def given_problems(session: Session, grid: Grid, places: Mapping[str, int]) -> Iterator[FieldProblem]:
    """Of recipes of which a part of the grid is given, or the grid on a part of the suites. `places`: where a request
    names a recipe, by its id."""
    given = given_recipes(session, grid)
    for name in grid.sets:
        for recipe, one in _held(session, grid, name).items():
            if recipe in places and recipe not in given and one.holds_a_seed_of_elsewhere(grid.first_seed):
                yield _problem(places[recipe], name, one, grid)


@dataclass(frozen=True, kw_only=True)
class _Held:
    """A recipe's rows in one set, of the grid alone, and the rates of the grid that have none."""

    rows: list[Reference]
    missing: list[float]

    @property
    def is_given(self) -> bool:
        return not self.missing and any(row.evaluation_id is None for row in self.rows)

    def holds_a_seed_of_elsewhere(self, seed: int) -> bool:
        """Whether a sweep of this seed would train again what is there."""
        return any(row.evaluation_id is None and row.seed == seed for row in self.rows)


def _held(session: Session, grid: Grid, name: str) -> dict[str, _Held]:
    """By recipe, those that have rows."""
    settings = settings_of_grid(grid.spec, grid.rates)
    by_recipe: dict[str, dict[float, list[Reference]]] = {}
    for row in rows_of(session, name, METRIC):
        rate = settings.get(sweep_point(row).setting)
        if rate is not None:
            by_recipe.setdefault(recipe_key(row), {}).setdefault(rate, []).append(row)
    return {
        recipe: _Held(
            rows=[row for rate in sorted(own) for row in own[rate]],
            missing=[rate for rate in grid.rates if rate not in own],
        )
        for recipe, own in by_recipe.items()
    }


def _problem(index: int, name: str, held: _Held, grid: Grid) -> FieldProblem:
    of = held.rows[0].recipe_name
    if held.missing:
        rates = ", ".join(f"{rate:g}" for rate in held.missing)
        what = f"results from elsewhere of {of}, but not at {rates}"
    else:
        others = ", ".join(one for one in grid.sets if one != name)
        what = f"all results of {of} from elsewhere, but not every other set ({others}) does"
    remedy = "its sweep would contradict them: register the others too, or give the study another name"
    return FieldProblem(pointer=f"/recipes/{index}/recipe", value=of, message=f"set {name} holds {what}; {remedy}")
