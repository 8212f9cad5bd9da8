"""Proxies that follow the loss law published by J. Hoffmann et al. (arXiv 2203.15556, approach 3), with or without
noise.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from proxy.ranking.evidence import Float64Array
from proxy.ranking.law_points import LawPoint, Scale
from proxy.ranking.laws import LossLaw

CHINCHILLA = LossLaw(E=1.69, A=406.4, B=410.7, alpha=0.34, beta=0.28)
SIZES = (1e7, 3e7, 1e8)
BUDGETS = (2e8, 1e9, 4e9)
TARGET = Scale(parameters=1e9, tokens=2e10)


def grid(
    law: LossLaw = CHINCHILLA,
    sizes: Sequence[float] = SIZES,
    budgets: Sequence[float] = BUDGETS,
    *,
    noise: float = 0.0,
    rng: np.random.Generator | None = None,
    has_errors: bool = False,
) -> list[LawPoint]:
    """A point for every size and budget; `noise` is the standard deviation of its loss."""
    points = []
    for size in sizes:
        for budget in budgets:
            loss = law.loss_at(Scale(parameters=size, tokens=budget))
            if rng is not None:
                loss += noise * rng.standard_normal()
            error = noise if has_errors else None
            points.append(LawPoint(parameters=size, tokens=budget, loss=loss, standard_error=error))
    return points


def recipe_laws(count: int, rng: np.random.Generator, spread: float = 0.1) -> list[LossLaw]:
    """Laws that share the exponents and differ in E, A and B."""
    shift_R3: Float64Array = spread * rng.standard_normal((count, 3))
    return [
        replace(CHINCHILLA, E=1.69 + floor, A=406.4 * np.exp(of_size), B=410.7 * np.exp(of_budget))
        for floor, of_size, of_budget in shift_R3.tolist()
    ]


def least_squares_by_brute_force(points: Sequence[LawPoint], starts: int, rng: np.random.Generator) -> float:
    """The lowest sum of squares that SciPy finds in all five parameters at once, from many random starts."""
    from scipy.optimize import least_squares

    size_P = np.array([point.parameters for point in points]) / SIZES[1]
    budget_P = np.array([point.tokens for point in points]) / BUDGETS[1]
    loss_P = np.array([point.loss for point in points])

    def residuals(parameters_5: Float64Array) -> Float64Array:
        floor, of_size, of_budget, alpha, beta = parameters_5
        fitted: Float64Array = floor + of_size * size_P**-alpha + of_budget * budget_P**-beta - loss_P
        return fitted

    lowest, highest = np.array([0.0, 0.0, 0.0, 0.02, 0.02]), np.array([10.0, 20.0, 20.0, 2.0, 2.0])
    found = [
        2 * least_squares(residuals, start_5, bounds=(lowest, highest), xtol=1e-12, ftol=1e-12, gtol=1e-12).cost
        for start_5 in rng.uniform(lowest, np.array([4.0, 2.0, 2.0, 1.0, 1.0]), (starts, 5))
    ]
    return float(min(found))
