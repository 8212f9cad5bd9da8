"""Least squares of the loss law by variable projection: at fixed exponents the rest is linear and solved exactly.

Model of one recipe's points, in centred units: loss = E + a (N/N₀)^−α + b (D/D₀)^−β with E, a, b ≥ 0. Given (α, β) the
best (E, a, b) is a non-negative least squares problem of three columns, solved by trying its seven faces; what remains
is a search over two exponents, Levenberg–Marquardt within bounds (G. H. Golub and V. Pereyra, SIAM J. Numer. Anal.
10(2), 1973). Many starts, or many bootstrap samples, are searched at once.

Axes: B batch, P points of one recipe, M points of all recipes that share the exponents, K columns kept. The 2 of an
array are (size, budget), the 3 are (E, a, b). Exponents are searched on a log scale.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from proxy.ranking.evidence import Float64Array

STEPS = 80
NUDGE = 1e-6
CONVERGED = 1e-10  # of a step, or relative of the sum of squares
HOPELESS = 1e9  # of the damping: no step, however short, goes down any more
COLLINEAR = 1e-13  # of a squared sine: below it two columns are one

# Faces of E, a, b ≥ 0 that can hold the minimum of positive losses, for which all three zero is never the best.
INNER = (True, (0, 1))
FACES = ((True, (0,)), (True, (1,)), (True, ()), (False, (0, 1)), (False, (0,)), (False, (1,)))

Residuals = Callable[[Float64Array], Float64Array]


@dataclass(frozen=True, kw_only=True)
class RecipePoints:
    """Where one recipe was measured: log N/N₀ and log D/D₀ of each point, and its weight (1 / standard error)."""

    log_scale_2P: Float64Array
    weight_P: Float64Array


def project(points: RecipePoints, loss_BP: Float64Array, exponents_B2: Float64Array) -> Float64Array:
    """The best non-negative (E, a, b) for each row's losses and exponents: float64[B, 3]."""
    columns_B2P = np.exp(-exponents_B2[:, :, None] * points.log_scale_2P)
    best_B3 = _fit_face(columns_B2P, loss_BP, points.weight_P, *INNER)
    beyond_B = ~(best_B3 >= 0).all(axis=1)
    if beyond_B.any():
        best_B3[beyond_B] = _best_face(columns_B2P[beyond_B], loss_BP[beyond_B], points.weight_P)
    return best_B3


def residuals_of(points: RecipePoints, loss_BP: Float64Array, exponents_B2: Float64Array) -> Float64Array:
    """Weighted residuals of the projected law: float64[B, P]."""
    columns_B2P = np.exp(-exponents_B2[:, :, None] * points.log_scale_2P)
    return _residuals(columns_B2P, loss_BP, points.weight_P, project(points, loss_BP, exponents_B2))


def search(residuals: Residuals, start_B2: Float64Array, low_B2: Float64Array, high_B2: Float64Array) -> Float64Array:
    """Log exponents of a local minimum of each row's sum of squares. An exponent whose limits are equal stays there."""
    point_B2 = np.clip(start_B2, low_B2, high_B2)
    residual_BM = residuals(point_B2)
    squares_B = (residual_BM**2).sum(axis=1)
    damping_B = np.full(len(point_B2), 1e-3)
    is_done_B = np.zeros(len(point_B2), dtype=np.bool_)
    for _ in range(STEPS):
        step_B2 = _step(residuals, point_B2, residual_BM, damping_B, (low_B2, high_B2))
        trial_B2 = np.clip(point_B2 + step_B2, low_B2, high_B2)
        trial_BM = residuals(trial_B2)
        found_B = (trial_BM**2).sum(axis=1)
        is_lower_B = found_B < squares_B
        is_done_B |= (np.abs(trial_B2 - point_B2).max(axis=1) < CONVERGED) | (damping_B > HOPELESS)
        is_done_B |= is_lower_B & (squares_B - found_B < CONVERGED * squares_B)
        point_B2[is_lower_B], residual_BM[is_lower_B] = trial_B2[is_lower_B], trial_BM[is_lower_B]
        squares_B = np.minimum(squares_B, found_B)
        damping_B = np.where(is_lower_B, damping_B / 9, damping_B * 6)
        if is_done_B.all():
            break
    return point_B2


def _step(
    residuals: Residuals,
    point_B2: Float64Array,
    residual_BM: Float64Array,
    damping_B: Float64Array,
    limits: tuple[Float64Array, Float64Array],
) -> Float64Array:
    """Damped Gauss–Newton; an exponent at a limit that pulls outwards is held. Slopes by forward differences."""
    slopes = [(residuals(point_B2 + NUDGE * np.eye(2)[axis]) - residual_BM) / NUDGE for axis in range(2)]
    slope_B2M = np.stack(slopes, axis=1)
    pull_B2 = -(slope_B2M * residual_BM[:, None, :]).sum(axis=2)
    low_B2, high_B2 = limits
    held_B2 = ((point_B2 <= low_B2) & (pull_B2 <= 0)) | ((point_B2 >= high_B2) & (pull_B2 >= 0))
    pull_B2[held_B2] = 0.0
    slope_B2M[held_B2] = 0.0
    size_B2 = (slope_B2M**2).sum(axis=2)
    cross_B = (slope_B2M[:, 0] * slope_B2M[:, 1]).sum(axis=1)
    size_B2 = np.where(size_B2 > 0, size_B2 * (1 + damping_B[:, None]), 1.0)
    determinant_B1 = (size_B2.prod(axis=1) - cross_B**2)[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        step_B2 = (pull_B2 * size_B2[:, ::-1] - pull_B2[:, ::-1] * cross_B[:, None]) / determinant_B1
    return np.where(np.isfinite(step_B2), np.clip(step_B2, -1.0, 1.0), 0.0)


def _best_face(columns_B2P: Float64Array, loss_BP: Float64Array, weight_P: Float64Array) -> Float64Array:
    """Of the faces where something is zero, the feasible one with the least squares; all zero for negative losses."""
    best_B3 = np.zeros((len(loss_BP), 3))
    least_B = np.full(len(loss_BP), np.inf)
    for face in FACES:
        found_B3 = _fit_face(columns_B2P, loss_BP, weight_P, *face)
        squares_B = (_residuals(columns_B2P, loss_BP, weight_P, found_B3) ** 2).sum(axis=1)
        is_better_B = (found_B3 >= 0).all(axis=1) & (squares_B < least_B)
        best_B3[is_better_B], least_B[is_better_B] = found_B3[is_better_B], squares_B[is_better_B]
    return best_B3


def _fit_face(
    columns_B2P: Float64Array,
    loss_BP: Float64Array,
    weight_P: Float64Array,
    has_floor: bool,
    kept: tuple[int, ...],
) -> Float64Array:
    """Weighted least squares of the kept columns, with E or through zero; NaN where they are not independent.

    Columns are centred first, so that small exponents, whose columns hardly differ from a constant, do no harm.
    """
    share_P = weight_P**2 / (weight_P**2).sum()
    centre_B2, mean_B = columns_B2P @ share_P, loss_BP @ share_P
    column_BKP, target_BP = columns_B2P[:, kept], loss_BP
    if has_floor:
        column_BKP, target_BP = column_BKP - centre_B2[:, kept, None], loss_BP - mean_B[:, None]
    coefficient_B3 = np.zeros((len(loss_BP), 3))
    coefficient_B3[:, [1 + index for index in kept]] = _solve(column_BKP, target_BP, share_P)
    if has_floor:
        coefficient_B3[:, 0] = mean_B - (coefficient_B3[:, 1:] * centre_B2).sum(axis=1)
    return coefficient_B3


def _solve(column_BKP: Float64Array, target_BP: Float64Array, share_P: Float64Array) -> Float64Array:
    """Normal equations of up to two columns, in closed form."""
    size_BK = (column_BKP**2) @ share_P
    right_BK = (column_BKP * target_BP[:, None, :]) @ share_P
    with np.errstate(divide="ignore", invalid="ignore"):
        if column_BKP.shape[1] < 2:
            return np.where(size_BK > 0, right_BK / size_BK, np.nan)
        cross_B1 = (column_BKP[:, :1] * column_BKP[:, 1:]) @ share_P
        determinant_B1 = size_BK.prod(axis=1, keepdims=True) - cross_B1**2
        is_apart_B1 = determinant_B1 > COLLINEAR * size_BK.prod(axis=1, keepdims=True)
        solved_BK = (right_BK * size_BK[:, ::-1] - right_BK[:, ::-1] * cross_B1) / determinant_B1
        return np.where(is_apart_B1, solved_BK, np.nan)


def _residuals(
    columns_B2P: Float64Array, loss_BP: Float64Array, weight_P: Float64Array, coefficient_B3: Float64Array
) -> Float64Array:
    predicted_BP = coefficient_B3[:, :1] + (coefficient_B3[:, 1:, None] * columns_B2P).sum(axis=1)
    residual_BP: Float64Array = (loss_BP - predicted_BP) * weight_P
    return residual_BP
