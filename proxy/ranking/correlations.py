"""Rank correlations and decision accuracy of two score lists, for many bootstrap resamples at once.

Everything is a quadratic form in how often each recipe was drawn: with W[b, i] copies of recipe i in resample b and
signs s_ij = sign(x_i − x_j), the centred average rank of i is ½ Σ_j w_j s_ij, and concordant minus discordant pairs
are ½ Σ_ij w_i w_j sx_ij sy_ij. Pairs of two copies of one recipe have sign zero and so are dropped, which plain
resampling of rows gets wrong (a copy pair would be a tie in both). With all weights 1 these are the usual figures.

Axes: B resamples, N recipes. Higher is better in both lists.
"""

from dataclasses import dataclass

import numpy as np

from proxy.ranking.evidence import Float64Array

MOST_SIGNS = 4_000_000  # held at once


@dataclass(frozen=True, kw_only=True)
class Correlations:
    """Of each resample (B); NaN where one side is constant, or where no two different recipes were drawn."""

    spearman: Float64Array
    kendall: Float64Array
    pearson: Float64Array
    decision_accuracy: Float64Array


def correlate(x_N: Float64Array, y_N: Float64Array, weights_BN: Float64Array) -> Correlations:
    """Spearman's ρ, Kendall's τ-b, Pearson's r and pairwise decision accuracy (a tie matches only a tie)."""
    x_sign_NN, y_sign_NN = _signs(x_N), _signs(y_N)
    x_untied_B = _pairs(weights_BN, np.abs(x_sign_NN))
    y_untied_B = _pairs(weights_BN, np.abs(y_sign_NN))
    is_defined_B = (x_untied_B > 0) & (y_untied_B > 0)
    agreeing_B = _pairs(weights_BN, x_sign_NN * y_sign_NN)
    matching_B = _pairs(weights_BN, (x_sign_NN == y_sign_NN) & ~np.eye(len(x_N), dtype=np.bool_))
    different_B = weights_BN.sum(axis=1) ** 2 - (weights_BN**2).sum(axis=1)
    x_rank_BN, y_rank_BN = weights_BN @ x_sign_NN.T, weights_BN @ y_sign_NN.T
    return Correlations(
        spearman=_pearson(x_rank_BN, y_rank_BN, weights_BN, is_defined_B),
        kendall=_ratio(agreeing_B, np.sqrt(x_untied_B * y_untied_B)),
        pearson=_pearson(_centre(x_N, weights_BN), _centre(y_N, weights_BN), weights_BN, is_defined_B),
        decision_accuracy=_ratio(matching_B, different_B),
    )


def spearman_of_rows(x_BN: Float64Array, y_BN: Float64Array) -> Float64Array:
    """Spearman's ρ of each row with the same row of the other list, ties at their average rank; NaN where one side is
    constant."""
    ranks = [_centred_ranks(values_BN) for values_BN in (x_BN, y_BN)]
    once_BN = np.ones_like(x_BN)
    is_defined_B = (np.ptp(x_BN, axis=1) > 0) & (np.ptp(y_BN, axis=1) > 0)
    return _pearson(ranks[0], ranks[1], once_BN, is_defined_B)


def _centred_ranks(values_BN: Float64Array) -> Float64Array:
    """Twice the centred average ranks of each row, as whole numbers; a part of the rows at a time."""
    rows = max(1, MOST_SIGNS // values_BN.shape[1] ** 2)
    ranks_BN = np.empty_like(values_BN)
    for start in range(0, len(values_BN), rows):
        part_BN = values_BN[start : start + rows]
        ranks_BN[start : start + rows] = np.sign(part_BN[:, :, None] - part_BN[:, None, :]).sum(axis=2)
    return ranks_BN


def draw_resamples(count: int, resamples: int, rng: np.random.Generator) -> Float64Array:
    """How often each of `count` recipes is drawn in each resample: float64[B, N]."""
    drawn_BN = rng.integers(count, size=(resamples, count))
    flat = (drawn_BN + count * np.arange(resamples)[:, None]).ravel()
    return np.bincount(flat, minlength=resamples * count).reshape(resamples, count).astype(np.float64)


def _signs(values_N: Float64Array) -> Float64Array:
    signs: Float64Array = np.sign(values_N[:, None] - values_N[None, :])
    return signs


def _pairs(weights_BN: Float64Array, matrix_NN: np.typing.NDArray[np.generic]) -> Float64Array:
    """Σ_ij w_i w_j m_ij of each resample."""
    sums: Float64Array = ((weights_BN @ matrix_NN.astype(np.float64)) * weights_BN).sum(axis=1)
    return sums


def _centre(values_N: Float64Array, weights_BN: Float64Array) -> Float64Array:
    """Scaled to a spread of 1, so that squares of very small or large values stay in range."""
    scaled_N = (values_N - values_N.min()) / (np.ptp(values_N) or 1.0)
    mean_B = weights_BN @ scaled_N / weights_BN.sum(axis=1)
    centred_BN: Float64Array = scaled_N - mean_B[:, None]
    return centred_BN


def _pearson(
    x_BN: Float64Array,
    y_BN: Float64Array,
    weights_BN: Float64Array,
    is_defined_B: np.typing.NDArray[np.bool_],
) -> Float64Array:
    """Of centred values."""
    product_B = (weights_BN * x_BN * y_BN).sum(axis=1)
    # One root: of equal sums it is exact, so that a perfect order of ranks is exactly 1.
    size_B = np.sqrt((weights_BN * x_BN**2).sum(axis=1) * (weights_BN * y_BN**2).sum(axis=1))
    return np.clip(_ratio(product_B, np.where(is_defined_B, size_B, 0.0)), -1.0, 1.0)


def _ratio(numerator: Float64Array, denominator: Float64Array) -> Float64Array:
    result = np.full_like(numerator, np.nan)
    return np.divide(numerator, denominator, out=result, where=denominator > 0)
