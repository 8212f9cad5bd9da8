"""A random-feature model trained by one-pass SGD, with its expected loss in closed form.

A recipe is a distribution of base functions z of the input, Gaussian with variances s_D, of labels β·z + noise. The
model sees x = W z through a random W of width M, with entries N(0, 1/M) that never train, so that W'W is about the
identity at any width and one rate means one speed. It trains θ from zero on squared error / 2, with B fresh examples
a step, at a constant rate. Because everything is Gaussian, what x does not explain of y is independent of x, and the
fourth moment is known, so the second moments of the error of θ follow a linear recursion without approximation:

    C ← (1 − ηH) C (1 − ηH) + η²/B · (H C H + tr(H C) H + v H),   H = E x x',  v = variance of y given x.

In the eigenbasis of H the diagonal of C is a vector that is multiplied by diagonal + rank one a step, and every other
entry decays on its own. Loss is the squared error on the validation distribution without its noise, as a share of the
loss of the untrained model: 1 is untrained, 0 perfect.

Linear random features of a Gaussian with power-law variances: Maloney, Roberts & Sully, arXiv 2210.16859. The
recursion for Gaussian inputs is old (Feuer & Weinstein 1985, on the LMS filter).

Axes: D base functions, M features, E rates, T budgets (steps).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

DIVERGED = 1e6  # losses from here on are one tie: the run is broken


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What a recipe's examples are drawn from."""

    variance_D: Array
    target_D: Array  # β, the labels' dependence on z
    noise: float  # variance of the labels that nothing explains


@dataclass(frozen=True, kw_only=True)
class Training:
    """One recipe seen through one W, in the eigenbasis of its feature covariance."""

    curvature_M: Array  # eigenvalues of H
    optimum_M: Array  # θ that training converges to as the rate goes to zero
    noise: float  # v: of the labels, and what the width cannot express
    gap_M: Array  # half the gradient of the validation loss at the optimum
    validation_MM: Array  # covariance of the features in validation
    floor: float  # validation loss at the optimum


def draw_features(width: int, functions: int, rng: np.random.Generator) -> Array:
    """W[M, D]."""
    features_MD: Array = rng.standard_normal((width, functions)) / np.sqrt(width)
    return features_MD


def see_through(features_MD: Array, recipe: Recipe, validation: Recipe) -> Training:
    """The quadratic problem that SGD solves. Needs M <= D."""
    seen_MD = features_MD * recipe.variance_D
    curvature_M, basis_MM = np.linalg.eigh(seen_MD @ features_MD.T)
    optimum_M = basis_MM.T @ (seen_MD @ recipe.target_D) / curvature_M
    explained = float(curvature_M @ optimum_M**2)
    rotated_MD = basis_MM.T @ features_MD
    whole = float(validation.variance_D @ validation.target_D**2)
    validation_MM = (rotated_MD * validation.variance_D) @ rotated_MD.T / whole
    pull_M = rotated_MD @ (validation.variance_D * validation.target_D) / whole
    slope_M = validation_MM @ optimum_M
    return Training(
        curvature_M=curvature_M,
        optimum_M=optimum_M,
        noise=recipe.noise + float(recipe.variance_D @ recipe.target_D**2) - explained,
        gap_M=slope_M - pull_M,
        validation_MM=validation_MM,
        floor=float(1 - 2 * optimum_M @ pull_M + optimum_M @ slope_M),
    )


def expected_losses(training: Training, rates_E: Array, steps_T: Array, batch: int) -> Array:
    """Of the last step, over all draws of the examples: [E, T]; DIVERGED at most."""
    with np.errstate(over="ignore", invalid="ignore"):
        losses_ET = np.stack([_losses_at(training, float(rate), steps_T, batch) for rate in rates_E])
    return np.where(losses_ET < DIVERGED, losses_ET, DIVERGED)


def _losses_at(training: Training, rate: float, steps_T: Array, batch: int) -> Array:
    moved_M = rate * training.curvature_M
    mean_TM = -training.optimum_M * np.power(1 - moved_M, steps_T[:, None])
    second_TM = _squared_errors(training, rate, steps_T, batch)
    decay_MM = np.multiply.outer(1 - moved_M, 1 - moved_M) + np.multiply.outer(moved_M, moved_M) / batch
    started_MM = training.validation_MM * np.multiply.outer(training.optimum_M, training.optimum_M)
    np.fill_diagonal(started_MM, 0)
    crossed_T = np.array([np.vdot(started_MM, np.power(decay_MM, steps)) for steps in steps_T])
    losses_T: Array = (
        training.floor + 2 * mean_TM @ training.gap_M + second_TM @ np.diag(training.validation_MM) + crossed_T
    )
    return losses_T


def _squared_errors(training: Training, rate: float, steps_T: Array, batch: int) -> Array:
    """The diagonal of C after each budget: [T, M]. One minus the step's matrix is decomposed, as small rates need."""
    moved_M = rate * training.curvature_M
    loss_MM = np.diag(2 * moved_M - moved_M**2 * (1 + 1 / batch)) - np.multiply.outer(moved_M, moved_M) / batch
    shrinkage_M, modes_MM = np.linalg.eigh(loss_MM)
    kept_TM = np.exp(steps_T[:, None] * np.log1p(-shrinkage_M))
    is_flat_M = np.abs(shrinkage_M) < 1e-13
    summed_TM = np.where(is_flat_M, steps_T[:, None], (1 - kept_TM) / np.where(is_flat_M, 1, shrinkage_M))
    start_M = modes_MM.T @ training.optimum_M**2
    fed_M = modes_MM.T @ (rate**2 / batch * training.noise * training.curvature_M)
    squared_TM: Array = (kept_TM * start_M + summed_TM * fed_M) @ modes_MM.T
    return squared_TM
