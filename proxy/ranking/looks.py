"""Pairs of recipes compared again and again while seeds are added, at one error rate over all pairs and all looks.

The looks are at 2, 3, 4, 6, 8, 12 … seeds. At a look of m seeds, recipes that share their first m seeds are compared by
their means over these: what a seed does to all recipes alike cancels. All pairs are tested together as on a leaderboard
(Tukey–Kramer), at the error rate divided by the number of looks (a union over the looks), with the seed noise that
shows in the first m seeds. So every look is taken once: a race keeps what each has found and goes on from there,
whatever runs come, and whichever recipes fail, later.

Why this holds however seeds are given out: fill in the scores that were never trained. Then at m seeds every recipe has
a mean over the same m seeds, their range exceeds Tukey's bound with probability α / L, and by the union no pair at any
look does so with probability 1 − α. What was trained, when and why only chooses which of these comparisons are seen.
Exact for equal normal noise of known size. Approximate where that is estimated, from the recipes that got so far;
simulated in tests/benchmarks/study. There is no look at one seed, which shows nothing of a recipe's own noise.
Assumed: ε of seeds.py is independent between recipes (near-copies, whose noise moves together, are resolved too
rarely); whether a run exists does not depend on its own score. Broken by leaving out unlucky seeds, and by recipes of
very unequal noise.

Axes: R recipes, T distinct seeds, ascending. Scores in bits per byte, lower is better. NaN: not trained.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from proxy.ranking.evidence import BoolArray, Float64Array
from proxy.ranking.ranks import critical_ranges
from proxy.ranking.seeds import SeedNoise


@dataclass(frozen=True, kw_only=True)
class Look:
    """One that was taken, and what was known after it of the recipes that took part: their names, and in `better` the
    pairs, the better one first. Pairs of recipes that had failed by then stay in it, should they come back."""

    seeds: int
    better: frozenset[tuple[str, str]]
    best: tuple[str, ...]
    rest: tuple[str, ...]
    undecided: tuple[str, ...]


def remember(looks: Sequence[Look], names: Sequence[str]) -> BoolArray:
    """What the looks so far have found of these recipes: row better than column."""
    place = {name: index for index, name in enumerate(names)}
    better_RR = np.zeros((len(names), len(names)), dtype=np.bool_)
    for one, other in looks[-1].better if looks else ():
        if one in place and other in place:
            better_RR[place[one], place[other]] = True
    return imply(better_RR)


def all_known(looks: Sequence[Look], names: Sequence[str], is_better_RR: BoolArray) -> frozenset[tuple[str, str]]:
    """Pairs of these recipes, and what was known before of others."""
    here = set(names)
    others = (pair for pair in looks[-1].better if not here.issuperset(pair)) if looks else ()
    return frozenset([*others, *((names[one], names[other]) for one, other in np.argwhere(is_better_RR))])


def looks_up_to(most_seeds: int) -> tuple[int, ...]:
    """2, 3, 4, 6, 8, 12, 16 …: each at most half as many again as the one before; `most_seeds` is the last."""
    ladder = {most_seeds}
    for power in range(most_seeds.bit_length()):
        ladder |= {2 * 2**power, 3 * 2**power}
    return tuple(sorted(look for look in ladder if look <= most_seeds))


def first_seeds(scores_RT: Float64Array, seeds: int) -> Float64Array:
    """The scores without any after each recipe's first so many."""
    place_RT = np.cumsum(~np.isnan(scores_RT), axis=1)
    return np.where(place_RT <= seeds, scores_RT, np.nan)


def resolve_at_look(scores_RT: Float64Array, noise: SeedNoise, *, look: int, level: float, recipes: int) -> BoolArray:
    """Pairs whose row recipe is better, of those that share `look` seeds; `scores_RT` has no more of any recipe.

    `recipes` are all that the race began with, those that failed since included.
    """
    trained_RT = (~np.isnan(scores_RT)).astype(np.float64)
    shares_all_RR = trained_RT @ trained_RT.T == look
    mean_R = np.nansum(scores_RT, axis=1) / np.maximum(trained_RT.sum(axis=1), 1)
    bound_RR = _bounds(noise, level, recipes) / math.sqrt(look)
    is_better_RR: BoolArray = shares_all_RR & (mean_R[:, None] - mean_R[None, :] < -bound_RR)
    return is_better_RR


def imply(is_better_RR: BoolArray) -> BoolArray:
    """Adds what follows (a better than b, b better than c); a pair that would be resolved both ways is not resolved."""
    known_RR = is_better_RR
    while True:
        weight_RR = known_RR.astype(np.float32)
        more_RR = known_RR | (weight_RR @ weight_RR > 0)
        if (more_RR == known_RR).all():
            consistent_RR: BoolArray = known_RR & ~known_RR.T
            return consistent_RR
        known_RR = more_RR


def _bounds(noise: SeedNoise, level: float, recipes: int) -> Float64Array:
    """How far the difference under one shared seed must be from zero; of means over m seeds, 1 / √m of it."""
    variance_R = noise.variance_R
    error_R = variance_R / np.sqrt(noise.degrees_R)  # the variances lean on one pool: errors add up
    total_RR = variance_R[:, None] + variance_R[None, :]
    degrees_RR = np.maximum((total_RR / (error_R[:, None] + error_R[None, :])) ** 2, 1.0)
    bound_RR: Float64Array = critical_ranges(level, max(recipes, 2), degrees_RR.round(9)) / math.sqrt(2)
    return bound_RR * np.sqrt(total_RR)
