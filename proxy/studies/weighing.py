"""Agreement taken apart by validation set: the order within each set, and what a difference in each set weighs.

A suite's score is a weighted mean over its sets. So its order hangs on the order within each set and on how the sets
are exchanged: by how much one set's differences between recipes count beside another's. Sets are not learnt at the same
time. Where one set's differences have grown out and another's have not, the first counts for more among proxies than
among references, and the suite's order can be wrong although that of every set is right.

Four ways of weighing the same scores, each against the references' own suite score: `mean` is the suite's; `logs` the
weighted mean of log bits per byte, in which a set counts by its relative differences; `standard spreads` brings each
set's differences to the spread (standard deviation over recipes) that they have at the standard rate, so that the rate
gives the order within sets and the standard rate their exchange; `reference spreads` brings them to the references'
own. The last looks at the references: a diagnosis of what is lost, no ranking. Weights are taken from all recipes and
not anew from each resample. Broken by few recipes, whose spreads are one or two recipes' doing.

φ of a set (0 at the unigram, 1 at the bigram entropy of a recipe's own stream) says how much of it has been learned.

Axes: R recipes, K sets. Bits per byte, lower is better.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import chain
from types import MappingProxyType
from typing import Any

import numpy as np

from proxy.ranking.agreement import AgreementFigures, measure_agreement, resamples_for
from proxy.ranking.evidence import Float64Array
from proxy.ranking.rate_search import Thresholds, reached_by_share
from proxy.ranking.repeatability import SpearmanInterval, compare_protocols

RNG_SEED = 0
LIMITS = Thresholds()
LEAST = 3  # recipes: two are always in order or not
MEAN, LOGS, STANDARD_SPREADS, REFERENCE_SPREADS = "mean", "logs", "standard spreads", "reference spreads"

SetScores = Mapping[str, Mapping[str, float]]  # by recipe and set, bits per byte
SetProgress = Mapping[str, Mapping[str, float | None]]  # by recipe and set, φ


@dataclass(frozen=True, kw_only=True)
class SetAgreement:
    """Spearman of one set's proxies with the same set's references, the proxies' spread over the references' (None
    where all references are equal) and their median φ (None where it is unknown)."""

    spearman: float | None
    low: float | None
    high: float | None
    spread_share: float | None
    progress: float | None


@dataclass(frozen=True, kw_only=True)
class WeighedAgreement:
    """The suite's references against proxies weighed this way. `gain`: Spearman minus that of the suite's mean."""

    spearman: float | None
    low: float | None
    high: float | None
    regret_at_1: float | None
    gain: SpearmanInterval


@dataclass(frozen=True, kw_only=True)
class SetRow:
    """One rate: its `n` recipes that have both, agreement by set and by way of weighing. Both are empty under 3.

    φ needs no reference: `progress_reached` is what nine in ten of the proxies' (recipe, set) pairs reach, None where
    it is known of no pair; `pairs_learned` of `pairs` reach `progress_wanted`, what a rate search asks for.
    """

    rate: float
    n: int
    progress_reached: float | None
    pairs_learned: int
    pairs: int
    progress_wanted: float
    sets: dict[str, SetAgreement]
    weighings: dict[str, WeighedAgreement]

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def weigh_sets(
    proxies: Mapping[float, SetScores],
    references: SetScores,
    shares: Mapping[str, float],
    standard: float | None,
    progress: Mapping[float, SetProgress] = MappingProxyType({}),
) -> list[SetRow]:
    """A row a rate, ascending. `shares`: each set's part in the suite's score; `standard`: the rate with the best mean
    score, without which nothing is brought to its spreads; `progress`: φ, where it is known."""
    at_standard = None if standard is None else proxies.get(standard)
    return [
        _row(rate, found, at_standard, references, shares, progress.get(rate, {}))
        for rate, found in sorted(proxies.items())
    ]


def _row(
    rate: float,
    found: SetScores,
    standard: SetScores | None,
    references: SetScores,
    shares: Mapping[str, float],
    progress: SetProgress,
) -> SetRow:
    names = sorted(found.keys() & references.keys())
    learned = {part: _known(progress.get(name, {}).get(part) for name in sorted(found)) for part in shares}
    pairs = list(chain.from_iterable(learned.values()))
    row = SetRow(
        rate=rate,
        n=len(names),
        progress_reached=reached_by_share(pairs, LIMITS.share_of_pairs) if pairs else None,
        pairs_learned=sum(value >= LIMITS.progress for value in pairs),
        pairs=len(pairs),
        progress_wanted=LIMITS.progress,
        sets={},
        weighings={},
    )
    if len(names) < LEAST:
        return row
    share_K = np.array(list(shares.values()), dtype=np.float64)
    proxy_RK, reference_RK = _matrix(found, names, shares), _matrix(references, names, shares)
    # where a recipe has no score at the standard rate, the spread there would be of other recipes
    is_there = standard is not None and standard.keys() >= set(names)
    standard_RK = _matrix(standard, names, shares) if standard is not None and is_there else None
    ways = {name: scores_RK @ share_K for name, scores_RK in _ways(proxy_RK, reference_RK, standard_RK).items()}
    return replace(
        row,
        sets={part: _of_set(proxy_RK[:, k], reference_RK[:, k], learned[part]) for k, part in enumerate(shares)},
        weighings={name: _of_way(scores_R, ways[MEAN], reference_RK @ share_K) for name, scores_R in ways.items()},
    )


def _known(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def _matrix(scores: SetScores, names: Iterable[str], sets: Iterable[str]) -> Float64Array:
    return np.array([[scores[name][part] for part in sets] for name in names], dtype=np.float64)


def _ways(
    proxy_RK: Float64Array, reference_RK: Float64Array, standard_RK: Float64Array | None
) -> dict[str, Float64Array]:
    """What a share of each set is taken of, by way; float64[R, K]."""
    ways = {MEAN: proxy_RK, LOGS: np.log(proxy_RK)}
    if standard_RK is not None:
        ways[STANDARD_SPREADS] = _brought_to(standard_RK, proxy_RK)
    return ways | {REFERENCE_SPREADS: _brought_to(reference_RK, proxy_RK)}


def _brought_to(wanted_RK: Float64Array, scores_RK: Float64Array) -> Float64Array:
    """Differences within each set scaled to the wanted spread; a set in which all recipes are equal stays so."""
    spread_K = scores_RK.std(axis=0)
    factor_K = np.divide(wanted_RK.std(axis=0), spread_K, out=np.zeros_like(spread_K), where=spread_K > 0)
    scaled_RK: Float64Array = (scores_RK - scores_RK.mean(axis=0)) * factor_K
    return scaled_RK


def _of_set(proxy_R: Float64Array, reference_R: Float64Array, learned: Sequence[float]) -> SetAgreement:
    figures, spread = _measure(proxy_R, reference_R), float(reference_R.std())
    return SetAgreement(
        spearman=figures.spearman,
        low=figures.spearman_low,
        high=figures.spearman_high,
        spread_share=float(proxy_R.std()) / spread if spread > 0 else None,
        progress=float(np.median(learned)) if learned else None,
    )


def _of_way(scores_R: Float64Array, mean_R: Float64Array, reference_R: Float64Array) -> WeighedAgreement:
    figures = _measure(scores_R, reference_R)
    pair, rng = (scores_R, mean_R), np.random.default_rng(RNG_SEED)
    return WeighedAgreement(
        spearman=figures.spearman,
        low=figures.spearman_low,
        high=figures.spearman_high,
        regret_at_1=figures.regret_at_1,
        gain=compare_protocols(pair, reference_R, "lower", rng, resamples_for(len(mean_R))),
    )


def _measure(proxy_R: Float64Array, reference_R: Float64Array) -> AgreementFigures:
    rng = np.random.default_rng(RNG_SEED)
    return measure_agreement(proxy_R, reference_R, "lower", rng, resamples_for(len(proxy_R)))
