"""Random sets of recipes of four kinds, and the validation distribution that they are judged on.

Base functions have power-law variances, and the validation target weighs them by a power law too. A recipe differs
from validation in

- *target*: a share w of it follows an unrelated target, so that training converges to (1 − w) of the right one plus w
  of a wrong one. This is what its best reachable loss comes from, in every kind.
- *noise* of its labels. It costs nothing in the limit; it lowers the rate that is best.
- *coverage*: how often it shows each octave of the base functions. It decides what a narrow model gives up.
- *scale* of its examples: how fast anything is learned at one rate.

A recipe is one Gaussian: a mixture of sources is represented by its moments.
"""

from dataclasses import dataclass

import numpy as np

from tests.benchmarks.theory.model import Array, Recipe

FUNCTIONS = 512
VARIANCE_EXPONENT = 1.25
TARGET_EXPONENT = 1.2  # of the variance of the labels along each base function
MOST_FOREIGN = 0.5  # w is uniform up to here
TYPICAL_NOISE = 0.3  # as a share of the validation target's variance


@dataclass(frozen=True, kw_only=True)
class Kind:
    """How far recipes of a set differ besides their targets: standard deviations of logarithms."""

    noise: float = 0.0
    coverage: float = 0.0
    scale: float = 0.0


KINDS = {
    "targets only": Kind(),
    "targets, noise": Kind(noise=1.5),
    "targets, noise, coverage": Kind(noise=1.5, coverage=0.7),
    "targets, scale": Kind(scale=0.7),
}


def draw_recipes(kind: Kind, count: int, rng: np.random.Generator) -> tuple[Recipe, list[Recipe]]:
    """The validation distribution and `count` recipes."""
    variance_D = np.arange(1, FUNCTIONS + 1.0) ** -VARIANCE_EXPONENT
    variance_D /= variance_D.sum()
    validation = Recipe(variance_D=variance_D, target_D=_draw_target(variance_D, rng), noise=0.0)
    return validation, [_draw_recipe(kind, validation, rng) for _ in range(count)]


def _draw_recipe(kind: Kind, validation: Recipe, rng: np.random.Generator) -> Recipe:
    foreign = MOST_FOREIGN * rng.random()
    wrong_D = _draw_target(validation.variance_D, rng)
    octave_D = np.log2(np.arange(1, FUNCTIONS + 1)).astype(int)
    covered_D = validation.variance_D * np.exp(kind.coverage * rng.standard_normal(octave_D[-1] + 1))[octave_D]
    scale = np.exp(kind.scale * rng.standard_normal())
    return Recipe(
        variance_D=covered_D * (scale / covered_D.sum()),
        target_D=(1 - foreign) * validation.target_D + foreign * wrong_D,
        noise=float(TYPICAL_NOISE * np.exp(kind.noise * rng.standard_normal())),
    )


def _draw_target(variance_D: Array, rng: np.random.Generator) -> Array:
    """Labels of variance 1."""
    power_D = np.arange(1, FUNCTIONS + 1.0) ** -TARGET_EXPONENT
    target_D: Array = rng.standard_normal(FUNCTIONS) * np.sqrt(power_D / variance_D)
    return target_D / np.sqrt(variance_D @ target_D**2)
