"""Simulated recipes of known order, raced by what is given out adaptively and by an even spread.

Unit of everything: the standard deviation of one run of a recipe under new seeds, beside what a seed does to all.
Axes: R recipes, T seeds.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from proxy.ranking.evidence import AnchorNoise, BoolArray, Digest, Float64Array, RecipeDigest, SetDigest
from proxy.ranking.looks import Look, imply
from proxy.ranking.ranks import resolve_pairs
from proxy.ranking.replication import NextRun, Race, RaceState, continue_race
from proxy.ranking.uncertainty import noise_of_digest

RECIPES, BEST = 23, 3
COMMON_SD = 2.0  # what a seed does to all recipes alike
LEVEL = 100.0  # of the scores, far from zero
NO_LIMIT = 10**6


@dataclass(frozen=True, kw_only=True)
class Field:
    """`effect_R`: true scores, best first. `score_RT`: every score that could be trained."""

    effect_R: Float64Array
    score_RT: Float64Array
    anchors: AnchorNoise | None = None

    def digest(self, held: Mapping[int, list[int]]) -> Digest:
        """The evidence when each recipe has these seeds."""
        entries = (
            RecipeDigest(
                recipe=str(recipe),
                seeds=tuple(seeds),
                scores={"a": self.score_RT[recipe, seeds]},
                document_variances={"a": 0.0},
                seed_by_document={"a": 0.0},
            )
            for recipe, seeds in held.items()
        )
        share = SetDigest(name="a", share=1.0, clusters=1)
        return Digest(sets=(share,), recipes=tuple(entries), anchors=self.anchors)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """`runs` trained in all, the first seeds included. `known_RR` at the end; `claimed_RR` at any time before."""

    runs: int
    known_RR: BoolArray
    claimed_RR: BoolArray
    state: RaceState


def draw_field(
    effect_R: Float64Array,
    seeds: int,
    rng: np.random.Generator,
    *,
    log_sd: float = 0.0,
    anchors: AnchorNoise | None = None,
) -> Field:
    """Normal noise, of unequal size where `log_sd` is not zero."""
    sd_R1 = np.exp(log_sd * rng.standard_normal((len(effect_R), 1)))
    noise_RT = sd_R1 * rng.standard_normal((len(effect_R), seeds)) + COMMON_SD * rng.standard_normal(seeds)
    return Field(effect_R=effect_R, score_RT=LEVEL + effect_R[:, None] + noise_RT, anchors=anchors)


def run_race(field: Field, race: Race, batch: int) -> Outcome:
    """One seed each, then batch after batch until the race ends."""
    recipes = len(field.effect_R)
    held = {recipe: [0] for recipe in range(recipes)}
    claimed_RR = np.zeros((recipes, recipes), dtype=np.bool_)
    looks: tuple[Look, ...] = ()
    while True:
        status = continue_race(field.digest(held), race, batch=batch, runs_left=NO_LIMIT, looks=looks)
        looks = status.looks
        claimed_RR |= status.is_better_RR
        if status.state is not RaceState.RACING:
            runs = sum(len(seeds) for seeds in held.values())
            return Outcome(runs=runs, known_RR=status.is_better_RR, claimed_RR=claimed_RR, state=status.state)
        _train(status.next_runs, held)


def _train(runs: tuple[NextRun, ...], held: dict[int, list[int]]) -> None:
    for run in runs:
        held[int(run.recipe)].append(run.seed)


def even_runs(field: Field, race: Race, pairs: int) -> int:
    """Runs until an even spread knows as many pairs by the very same rule; all that the race allows, if never."""
    recipes = len(field.effect_R)
    for seeds in race.looks:
        digest = field.digest({recipe: list(range(seeds)) for recipe in range(recipes)})
        status = continue_race(digest, race, batch=1, runs_left=NO_LIMIT)
        if pairs_of_goal(status.is_better_RR) >= pairs:
            return recipes * seeds
    return recipes * race.most_seeds


def even_runs_unpaid(field: Field, race: Race, pairs: int) -> int:
    """The same, looking after every seed without paying for it: no valid procedure, but the least that one needs."""
    recipes = len(field.effect_R)
    for seeds in range(2, race.most_seeds):
        noise = noise_of_digest(field.digest({recipe: list(range(seeds)) for recipe in range(recipes)}))
        difference_RR = noise.mean_R[:, None] - noise.mean_R[None, :]
        resolved = resolve_pairs(difference_RR, noise, "fixed", 1 - race.error_rate)
        if resolved is not None and pairs_of_goal(imply(resolved)) >= pairs:
            return recipes * seeds
    return recipes * race.most_seeds


def pairs_of_goal(known_RR: BoolArray) -> int:
    """Known pairs of one of the best and one of the rest."""
    return int(known_RR[:BEST, BEST:].sum())


def makes_false_claim(field: Field, known_RR: BoolArray) -> bool:
    """Whether a recipe is said to be better than one that is as good or better."""
    is_better_RR = field.effect_R[:, None] < field.effect_R[None, :]
    return bool((known_RR & ~is_better_RR).any())
