"""The ranking with one set's weight changed, beside the suite's own.

Left out: weight 0; doubled: twice its share; the other sets keep their proportions. With `SetNoise` a reversal of two
recipes counts only if both orders are resolved by all pairs' simultaneous test, with the error rate divided over the
weightings, so that seed noise is not taken for the choice of weights. Without it every reversal counts.

Axes: R recipes, K sets. Bits per byte, lower is better.
"""

import math
from dataclasses import dataclass

import numpy as np

from proxy.ranking.correlations import correlate
from proxy.ranking.evidence import BoolArray, Float64Array
from proxy.ranking.ranks import critical_ranges
from proxy.ranking.set_noise import SetNoise

DIGITS = 12  # relative to the largest score: equal scores must stay equal whatever order they are summed in
ERROR_RATE = 0.05


@dataclass(frozen=True, kw_only=True)
class Reweighted:
    """The ranking with one set's weight times `factor`, beside the suite's own.

    `kendall` and `spearman` are None where an order is undefined: one recipe, or all scores equal. `leaders` are all
    recipes with the best score. `resolved_reversals` is None where the noise is unknown.
    """

    factor: float
    kendall: float | None
    spearman: float | None
    leaders: tuple[str, ...]
    reversed_pairs: int
    resolved_reversals: int | None
    changes_leader: bool  # by a reversal that counts


@dataclass(frozen=True, kw_only=True)
class SetInfluence:
    """What hangs on one set's weight. `left_out` is None where the suite has no other set."""

    name: str
    share: float
    left_out: Reweighted | None
    doubled: Reweighted


class Reweightings:
    """All rankings that reweighting one set gives, compared with the suite's."""

    def __init__(
        self, scores_RK: Float64Array, recipes: tuple[str, ...], shares_K: Float64Array, noise: SetNoise | None
    ) -> None:
        self.scores_RK, self.recipes, self.shares_K, self.noise = scores_RK, recipes, shares_K, noise
        self.critical = _critical(noise, len(recipes), len(shares_K))
        self.suite_R = self._score(shares_K)
        self.suite_RR = _differences(self.suite_R)
        self.is_resolved_RR = self._resolved(self.suite_RR, shares_K)

    def influence(self, name: str, index: int) -> SetInfluence:
        """What leaving one set out and doubling it change."""
        is_alone = len(self.shares_K) == 1
        return SetInfluence(
            name=name,
            share=float(self.shares_K[index]),
            left_out=None if is_alone else self._reweigh(index, 0.0),
            doubled=self._reweigh(index, 2.0),
        )

    def leaders(self, score_R: Float64Array) -> tuple[str, ...]:
        """All with the best score."""
        return tuple(self.recipes[index] for index in np.flatnonzero(score_R == score_R.min()))

    def _reweigh(self, index: int, factor: float) -> Reweighted:
        weights_K = self.shares_K * np.where(np.arange(len(self.shares_K)) == index, factor, 1.0)
        weights_K /= weights_K.sum()
        score_R = self._score(weights_K)
        new_RR = _differences(score_R)
        is_reversed_RR = (new_RR < 0) & (self.suite_RR > 0)
        counts_RR = is_reversed_RR & self.is_resolved_RR & self._resolved(new_RR, weights_K)
        once = np.ones((1, len(score_R)))
        at_once = correlate(-score_R, -self.suite_R, once)
        is_leader_R, was_leader_R = score_R == score_R.min(), self.suite_R == self.suite_R.min()
        return Reweighted(
            factor=factor,
            kendall=_defined(at_once.kendall[0]),
            spearman=_defined(at_once.spearman[0]),
            leaders=self.leaders(score_R),
            reversed_pairs=int(is_reversed_RR.sum()),
            resolved_reversals=None if self.noise is None else int(counts_RR.sum()),
            changes_leader=bool(counts_RR[np.ix_(is_leader_R, was_leader_R)].any()),
        )

    def _score(self, weights_K: Float64Array) -> Float64Array:
        """Rounded, so that recipes that score alike stay tied."""
        score_R = (self.scores_RK * weights_K).sum(axis=1)
        scale = float(np.abs(self.scores_RK).max()) or 1.0
        rounded_R: Float64Array = np.round(score_R / scale, DIGITS) * scale
        return rounded_R

    def _resolved(self, difference_RR: Float64Array, weights_K: Float64Array) -> BoolArray:
        least: Float64Array | float = 0.0
        if self.noise is not None:
            least = self.critical * self.noise.standard_errors(weights_K)
        is_resolved_RR: BoolArray = np.abs(difference_RR) > least
        return is_resolved_RR


def _critical(noise: SetNoise | None, recipes: int, sets: int) -> float:
    """All pairs, and all of the suite's own and the 2 K other weightings, hold together."""
    if noise is None or recipes < 2:
        return 0.0
    level = 1 - ERROR_RATE / (1 + 2 * sets)
    return float(critical_ranges(level, recipes, np.array([max(noise.degrees, 1.0)]))[0]) / math.sqrt(2)


def _differences(score_R: Float64Array) -> Float64Array:
    difference_RR: Float64Array = score_R[:, None] - score_R[None, :]
    return difference_RR


def _defined(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
