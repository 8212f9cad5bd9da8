"""One protocol at several learning rates: which recipe of each pair is better at each rate, all claims together.

At a rate, pairs are compared as on its leaderboard: noise from all recipes of that rate, intervals by Tukey–Kramer
(ranks.py) over the recipes of the ladder. Over G rates the error rate is divided by G (Bonferroni), so that all
intervals of all pairs at all rates hold together at 1 − error_rate, and so does whatever is read out of them.

Assumed: what a leaderboard assumes, at each rate by itself. Seeds that recipes share at a rate are paired there.
Between rates nothing is assumed: runs of one seed at two rates may be as dependent as they like, and seed noise is not
pooled over rates, because it grows with the rate. Documents are fixed: the suite is the objective.

Axes: G rates ascending, N recipes of the ladder (those that were measured at two rates or more).
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from proxy.errors import InvalidInputError, NotFoundError
from proxy.ranking.digests import digest_evidence
from proxy.ranking.evidence import Digest, Evidence, Float64Array
from proxy.ranking.ranks import simultaneous_half_widths
from proxy.ranking.uncertainty import NoiseModel, noise_of_digest

Int8Array = npt.NDArray[np.int8]


@dataclass(frozen=True, kw_only=True)
class RateEvidence:
    """What the leaderboard at one learning rate is ranked from; all rates' on the same suite."""

    rate: float
    evidence: Evidence | Digest


@dataclass(frozen=True, kw_only=True)
class SignedLadder:
    """`mean_GN` are scores, NaN where a recipe was not measured. `half_GNN` are half intervals of differences, NaN also
    where seed noise is unknown. `better_GNN`: 1 row recipe resolved better, −1 column recipe, 0 neither."""

    rates: tuple[float, ...]
    recipes: tuple[str, ...]
    mean_GN: Float64Array
    half_GNN: Float64Array
    better_GNN: Int8Array
    warnings: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class _Rung:
    """A rate's noise, and where in its tables the ladder's recipes are; those that it lacks are left out."""

    noise: NoiseModel
    own_M: list[int]
    place_M: list[int]

    @property
    def is_tested(self) -> bool:
        return len(self.own_M) > 1 and self.noise.seeds is not None


def compare_over_rates(
    ladder: Sequence[RateEvidence], error_rate: float, pair: tuple[str, str] | None = None
) -> SignedLadder:
    """All pairs at all rates, or the `pair` that was named before looking. InvalidInputError names the rate, recipe or
    set and the value that cannot be used; NotFoundError for a recipe of the pair that no rate has."""
    if not (math.isfinite(error_rate) and 0 < error_rate < 1):
        raise InvalidInputError.at("/error_rate", error_rate, "must be between 0 and 1")
    digests = _checked(ladder)
    rates = sorted(digests)
    recipes = _recipes(digests, pair)
    rungs = [_rung(digests[rate], recipes) for rate in rates]
    level = 1 - error_rate / max(sum(rung.is_tested for rung in rungs), 1)
    mean_GN = np.full((len(rates), len(recipes)), np.nan)
    half_GNN = np.full((len(rates), len(recipes), len(recipes)), np.nan)
    for index, rung in enumerate(rungs):
        mean_GN[index, rung.place_M] = rung.noise.mean_R[rung.own_M]
        if rung.is_tested:
            half_GNN[index][np.ix_(rung.place_M, rung.place_M)] = _half_widths(rung, level)
    return SignedLadder(
        rates=tuple(rates),
        recipes=recipes,
        mean_GN=mean_GN,
        half_GNN=half_GNN,
        better_GNN=_signs(mean_GN, half_GNN),
        warnings=tuple(_warnings(rates, rungs, digests)),
    )


def _rung(digest: Digest, recipes: Sequence[str]) -> _Rung:
    own = {entry.recipe: index for index, entry in enumerate(digest.recipes)}
    place_M = [place for place, recipe in enumerate(recipes) if recipe in own]
    return _Rung(noise=noise_of_digest(digest), own_M=[own[recipes[place]] for place in place_M], place_M=place_M)


def _half_widths(rung: _Rung, level: float) -> Float64Array:
    half_RR = simultaneous_half_widths(rung.noise, "fixed", level, len(rung.own_M))
    assert half_RR is not None  # the noise of a rate that is tested is known
    half_MM: Float64Array = half_RR[np.ix_(rung.own_M, rung.own_M)]
    return half_MM


def _signs(mean_GN: Float64Array, half_GNN: Float64Array) -> Int8Array:
    """A rate at a time: the differences of a thousand recipes take 8 MB."""
    better_GNN = np.zeros(half_GNN.shape, dtype=np.int8)
    for mean_N, half_NN, better_NN in zip(mean_GN, half_GNN, better_GNN, strict=True):
        difference_NN = mean_N[:, None] - mean_N[None, :]
        better_NN[difference_NN < -half_NN] = 1  # NaN is neither
        better_NN[difference_NN > half_NN] = -1
    return better_GNN


def _recipes(digests: dict[float, Digest], pair: tuple[str, str] | None) -> tuple[str, ...]:
    """In the order of the lowest rate that has them."""
    counts = Counter(entry.recipe for _, digest in sorted(digests.items()) for entry in digest.recipes)
    if pair is not None:
        _require_pair(digests, counts, pair)
        return pair
    recipes = tuple(recipe for recipe, rates in counts.items() if rates > 1)
    if not _share_two_rates(digests, recipes):
        message = "two recipes that share two of the rates are the least that an order can be followed on"
        raise InvalidInputError.at("/rates", sorted(digests), message)
    return recipes


def _share_two_rates(digests: dict[float, Digest], recipes: Sequence[str]) -> bool:
    """Whether any two of them do: recipes that were tried at other rates each have no order anywhere."""
    of_rates = [{entry.recipe for entry in digest.recipes} for digest in digests.values()]
    is_there_GN = np.array([[recipe in own for recipe in recipes] for own in of_rates], dtype=np.float64)
    return bool((np.triu(is_there_GN.T @ is_there_GN, 1) > 1).any())


def _require_pair(digests: dict[float, Digest], counts: Counter[str], pair: tuple[str, str]) -> None:
    if pair[0] == pair[1]:
        raise InvalidInputError.at("/second", pair[1], "is the same recipe as the first")
    for recipe in pair:
        if recipe not in counts:
            raise NotFoundError(f"recipe {recipe!r} has no evidence at any of these rates")
    own = [rate for rate in sorted(digests) if set(pair) <= {entry.recipe for entry in digests[rate].recipes}]
    if len(own) < 2:
        raise InvalidInputError.at("/rates", own, f"{pair[0]!r} and {pair[1]!r} must share two rates or more")


def _checked(ladder: Sequence[RateEvidence]) -> dict[float, Digest]:
    rates = [rung.rate for rung in ladder]
    for index, rate in enumerate(rates):
        if not (math.isfinite(rate) and rate > 0):
            raise InvalidInputError.at(f"/rates/{index}", rate, "a rate must be a positive number")
    if len(set(rates)) < len(rates):
        raise InvalidInputError.at("/rates", sorted(rates), "a rate appears twice")
    if len(rates) < 2:
        raise InvalidInputError.at("/rates", rates, "an order can be followed over two or more learning rates")
    digests = {rung.rate: _checked_digest(rung) for rung in ladder}
    shares = [{part.name: part.share for part in digests[rate].sets} for rate in rates]
    for rate, own in zip(rates, shares, strict=True):
        if own.keys() != shares[0].keys() or not all(math.isclose(own[name], shares[0][name]) for name in own):
            raise InvalidInputError.at(f"/rates/{rate:g}/sets", own, f"rate {rates[0]:g} was scored on {shares[0]}")
    return digests


def _checked_digest(rung: RateEvidence) -> Digest:
    digest = digest_evidence(rung.evidence) if isinstance(rung.evidence, Evidence) else rung.evidence
    pointer = f"/rates/{rung.rate:g}/recipes"
    if not digest.recipes:
        raise InvalidInputError.at(pointer, [], f"no recipe was measured at rate {rung.rate:g}")
    for entry in digest.recipes:
        for name, scores_S in entry.scores.items():
            if len(scores_S) != len(entry.seeds) or not len(scores_S) or not np.isfinite(scores_S).all():
                message = f"recipe {entry.recipe!r} needs one finite score a seed at rate {rung.rate:g}"
                raise InvalidInputError.at(f"{pointer}/{entry.recipe}/{name}", list(map(float, scores_S)), message)
    return digest


def _warnings(rates: Sequence[float], rungs: Sequence[_Rung], digests: dict[float, Digest]) -> list[str]:
    warnings = []
    for rate, rung in zip(rates, rungs, strict=True):
        if len(rung.own_M) > 1 and rung.noise.seeds is None:
            cause = "different seeds gave identical scores" if rung.noise.fit.degrees > 0 else "one seed a recipe"
            warnings.append(f"At {rate:g} seed noise is unknown ({cause}): nothing is resolved there.")
        beside = len(digests[rate].recipes) - len(rung.own_M)
        if beside and len(rung.own_M) < 2:
            warnings.append(f"At {rate:g} fewer than two of these recipes were measured.")
    return warnings
