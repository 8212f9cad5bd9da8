"""Worst-case-weight regret: what a recipe can lose against the best one when the sets are weighed otherwise.

regret(a) = max over weights w in W, max over recipes b of w·(s_a − s_b). Exact, nothing is searched: for one rival the
loss is linear in w. Over the whole simplex its maximum is at a vertex, a single set. Nearby, w = u / Σu with each u_k
within a factor f of the suite's share p_k, it is a ratio of linear functions of u, whose maximum over a box is at a
corner that raises the sets where the loss exceeds the maximum itself and lowers the others: one of K + 1 corners once
the sets are sorted by loss. Assumed: the scores are exact (what seeds do is elsewhere) and the true objective is some
weighting of these sets. Broken by an objective that no set measures.

Axes: R recipes, K sets, M = K + 1 corners. Bits per byte, lower is better.
"""

from dataclasses import dataclass

import numpy as np

from proxy.ranking.evidence import Float64Array


@dataclass(frozen=True, kw_only=True)
class WorstWeights:
    """The largest loss of one recipe, the rival it is lost against (an index) and the weights where it is lost.

    With a loss of zero the rival is the recipe itself.
    """

    regret: float
    rival: int
    weights_K: Float64Array


def regret_at_weights(scores_RK: Float64Array, weights_K: Float64Array) -> Float64Array:
    """Loss of each recipe (R) against the best one under these weights."""
    score_R = (scores_RK * weights_K).sum(axis=1)
    regret_R: Float64Array = score_R - score_R.min()
    return regret_R


def worst_nearby(scores_RK: Float64Array, shares_K: Float64Array, factor: float, recipe: int) -> WorstWeights:
    """Over all weights within `factor` of the shares, renormalised."""
    loss_RK = scores_RK[recipe] - scores_RK
    order_RK = np.argsort(-loss_RK, axis=1, kind="stable")
    share_RK = shares_K[order_RK]
    raised = factor - 1 / factor
    weight_RM = _corner_sums(share_RK, raised) + 1 / factor
    total_RM = _corner_sums(share_RK * np.take_along_axis(loss_RK, order_RK, axis=1), raised)
    ratio_RM = (total_RM + (loss_RK @ shares_K)[:, None] / factor) / weight_RM
    ratio_RM[recipe] = 0.0
    rival, corner = (int(place) for place in np.unravel_index(ratio_RM.argmax(), ratio_RM.shape))
    if ratio_RM[rival, corner] <= 0:
        return WorstWeights(regret=0.0, rival=recipe, weights_K=shares_K)
    weights_K = shares_K / factor
    weights_K[order_RK[rival, :corner]] *= factor**2
    weights_K /= weights_K.sum()
    return WorstWeights(regret=float(loss_RK[rival] @ weights_K), rival=rival, weights_K=weights_K)


def worst_anywhere(scores_RK: Float64Array, shares_K: Float64Array, recipe: int) -> WorstWeights:
    """Over all weights that sum to 1: everything on the set where the recipe is farthest behind its best rival."""
    behind_K = scores_RK[recipe] - scores_RK.min(axis=0)
    worst = int(behind_K.argmax())
    if behind_K[worst] <= 0:
        return WorstWeights(regret=0.0, rival=recipe, weights_K=shares_K)
    rival = int(scores_RK[:, worst].argmin())
    return WorstWeights(regret=float(behind_K[worst]), rival=rival, weights_K=np.eye(len(shares_K))[worst])


def _corner_sums(values_RK: Float64Array, raised: float) -> Float64Array:
    """`raised` × the sum of the first m values, m = 0 … K."""
    start_R1 = np.zeros((len(values_RK), 1))
    sums_RM: Float64Array = raised * np.hstack([start_R1, np.cumsum(values_RK, axis=1)])
    return sums_RM
