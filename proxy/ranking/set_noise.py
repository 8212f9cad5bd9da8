"""Seed noise of each validation set and how it moves together between sets: what a reweighted suite's noise needs.

Model of seeds.py, for all sets at once: Y_rtk = μ_k + α_rk + β_tk + ε_rt, ε_rt a vector over the sets with one
covariance for all recipes. Sets share their seeds, so their noise is not independent: the variance of a weighted score
is w' Σ w, not Σ w² σ². Where recipes have different seeds, β stays in: valid and wider. Broken by recipes of very
different noise.

Axes: R recipes, T seeds, K sets, N trained cells. Unit: bits per byte squared.
"""

from dataclasses import dataclass

import numpy as np

from proxy.ranking.evidence import Digest, Evidence, Float64Array, bits_per_byte
from proxy.ranking.seeds import NO_NOISE


@dataclass(frozen=True, kw_only=True)
class SetNoise:
    """Covariance over the sets of one run of any recipe, known by `degrees`, and how many seeds each recipe has."""

    covariance_KK: Float64Array
    degrees: float
    count_R: Float64Array

    def standard_errors(self, weights_K: Float64Array) -> Float64Array:
        """Of each pair's difference of mean scores under these weights: float64[R, R]."""
        variance = max(float(weights_K @ self.covariance_KK @ weights_K), 0.0)
        errors_RR: Float64Array = np.sqrt(variance * (1 / self.count_R[:, None] + 1 / self.count_R[None, :]))
        return errors_RR


def mean_set_scores(evidence: Evidence | Digest) -> Float64Array:
    """Each recipe's mean over its own seeds, sets in the suite's order: float64[R, K]."""
    by_set = bits_per_byte(evidence)
    return np.column_stack([np.nanmean(by_set[part.name], axis=1) for part in evidence.sets])


def estimate_set_noise(evidence: Evidence | Digest) -> SetNoise | None:
    """None where nothing shows the noise: no second seed, one recipe, or seeds without any effect."""
    by_set = bits_per_byte(evidence)
    scores_RTK = np.stack([by_set[part.name] for part in evidence.sets], axis=-1)
    trained_RT = ~np.isnan(scores_RTK[:, :, 0])
    count_R = trained_RT.sum(axis=1, dtype=np.float64)
    residual_RTK = scores_RTK - np.nanmean(scores_RTK, axis=1, keepdims=True)
    degrees = float(count_R.sum() - len(count_R))
    if trained_RT.all():
        residual_RTK -= residual_RTK.mean(axis=0)
        degrees = (trained_RT.shape[0] - 1.0) * (trained_RT.shape[1] - 1.0)
    residual_NK = residual_RTK[trained_RT]
    if degrees <= 0 or np.abs(residual_NK).max() <= NO_NOISE * np.abs(scores_RTK[trained_RT]).max():
        return None
    return SetNoise(covariance_KK=residual_NK.T @ residual_NK / degrees, degrees=degrees, count_R=count_R)
