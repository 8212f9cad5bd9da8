"""Which recipes get another seed: a race for the K best recipes, or for the order of all pairs.

All recipes begin alike. Whoever is known to be among the best K, or not to be, stops; when all others have reached the
next number of seeds, it is looked at (looks.py, which keeps the error rate however seeds are given out). A recipe that
fails drops out of what is known, and of the question: the best K are those of all that are left. Top-K by
accepting and rejecting: S. Bubeck, T. Wang, N. Viswanathan, ICML 2013; races: O. Maron, A. Moore, NIPS 1994. Stated
error rate: the chance that anything said to be known at any time (a pair's order, a place among the best K) is wrong,
over all recipes and looks together.

The estimand is the order on this suite's documents (fixed): more seeds cannot tell how new text would score.

Axes: R recipes, T seeds. Scores in bits per byte, lower is better.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from proxy.errors import InvalidInputError
from proxy.ranking.evidence import AnchorNoise, BoolArray, Digest, Evidence, Float64Array, suite_scores
from proxy.ranking.looks import Look, all_known, first_seeds, imply, looks_up_to, remember, resolve_at_look
from proxy.ranking.seeds import estimate_seed_noise, fit_seeds
from proxy.ranking.standings import Goal, Standing, is_contest, place

# Degrees of freedom a recipe's noise borrows from the pool: seed sds of log-sd .16 beforehand. Bounds lie so far out in
# the tails that noise taken for equal (log-sd .3 in truth) gave .13 false claims where this gives .05, for a tenth more
# runs; 10 keeps the rate at log-sd .5 too, for a fifth more.
MOST_PRIOR = 20.0


class RaceState(StrEnum):
    """`racing` is followed by any of the others; those end the race."""

    RACING = "racing"
    RESOLVED = "resolved"
    BUDGET_SPENT = "budget_spent"  # what is left does not reach the next look, and is not spent
    SEEDS_SPENT = "seeds_spent"  # all looks are taken, with `most_seeds` of each recipe that is still open
    NO_NOISE = "no_noise"  # different seeds gave identical scores: nothing can be tested, so no look is taken
    FAILURES = "failures"  # no more recipes are left than were looked for, so nothing singles them out


@dataclass(frozen=True, kw_only=True)
class Race:
    """Fixed before the first look, or the error rate is not kept. `most_seeds`: of one recipe."""

    goal: Goal
    error_rate: float = 0.05
    most_seeds: int = 16

    def __post_init__(self) -> None:
        if not 0 < self.error_rate < 1:
            raise InvalidInputError.at("/error_rate", self.error_rate, "the error rate must be between 0 and 1")
        if self.most_seeds < 2:
            raise InvalidInputError.at("/most_seeds", self.most_seeds, "a race needs at least two seeds a recipe")
        if self.goal.best is not None and self.goal.best < 1:
            raise InvalidInputError.at("/resolve", self.goal.best, "at least one recipe must be looked for")

    @property
    def looks(self) -> tuple[int, ...]:
        """Numbers of seeds at which recipes are compared, ascending."""
        return looks_up_to(self.most_seeds)


@dataclass(frozen=True, kw_only=True)
class NextRun:
    """One run to train: the recipe under the seed."""

    recipe: str
    seed: int


@dataclass(frozen=True, kw_only=True)
class RaceStatus:
    """What is known, and what to train next. Names are in the evidence's order.

    `best` are known to be among the K best and `rest` not to be (both empty where all pairs are the goal); `undecided`
    could still change the answer. `failed` take no part. `is_better_RR` is over `recipes`, all that take part.
    `looks` are all that were taken so far; `error_spent` is the part of the error rate that they have used.
    """

    state: RaceState
    next_runs: tuple[NextRun, ...]
    recipes: tuple[str, ...]
    best: tuple[str, ...]
    rest: tuple[str, ...]
    undecided: tuple[str, ...]
    failed: tuple[str, ...]
    is_better_RR: BoolArray
    looks: tuple[Look, ...]
    error_spent: float

    @property
    def resolved_pairs(self) -> int:
        """Pairs whose order is known."""
        return int(self.is_better_RR.sum())

    @property
    def unresolved_pairs(self) -> tuple[tuple[str, str], ...]:
        """Pairs whose order is not known and that matter: of two undecided recipes."""
        open_names = set(self.undecided)
        firsts, seconds = np.nonzero(np.triu(~(self.is_better_RR | self.is_better_RR.T), 1))
        pairs = ((self.recipes[a], self.recipes[b]) for a, b in zip(firsts, seconds, strict=True))
        return tuple(pair for pair in pairs if open_names.issuperset(pair))


def continue_race(
    evidence: Evidence | Digest,
    race: Race,
    *,
    batch: int,
    runs_left: int,
    failed: Collection[str] = (),
    looks: Sequence[Look] = (),
) -> RaceStatus:
    """What is known from all runs so far, and at most `batch` runs to train next.

    Depends on nothing but its arguments, so that it can be asked again at any time. `looks` are those of the status
    before: they are not taken again. Every recipe needs its first seed before; one that has failed is named in
    `failed`, with or without evidence.
    """
    _check(evidence, race, batch, runs_left, failed, looks)
    takes_part_R = np.array([entry.recipe not in set(failed) for entry in evidence.recipes], dtype=np.bool_)
    names = tuple(entry.recipe for entry in evidence.recipes if entry.recipe not in set(failed))
    scores_RT = suite_scores(evidence)[takes_part_R]
    began_with = len({entry.recipe for entry in evidence.recipes} | set(failed))
    found = _look_on(names, scores_RT, evidence.anchors, race, began_with, looks)
    runs = _next_runs(names, evidence.seeds, scores_RT, found, race)
    state = _state(found, race.goal, runs, runs_left)
    return RaceStatus(
        state=state,
        next_runs=tuple(runs[:batch]) if state is RaceState.RACING else (),
        recipes=names,
        **found.standing.named(names),
        failed=tuple(sorted(failed)),
        is_better_RR=found.is_better_RR,
        looks=found.looks,
        error_spent=race.error_rate * len(found.looks) / len(race.looks),
    )


@dataclass(frozen=True, kw_only=True)
class _Found:
    """After these looks. `is_mute`: different seeds gave identical scores, so the next look cannot be taken."""

    standing: Standing
    is_better_RR: BoolArray
    looks: tuple[Look, ...]
    is_mute: bool


def _look_on(
    names: tuple[str, ...],
    scores_RT: Float64Array,
    anchors: AnchorNoise | None,
    race: Race,
    began_with: int,
    looks: Sequence[Look],
) -> _Found:
    """From what the looks so far have found, every further one that all who were open at that time have reached."""
    level = 1 - race.error_rate / len(race.looks)
    count_R = (~np.isnan(scores_RT)).sum(axis=1)
    is_better_RR, taken, is_mute = remember(looks, names), tuple(looks), False
    standing = place(is_better_RR, race.goal)
    for look in race.looks[len(taken) :] if is_contest(len(names), race.goal) else ():
        if not standing.is_open_R.any() or count_R[standing.is_open_R].min() < look:
            break
        first_RT = first_seeds(scores_RT, look)
        noise = estimate_seed_noise(first_RT, fit_seeds(first_RT), anchors, most_prior=MOST_PRIOR)
        if noise is None:
            is_mute = True
            break
        seen_RR = resolve_at_look(first_RT, noise, look=look, level=level, recipes=began_with)
        is_better_RR = imply(is_better_RR | seen_RR)
        standing = place(is_better_RR, race.goal)
        better = all_known(taken, names, is_better_RR)
        taken = (*taken, Look(seeds=look, better=better, **standing.named(names)))
    return _Found(standing=standing, is_better_RR=is_better_RR, looks=taken, is_mute=is_mute)


def _check(
    evidence: Evidence | Digest,
    race: Race,
    batch: int,
    runs_left: int,
    failed: Collection[str],
    looks: Sequence[Look],
) -> None:
    if batch < 1:
        raise InvalidInputError.at("/batch", batch, "a batch needs at least one run")
    if runs_left < 0:
        raise InvalidInputError.at("/runs_left", runs_left, "the number of runs left cannot be negative")
    if (taken := tuple(look.seeds for look in looks)) != race.looks[: len(taken)]:
        raise InvalidInputError.at("/looks", list(taken), f"this race's looks are at {race.looks}, one after the other")
    taking_part = [entry.recipe for entry in evidence.recipes if entry.recipe not in set(failed)]
    if not taking_part:
        raise InvalidInputError.at("/recipes", taking_part, "no recipe is left to compare")
    recipes = len({*taking_part, *failed})
    if race.goal.best is not None and race.goal.best >= recipes:
        raise InvalidInputError.at("/resolve", race.goal.best, f"the best of {recipes} recipes must be fewer than all")


def _next_runs(
    names: tuple[str, ...], seeds: tuple[int, ...], scores_RT: Float64Array, found: _Found, race: Race
) -> list[NextRun]:
    """All that bring the open recipes to their next look: fewest seeds first, then nearest to what decides."""
    if len(found.looks) == len(race.looks) or not is_contest(len(names), race.goal):
        return []
    look = race.looks[len(found.looks)]
    trained_RT = ~np.isnan(scores_RT)
    count_R = trained_RT.sum(axis=1)
    distance_R = _distance(scores_RT, found, race.goal)
    order = _seeds_in_order(seeds, trained_RT, race.most_seeds)
    asked = []
    for recipe in np.flatnonzero(found.standing.is_open_R):
        held = {seed for seed, is_trained in zip(seeds, trained_RT[recipe], strict=True) if is_trained}
        lacking = [seed for seed in order if seed not in held][: max(look - int(count_R[recipe]), 0)]
        distance = float(distance_R[recipe])
        asked += [(int(count_R[recipe]) + more, distance, recipe, seed) for more, seed in enumerate(lacking)]
    return [NextRun(recipe=names[recipe], seed=seed) for _, _, recipe, seed in sorted(asked)]


def _distance(scores_RT: Float64Array, found: _Found, goal: Goal) -> Float64Array:
    """Small for those who decide most: the nearest to the middle between the last open recipe that would be among the
    best and the first that would not; those in most unresolved pairs."""
    is_better_RR, is_open_R = found.is_better_RR, found.standing.is_open_R
    if goal.best is None or not is_open_R.any():
        known_R: Float64Array = (is_better_RR | is_better_RR.T).sum(axis=1).astype(np.float64)
        return known_R
    fewest = int((~np.isnan(scores_RT[is_open_R])).sum(axis=1).min())
    score_R = np.nanmean(first_seeds(scores_RT, fewest), axis=1)
    places = goal.best - int(found.standing.is_best_R.sum())
    edge = np.sort(score_R[is_open_R])[max(places - 1, 0) : places + 1].mean()
    distance_R: Float64Array = np.abs(score_R - edge)
    return distance_R


def _seeds_in_order(seeds: tuple[int, ...], trained_RT: BoolArray, most: int) -> list[int]:
    """Those that most recipes have come first, as only shared seeds compare recipes; then new ones."""
    holders_T = trained_RT.sum(axis=0)
    held = sorted(seeds, key=lambda seed: (-int(holders_T[seeds.index(seed)]), seed))
    return held + [seed for seed in range(2 * most + len(seeds)) if seed not in seeds][:most]


def _state(found: _Found, goal: Goal, runs: list[NextRun], runs_left: int) -> RaceState:
    if not is_contest(len(found.is_better_RR), goal):
        return RaceState.FAILURES
    if not found.standing.is_open_R.any():
        return RaceState.RESOLVED
    if found.is_mute:
        return RaceState.NO_NOISE
    if not runs:
        return RaceState.SEEDS_SPENT
    return RaceState.RACING if len(runs) <= runs_left else RaceState.BUDGET_SPENT
