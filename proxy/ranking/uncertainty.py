"""Intervals of scores and of differences of two recipes (statistics: seeds.py and documents.py).

Two estimands. Documents **fixed**: this suite is the objective, only other seeds are imagined. Documents **random**:
new text of the same kind as well. Var(difference) = v_a/S_a + v_b/S_b + D − C, where C is the seed × document noise
that both v and D count; never below either part. Degrees of freedom by Satterthwaite; the two v come from one pool and
are taken as fully dependent.

Axes: R recipes, T seeds. Scores in bits per byte, lower is better. Simulated coverage of 95 % intervals: pairs
.94–.96. Scores .92–.955, down to .88 with 2 seeds where a seed moves all recipes together by thrice their own noise:
that effect has then one degree of freedom, which Satterthwaite's formula handles worst.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from proxy.ranking.digests import digest_evidence
from proxy.ranking.documents import DocumentNoise, PairNoise, estimate_document_noise, estimate_pair_noise
from proxy.ranking.evidence import Digest, Evidence, Float64Array, suite_scores
from proxy.ranking.seeds import SeedNoise, TwoWayFit, estimate_seed_noise, fit_seeds

Documents = Literal["fixed", "random"]
NO_DEGREES = 1e-300  # keeps 0/0 out where a part is zero


@dataclass(frozen=True, kw_only=True)
class NoiseModel:
    """Everything measured about noise, estimated once for all intervals.

    `mean_R` are the scores, means over each recipe's own seeds; `count_R` how many seeds it has. `seeds` is None where
    nothing shows the seed noise, `documents` and `pairs` where a set has a single cluster, `pairs` also where the
    document noise of differences was not estimated.
    """

    scores_RT: Float64Array
    mean_R: Float64Array
    count_R: Float64Array
    fit: TwoWayFit
    seeds: SeedNoise | None
    documents: DocumentNoise | None
    pairs: PairNoise | None


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Standard errors and their degrees of freedom: one a recipe (R) or one a pair (RR)."""

    standard_error: Float64Array
    degrees: Float64Array


def measure_noise(evidence: Evidence) -> NoiseModel:
    """Estimates seed and document noise of all recipes and pairs together."""
    return noise_of_digest(digest_evidence(evidence), estimate_pair_noise(evidence))


def noise_of_digest(digest: Digest, pairs: PairNoise | None = None) -> NoiseModel:
    """The same without the losses of documents: `pairs` must come with it where differences on new documents matter."""
    scores_RT = suite_scores(digest)
    fit = fit_seeds(scores_RT)
    return NoiseModel(
        scores_RT=scores_RT,
        mean_R=np.nanmean(scores_RT, axis=1),
        count_R=np.sum(~np.isnan(scores_RT), axis=1, dtype=np.float64),
        fit=fit,
        seeds=estimate_seed_noise(scores_RT, fit, digest.anchors),
        documents=estimate_document_noise(digest),
        pairs=pairs,
    )


def spread_of_scores(noise: NoiseModel, documents: Documents) -> Spread | None:
    """Of each recipe's mean score, including what a seed does to all recipes alike. None where a part is unknown."""
    if noise.seeds is None or (documents == "random" and noise.documents is None):
        return None
    seeds = noise.seeds
    shared_R = np.full(len(noise.scores_RT), seeds.common_square)
    own_R = seeds.variance_R - seeds.common_bias * seeds.pooled
    total_R = np.maximum(shared_R + own_R, seeds.variance_R) / noise.count_R
    squares_R = _over(shared_R, seeds.common_degrees) + own_R**2 / seeds.degrees_R
    degrees_R = (total_R * noise.count_R) ** 2 / squares_R
    if documents == "fixed" or noise.documents is None:
        return Spread(standard_error=np.sqrt(total_R), degrees=np.maximum(degrees_R, 1.0))
    part = noise.documents
    return _combine(total_R, degrees_R, part.own_R, part.own_degrees_R, part.own_double_R)


def spread_of_differences(noise: NoiseModel, documents: Documents) -> Spread | None:
    """Of each pair's difference of mean scores; what both recipes share cancels. None where a part is unknown."""
    if noise.seeds is None or (documents == "random" and noise.pairs is None):
        return None
    seeds = noise.seeds
    part_R = seeds.variance_R / noise.count_R
    own_RR = part_R[:, None] + part_R[None, :]
    # Both variances lean on one pool: their errors add up, they do not average out.
    error_R = part_R / np.sqrt(seeds.degrees_R)
    error_RR = error_R[:, None] + error_R[None, :]
    uneven_RR = seeds.common_variance * _unevenness(noise)
    total_RR = own_RR + uneven_RR
    degrees_RR = total_RR**2 / (error_RR**2 + _over(uneven_RR, seeds.common_degrees))
    if documents == "fixed" or noise.pairs is None:
        return Spread(standard_error=np.sqrt(total_RR), degrees=np.maximum(degrees_RR, 1.0))
    part = noise.pairs
    return _combine(total_RR, degrees_RR, part.pair_RR, part.pair_degrees_RR, part.pair_double_RR)


def noise_covariance(noise: NoiseModel, documents: Documents) -> Float64Array | None:
    """Covariance of the recipes' mean scores around what they share: float64[R, R]. None where a part is unknown."""
    if noise.seeds is None or (documents == "random" and noise.pairs is None):
        return None
    share_RT = ~np.isnan(noise.scores_RT) / noise.count_R[:, None]
    covariance_RR = np.diag(noise.seeds.variance_R / noise.count_R)
    covariance_RR = covariance_RR + noise.seeds.common_variance * (share_RT @ share_RT.T)
    if documents == "fixed" or noise.pairs is None:
        return covariance_RR
    part = noise.pairs
    total = max(float(part.pair_RR.sum()), NO_DEGREES)
    kept = np.clip(1 - float(part.pair_double_RR.sum()) / total, 0.0, 1.0)
    result: Float64Array = covariance_RR + kept * part.covariance_RR
    return result


def half_widths(spread: Spread, level: float) -> Float64Array:
    """Half of each two-sided interval at `level`, by Student's t."""
    from scipy.special import stdtrit

    widths: Float64Array = stdtrit(spread.degrees, (1 + level) / 2) * spread.standard_error
    return widths


def probabilities_of_being_better(noise: NoiseModel, spread: Spread) -> Float64Array:
    """P(row recipe scores lower than column recipe) = T_ν(−d / se), one pair at a time; ½ on the diagonal."""
    from scipy.special import stdtr

    difference_RR = noise.mean_R[:, None] - noise.mean_R[None, :]
    chances: Float64Array = stdtr(spread.degrees, -difference_RR / spread.standard_error)
    return chances


def _combine(
    seed: Float64Array,
    seed_degrees: Float64Array,
    document: Float64Array,
    document_degrees: Float64Array,
    double: Float64Array,
) -> Spread:
    total = np.maximum(seed + document - double, np.maximum(seed, document))
    errors = seed**2 / seed_degrees + document**2 / document_degrees
    return Spread(standard_error=np.sqrt(total), degrees=np.maximum(total**2 / errors, 1.0))


def _unevenness(noise: NoiseModel) -> Float64Array:
    """Σ_t (1/S_a [a has t] − 1/S_b [b has t])²: zero where both recipes have the same seeds."""
    share_RT = ~np.isnan(noise.scores_RT) / noise.count_R[:, None]
    gram_RR = share_RT @ share_RT.T
    size_R = np.diag(gram_RR)
    distance_RR: Float64Array = np.maximum(size_R[:, None] + size_R[None, :] - 2 * gram_RR, 0.0)
    distance_RR[distance_RR < 1e-12] = 0.0
    return distance_RR


def _over(variance: Float64Array, degrees: float) -> Float64Array:
    """variance² / degrees, zero where nothing was estimated."""
    return variance**2 / degrees if degrees > 0 else np.zeros_like(variance)
