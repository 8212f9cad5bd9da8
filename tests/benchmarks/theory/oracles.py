"""The same training without the closed form: the recursion stepped on whole matrices, and SGD on drawn examples."""

import numpy as np

from tests.benchmarks.theory.model import Array, Recipe


def stepped_loss(features_MD: Array, recipe: Recipe, validation: Recipe, rate: float, steps: int, batch: int) -> float:
    """Expected loss after `steps`, from the first and second moments of the error of θ in the original basis."""
    seen_MD = features_MD * recipe.variance_D
    covariance_MM = seen_MD @ features_MD.T
    optimum_M = np.linalg.solve(covariance_MM, seen_MD @ recipe.target_D)
    noise = recipe.noise + recipe.variance_D @ recipe.target_D**2 - optimum_M @ covariance_MM @ optimum_M
    mean_M, second_MM = -optimum_M, np.outer(optimum_M, optimum_M)
    step_MM = np.eye(len(optimum_M)) - rate * covariance_MM
    for _ in range(steps):
        mean_M = step_MM @ mean_M
        spread = np.trace(covariance_MM @ second_MM) + noise
        scatter_MM = covariance_MM @ second_MM @ covariance_MM + spread * covariance_MM
        second_MM = step_MM @ second_MM @ step_MM + rate**2 / batch * scatter_MM
    gap_D = features_MD.T @ optimum_M - validation.target_D
    seen_in_validation_MD = features_MD * validation.variance_D
    crossed = 2 * mean_M @ (seen_in_validation_MD @ gap_D)
    spread = np.trace(seen_in_validation_MD @ features_MD.T @ second_MM)
    whole = validation.variance_D @ validation.target_D**2
    return float((validation.variance_D @ gap_D**2 + crossed + spread) / whole)


def trained_losses(
    features_MD: Array,
    recipe: Recipe,
    validation: Recipe,
    rate: float,
    steps: int,
    batch: int,
    runs: int,
    rng: np.random.Generator,
) -> Array:
    """Loss of each of `runs` trainings (N) on examples drawn from the recipe."""
    width, functions = features_MD.shape
    weights_NM = np.zeros((runs, width))
    for _ in range(steps):
        base_NBD = rng.standard_normal((runs, batch, functions)) * np.sqrt(recipe.variance_D)
        label_NB = base_NBD @ recipe.target_D + np.sqrt(recipe.noise) * rng.standard_normal((runs, batch))
        seen_NBM = base_NBD @ features_MD.T
        error_NB = np.einsum("nbm,nm->nb", seen_NBM, weights_NM) - label_NB
        weights_NM -= rate / batch * np.einsum("nb,nbm->nm", error_NB, seen_NBM)
    gap_ND = weights_NM @ features_MD - validation.target_D
    losses_N: Array = gap_ND**2 @ validation.variance_D / (validation.variance_D @ validation.target_D**2)
    return losses_N
