"""One sentence about an agreement that can be repeated without being wrong.

The grade hangs on the **lower** limit of Spearman's 95 % interval for new recipes of this kind, never on the estimate:
twelve recipes can show .61 where the truth is nearly nothing. Under a normal copula a Spearman of .5 is the better of
two recipes in 67 % of pairs and .8 is 80 %, which is what DataDecide (arXiv 2504.11393) reports for single-scale
ranking: below .5 the evidence is weak, from .8 on it is strong, between them moderate.

Assumed: what `measure_agreement` assumes. Broken by easy bad recipes, and by references that are not tuned, which is
why the sentence counts the tuned ones.
"""

from collections.abc import Iterable

from proxy.ranking.agreement import EVIDENCE_FROM, AgreementFigures
from proxy.ranking.tuning import Label

WEAK_BELOW = 0.5
STRONG_FROM = 0.8
NEARLY_NONE = 0.2


def conclude(figures: AgreementFigures, labels: Iterable[Label]) -> str:
    """The sentence; `labels` are those of the references that were compared."""
    low, high = figures.spearman_low, figures.spearman_high
    if figures.n < EVIDENCE_FROM:
        found = "no recipe has" if figures.n == 0 else f"only {figures.n} recipe{'s have' if figures.n > 1 else ' has'}"
        return f"No evidence: {found} both a proxy score and a reference, and {EVIDENCE_FROM} are the least."
    if not figures.is_evidence or low is None or high is None or figures.spearman is None:
        return f"No evidence: {figures.note[0].lower()}{figures.note[1:]}"
    grade, reading = _grade(low, high)
    decimals = 3 if any(_rounds_to_one(value) for value in (low, high, figures.spearman)) else 2
    rho, below, above = (_write(value, decimals) for value in (figures.spearman, low, high))
    pairs = f"{100 * (figures.decision_accuracy or 0):.0f} % of the pairs in the same order"
    shown = f"Spearman {rho}, 95 % interval for new recipes of this kind {below} to {above}; {pairs}"
    return f"{grade}: {figures.n} recipes ({shown}) {reading}; {_count_tuned(list(labels))}."


def _grade(low: float, high: float) -> tuple[str, str]:
    if high < 0:
        return "Evidence against this proxy", "show that it orders recipes the wrong way round (is a direction wrong?)"
    if low <= 0:
        return "Weak evidence", "do not rule out that the proxy says nothing about the references"
    if low < NEARLY_NONE:
        return "Weak evidence", "do not rule out nearly no agreement between proxy and references"
    if low < WEAK_BELOW:
        return "Weak evidence", "do not rule out that the proxy is wrong about a third of the pairs"
    if low < STRONG_FROM:
        return "Moderate evidence", "show a similar order of proxy and references, but do not rule out clear exceptions"
    return "Strong evidence", "show nearly the same order of proxy and references"


def _rounds_to_one(value: float) -> bool:
    """Two decimals would claim a perfect order."""
    return abs(value) < 1 and f"{abs(value):.2f}" == "1.00"


def _write(value: float, decimals: int) -> str:
    """What is below 1 never reads as 1."""
    shown = value if abs(value) == 1 else max(-0.999, min(0.999, value))
    return f"{shown:.{decimals}f}".replace("-", "−")


def _count_tuned(labels: list[Label]) -> str:
    tuned = labels.count(Label.TUNED)
    if tuned == len(labels):
        return "all references are tuned"
    return f"{tuned or 'none'} of the {len(labels)} references {'is' if tuned < 2 else 'are'} known to be tuned"
