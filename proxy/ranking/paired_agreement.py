"""Whether two protocols agree differently with the same references: a reduced rate and the standard one, say.

Two intervals that overlap do not answer that: both are over the same recipes, and much of their width is which recipes
were drawn. So the difference is taken on the same resampled recipes (repeatability.compare_protocols), and a difference
is claimed only where its interval leaves out zero.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from proxy.ranking.agreement import EVIDENCE_FROM, AgreementFigures, Direction, measure_agreement, resamples_for
from proxy.ranking.repeatability import SpearmanInterval, compare_protocols


@dataclass(frozen=True, kw_only=True)
class PairedAgreement:
    """`spearman`: the first protocol's less the second's, with its paired interval at 95 %. `is_resolved`: zero lies
    outside it."""

    n: int
    first: AgreementFigures
    second: AgreementFigures
    spearman: SpearmanInterval
    is_resolved: bool
    conclusion: str


def pair_agreements(
    proxies: tuple[npt.ArrayLike, npt.ArrayLike],
    reference: npt.ArrayLike,
    direction: Direction,
    names: tuple[str, str],
    rng_seed: int = 0,
) -> PairedAgreement:
    """Of two protocols' scores (lower is better) over the same n recipes; `direction` is the reference's, `names` are
    what the sentence calls the two."""
    n = len(np.atleast_1d(np.asarray(reference)))
    first, second = (
        measure_agreement(proxy, reference, direction, np.random.default_rng(rng_seed), resamples_for(n))
        for proxy in proxies
    )
    spearman = compare_protocols(proxies, reference, direction, np.random.default_rng(rng_seed), resamples_for(n))
    low, high = spearman.low, spearman.high
    is_resolved = low is not None and high is not None and not low <= 0 <= high
    return PairedAgreement(
        n=n,
        first=first,
        second=second,
        spearman=spearman,
        is_resolved=is_resolved,
        conclusion=_conclude(n, spearman, is_resolved, names),
    )


def _conclude(n: int, spearman: SpearmanInterval, is_resolved: bool, names: tuple[str, str]) -> str:
    """One sentence that claims no more than the interval does."""
    if n < EVIDENCE_FROM:
        return f"No evidence: {n} recipes have both rankings and a reference, and {EVIDENCE_FROM} are the least."
    if spearman.estimate is None or spearman.low is None or spearman.high is None:
        return f"No evidence: ties among the {n} recipes leave a rank correlation undefined."
    first, second = names
    better, worse = (first, second) if spearman.estimate > 0 else (second, first)
    limits = f"{_signed(spearman.low)} to {_signed(spearman.high)}"
    shown = f"Spearman of {first} less that of {second} is {_signed(spearman.estimate)}, 95 % interval {limits}"
    if is_resolved:
        return f"{better} agrees better with the references than {worse}: over {n} recipes {shown}."
    return f"No difference is resolved: over {n} recipes {shown}."


def _signed(value: float) -> str:
    """Three decimals, as differences between good agreements are small; zero has no sign."""
    shown = f"{value:+.3f}".replace("-", "−")
    return "0" if float(f"{value:.3f}") == 0 else shown
