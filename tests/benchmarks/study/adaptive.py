"""Adaptive replication against an even spread of seeds, and whether its error rate is kept, on simulated recipes.

Gaps are in standard deviations of one run (races.py). Goal: the best 3 of 23 recipes, so 60 pairs. "Even" gives every
recipe the same seeds and is stopped by the same rule as soon as it knows as many of the 60 pairs as the race did;
"unpaid" is an even spread that may look after every seed at the full error rate, which no valid procedure may. An even
spread that never gets there counts as all runs it may have, which makes it look better than it is.

`python -m tests.benchmarks.study.adaptive` prints the rows.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from proxy.ranking.evidence import AnchorNoise, Float64Array
from proxy.ranking.replication import Race
from proxy.ranking.standings import Goal
from tests.benchmarks.figures import Row, at_most, for_information
from tests.benchmarks.study.races import (
    BEST,
    RECIPES,
    draw_field,
    even_runs,
    even_runs_unpaid,
    makes_false_claim,
    pairs_of_goal,
    run_race,
)

MOST_OF_EVEN = 0.6
FIELDS, MOST_SEEDS, BATCH = 100, 32, 8
ERROR_RATE, RACES, RACE_SEEDS = 0.05, 800, 16

Effects = Callable[[np.random.Generator], Float64Array]


def measure() -> list[Row]:
    """What it saves, then its error rate."""
    return [*savings(), *error_rates()]


@dataclass(frozen=True, kw_only=True)
class Gaps:
    """A profile of true scores, best first. `must_save` is false where there is little to be saved by any means."""

    name: str
    effects: Effects
    must_save: bool = True
    batch: int = BATCH
    most_seeds: int = MOST_SEEDS


def always(effect_R: npt.ArrayLike) -> Effects:
    """The same true scores in every race."""
    scores_R = np.asarray(effect_R, dtype=np.float64)
    return lambda _: scores_R


def normal_scores(sd: float) -> Float64Array:
    """The expected order of a normal sample."""
    from scipy.special import ndtri

    effect_R: Float64Array = sd * ndtri((np.arange(RECIPES) + 0.5) / RECIPES)
    return effect_R


def drawn(sd: float) -> Effects:
    """A normal sample, anew for every race: third and fourth may be as good as equal."""
    return lambda rng: np.sort(sd * rng.standard_normal(RECIPES))


CROWD = np.concatenate([[0, 0.5, 1], np.linspace(3, 4.2, 7), 12 + np.arange(RECIPES - 10)])
JUST_BEHIND = np.where(np.arange(RECIPES) < BEST, 0.0, 3.0)
PROFILES = (
    Gaps(name="steps of 2", effects=always(2.0 * np.arange(RECIPES))),
    Gaps(name="steps of 1", effects=always(1.0 * np.arange(RECIPES))),
    Gaps(name="normal, sd 8", effects=always(normal_scores(8))),
    Gaps(name="normal, sd 4", effects=always(normal_scores(4))),
    Gaps(name="normal, sd 8, drawn anew", effects=drawn(8)),
    Gaps(name="normal, sd 8, drawn anew, at most 16 seeds", effects=drawn(8), most_seeds=16),
    Gaps(name="normal, sd 8, batches of 23", effects=always(normal_scores(8)), batch=23),
    Gaps(name="seven crowded 2 behind the third, the others far", effects=always(CROWD)),
    Gaps(name="steps of 10 (two seeds tell all)", effects=always(10.0 * np.arange(RECIPES)), must_save=False),
    Gaps(name="twenty equal recipes 3 behind three equal ones", effects=always(JUST_BEHIND), must_save=False),
)


def savings() -> Iterator[Row]:
    """Runs of the race over those of an even spread that knows as many pairs, over all fields of a profile."""
    for index, gaps in enumerate(PROFILES):
        adaptive, even, unpaid, pairs = _runs(gaps, np.random.default_rng([1, index])).mean(axis=0)
        name = f"{gaps.name}: {adaptive:.0f} runs for {pairs:.1f} pairs"
        share = f"{name}, share of an even spread's {even:.0f}"
        yield (
            at_most(share, adaptive / even, MOST_OF_EVEN) if gaps.must_save else for_information(share, adaptive / even)
        )
        yield for_information(f"{gaps.name}: share of an unpaid even spread's {unpaid:.0f}", adaptive / unpaid)


def _runs(gaps: Gaps, rng: np.random.Generator) -> Float64Array:
    """A row a field: runs of the race, of the even spread, of the unpaid one, and the goal's pairs that were found."""
    race = Race(goal=Goal(best=BEST), error_rate=ERROR_RATE, most_seeds=gaps.most_seeds)
    rows = []
    for _ in range(FIELDS):
        field = draw_field(gaps.effects(rng), gaps.most_seeds, rng)
        outcome = run_race(field, race, gaps.batch)
        pairs = pairs_of_goal(outcome.known_RR)
        rows.append((outcome.runs, even_runs(field, race, pairs), even_runs_unpaid(field, race, pairs), pairs))
    return np.array(rows, dtype=np.float64)


@dataclass(frozen=True, kw_only=True)
class Trap:
    """True scores among which a false claim is easy. `anchor_degrees`: of noise known beforehand, 0 for none."""

    name: str
    effect_R: Float64Array
    best: int | None = BEST
    batch: int = BATCH
    log_sd: float = 0.0
    anchor_degrees: int = 0
    must_hold: bool = True


EQUAL = np.zeros(RECIPES)
TIED_AT_EDGE = np.array([0, 5, *[10] * 8, *(20 + 5 * place for place in range(RECIPES - 10))], dtype=np.float64)
TRAPS = (
    Trap(name="23 equal recipes", effect_R=EQUAL),
    Trap(name="23 equal recipes, all at once", effect_R=EQUAL, batch=RECIPES * RACE_SEEDS),
    Trap(name="23 equal recipes, all pairs", effect_R=EQUAL, best=None),
    Trap(name="23 equal recipes, anchors of 6 degrees", effect_R=EQUAL, anchor_degrees=6),
    Trap(name="eight tied around the third place", effect_R=TIED_AT_EDGE),
    Trap(name="steps of 0.1", effect_R=np.array([0.1 * place for place in range(RECIPES)])),
    Trap(name="4 equal recipes, run by run", effect_R=np.zeros(4), best=1, batch=1),
    Trap(name="2 equal recipes, run by run", effect_R=np.zeros(2), best=1, batch=1),
    Trap(name="23 equal recipes, unequal noise (log-sd .3)", effect_R=EQUAL, log_sd=0.3),
    Trap(name="23 equal recipes, very unequal noise (log-sd .5)", effect_R=EQUAL, log_sd=0.5, must_hold=False),
)


def error_rates() -> Iterator[Row]:
    """Races in which anything false was said at any time before they ended, and how sure that share is.

    It holds where it is within two standard errors of what is promised. Very unequal noise, which the promise excludes,
    is shown beside it."""
    from scipy.special import betaincinv

    most = ERROR_RATE + 2 * math.sqrt(ERROR_RATE * (1 - ERROR_RATE) / RACES)
    for index, trap in enumerate(TRAPS):
        wrong = _false_claims(trap, np.random.default_rng([2, index]))
        low = float(betaincinv(wrong, RACES - wrong + 1, 0.025)) if wrong else 0.0
        high = float(betaincinv(wrong + 1, RACES - wrong, 0.975))
        interval = f"{RACES} races, 95 % interval {low:.3f} to {high:.3f}"
        name = f"false claims, {trap.name}, at most {RACE_SEEDS} seeds ({interval})"
        share = wrong / RACES
        yield at_most(name, share, most) if trap.must_hold else for_information(name, share)


def _false_claims(trap: Trap, rng: np.random.Generator) -> int:
    race = Race(goal=Goal(best=trap.best), error_rate=ERROR_RATE, most_seeds=RACE_SEEDS)
    wrong = 0
    for _ in range(RACES):
        field = draw_field(trap.effect_R, RACE_SEEDS, rng, log_sd=trap.log_sd, anchors=_anchors(trap, rng))
        outcome = run_race(field, race, trap.batch)
        wrong += makes_false_claim(field, outcome.claimed_RR)
    return wrong


def _anchors(trap: Trap, rng: np.random.Generator) -> AnchorNoise | None:
    """Noise as other recipes would have shown it."""
    if not trap.anchor_degrees:
        return None
    variance = float(rng.chisquare(trap.anchor_degrees)) / trap.anchor_degrees
    return AnchorNoise(variance=variance, degrees_of_freedom=trap.anchor_degrees)


if __name__ == "__main__":
    for row in measure():
        print(row["holds"], row["value"], row["must"], row["figure"], sep="\t", flush=True)
