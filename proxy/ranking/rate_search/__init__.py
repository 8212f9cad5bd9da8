"""Rate search: finding a protocol's reduced learning rate from the proxy side alone, before any reference is seen.

A **ladder** is anchors × rates × seeds, trained under protocols that differ in nothing but the rate. The rule: the
lowest rate that passes every gate and is at most a third of η*, the optimum over the ladder. Too high a rate ranks
recipes by how well this one rate suits them; too low a rate ranks them by word frequencies. If nothing passes, the
finding says which gate fails and what would pass; no rate is taken instead.

The clock is S = Σ_t η_t, the **travel** of Adam, not tokens: equal S gave equal loss at different rates, batches and
numbers of steps in our runs.

Axes: A anchors, S seeds. Scores in bits per byte, lower is better; φ is 0 at the unigram and 1 at the bigram entropy
of a recipe's own stream; rates are Adam's step size.
"""

from proxy.ranking.rate_search.budgets import Budget, Need, reached_by_share
from proxy.ranking.rate_search.equal_travel import TravelRow, row_at
from proxy.ranking.rate_search.findings import AnchorOptimum, Finding, Outcome, RateRow
from proxy.ranking.rate_search.gates import Gate, Verdict
from proxy.ranking.rate_search.ladder import Ladder, LadderRun, Thresholds
from proxy.ranking.rate_search.numbers import losses_at_travel, travel_in_steps, update_in_ulps
from proxy.ranking.rate_search.rule import search_rate

__all__ = [
    "AnchorOptimum",
    "Budget",
    "Finding",
    "Gate",
    "Ladder",
    "LadderRun",
    "Need",
    "Outcome",
    "RateRow",
    "Thresholds",
    "TravelRow",
    "Verdict",
    "losses_at_travel",
    "reached_by_share",
    "row_at",
    "search_rate",
    "travel_in_steps",
    "update_in_ulps",
]
