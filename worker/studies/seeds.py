"""Which rates of a reference get more seeds: the best one, until it has them all.

More seeds are asked for as a sweep of their own, of two rates: a run that may be given up is another run than one that
may not (docs/decisions/0002), so the first sweep's own run counts as the first seed. The second rate is one that was
given up, for 30 % of a run; where none was, the second best, whose seed tells most; where one rate alone came to a
score, the lowest that diverged or broke.

The best of several runs is optimistic (proxy.ranking.tuning). Where a second seed shows that a rate was lucky, the next
one is the best by a single run, and is as optimistic: it needs its seeds too. The best rate is the label's, a mean over
the seeds.
"""

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from proxy.protocols import Protocol as ProtocolSpec
from proxy.ranking.tuning import Setting, SweepPoint, write_setting
from worker.references import label_rows, recipe_key, rows_of, sweep_point
from worker.store.models import Reference
from worker.studies.sets import METRIC

GIVEN_UP, SCORED, BROKEN = range(3)  # which is taken first as the second rate


@dataclass(frozen=True, kw_only=True)
class Tried:
    """One rate of a sweep, first seed; `score` in bits per byte, None where it was not scored."""

    rate: float
    score: float | None
    was_given_up: bool


def rates_of_more_seeds(sweeps: Iterable[Iterable[Tried]]) -> list[float]:
    """`sweeps`: one a suite. The best rate on each; if that is one rate, a second one beside it. [] where nothing was
    scored on some suite."""
    tried = [list(sweep) for sweep in sweeps]
    best: set[float] = set()
    for sweep in tried:
        scored = [(one.score, one.rate) for one in sweep if one.score is not None]
        if not scored:
            return []
        best.add(min(scored, key=lambda pair: pair[0])[1])
    return with_one_beside(best, tried)


def with_one_beside(rates: set[float], sweeps: Iterable[Iterable[Tried]], but: Container[float] = ()) -> list[float]:
    """Several rates as they are; one alone with another, none of `but`: it would be no sweep, and its first seed be
    trained again as another run."""
    if len(rates) > 1:
        return sorted(rates)
    others: list[tuple[int, float, float]] = []
    for sweep in sweeps:
        for one in sweep:
            if one.was_given_up:
                others.append((GIVEN_UP, 0.0, one.rate))
            if one.score is not None:
                others.append((SCORED, one.score, one.rate))
            elif not one.was_given_up:
                others.append((BROKEN, 0.0, one.rate))
    beside = [rate for _, _, rate in sorted(others) if rate not in rates and rate not in but]
    return sorted(rates | set(beside[:1]))


def best_rows(rows: Sequence[Reference]) -> dict[str, list[Reference]]:
    """The seeds of each recipe's best setting, by `recipe_key`; without recipes none of whose settings has a value."""
    labels = label_rows(rows)
    found: dict[str, list[Reference]] = {}
    for row in rows:
        if sweep_point(row).setting == labels[recipe_key(row)].best_setting:
            found.setdefault(recipe_key(row), []).append(row)
    return found


def rates_that_lack_seeds(
    session: Session, reference_sets: Iterable[str], spec: ProtocolSpec, rates: Iterable[float], seeds: range
) -> dict[str, set[float]]:
    """By recipe the best rates, one a set at most, at which it lacks one of `seeds`. A best setting that a study of
    these references does not train is left out: another rate than its own, or other hyperparameters."""
    grid = settings_of_grid(spec, rates)
    found: dict[str, set[float]] = {}
    for name in reference_sets:
        for recipe, own in best_rows(rows_of(session, name, METRIC)).items():
            rate = grid.get(sweep_point(own[0]).setting)
            if rate is not None and not {row.seed for row in own}.issuperset(seeds):
                found.setdefault(recipe, set()).add(rate)
    return found


def settings_of_grid(spec: ProtocolSpec, rates: Iterable[float]) -> dict[Setting, float]:
    """The rates of a study's references by setting, as labels know one."""
    other = write_setting(hyperparameters_of(spec))
    return {SweepPoint(recipe="", learning_rate=rate, value=None, other=other).setting: rate for rate in rates}


def hyperparameters_of(spec: ProtocolSpec) -> Mapping[str, Any]:
    """What a study's references say of themselves beside rate and seed."""
    return {"steps": spec.steps, "schedule": spec.schedule.kind}
