"""The flip certificate: does the order of recipes hold over the learning rates that were tried, or does it flip?

A pair is **stable** over [a, b] if the same recipe is resolved better at every rate of the ladder, **flips** between
two rates if it is resolved one way at one of them and the other way at the next rate where it is resolved at all, and
is **unresolved** otherwise: never contradicted, and not resolved everywhere. All intervals hold together
(rate_ladders.py): that any claim of either kind is false, about any pair, has at most the stated probability, and
intervals of rates may be chosen after looking.

What it cannot say: anything about rates between or beyond those tried. A recipe that is missing at a rate (it diverged,
or was not run) is not resolved there. Which rates are tried must not hang on what earlier ones showed.

Axes: G rates ascending, N recipes, F flips.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from proxy.errors import InvalidInputError
from proxy.ranking.evidence import BoolArray, Int64Array
from proxy.ranking.rate_ladders import Int8Array, RateEvidence, SignedLadder, compare_over_rates

ERROR_RATE = 0.05
MOST_PAIRS = 300  # written out: all of 25 recipes


class Verdict(StrEnum):
    """On one pair."""

    STABLE = "stable"
    FLIPS = "flips"
    UNRESOLVED = "unresolved"


@dataclass(frozen=True, kw_only=True)
class Flip:
    """Between two rates that resolve the pair in opposite ways, with none that resolves it between them."""

    low: float
    high: float
    better_at_low: str
    better_at_high: str


@dataclass(frozen=True, kw_only=True)
class RateDifference:
    """First minus second at one rate, bits per byte. `difference` is None where one was not measured, the interval also
    where seed noise is unknown. `better` is None where neither is resolved."""

    rate: float
    difference: float | None
    low: float | None
    high: float | None
    better: str | None


@dataclass(frozen=True, kw_only=True)
class PairCertificate:
    """`better` is named where the pair is stable. `resolved_at` are the rates at which one of the two is better."""

    first: str
    second: str
    verdict: Verdict
    better: str | None
    flips: tuple[Flip, ...]
    resolved_at: tuple[float, ...]
    by_rate: tuple[RateDifference, ...]


@dataclass(frozen=True, kw_only=True)
class FlipCertificate:
    """`stable`, `flipping` and `unresolved` count the pairs that were measured together at two rates or more.

    No pair flips within [`no_flip_low`, `no_flip_high`], the widest such interval of tried rates around `own_rate`;
    `held` pairs are resolved the same way at each of its rates. `pairs` are flips first, and at most as many as asked
    for; `left_out` more were not written out. `error_rate` is that of all claims together.
    """

    rates: tuple[float, ...]
    own_rate: float
    error_rate: float
    stable: int
    flipping: int
    unresolved: int
    no_flip_low: float
    no_flip_high: float
    held: int
    pairs: tuple[PairCertificate, ...]
    left_out: int
    warnings: tuple[str, ...]


def certify_order(
    ladder: Sequence[RateEvidence],
    own_rate: float,
    *,
    pair: tuple[str, str] | None = None,
    error_rate: float = ERROR_RATE,
    most_pairs: int = MOST_PAIRS,
) -> FlipCertificate:
    """Of all pairs around the rate that the protocol uses; or of one `pair` named before looking, whose intervals are
    narrower for it. InvalidInputError for fewer than two rates, or an `own_rate` that is none of them."""
    signed = compare_over_rates(ladder, error_rate, pair)
    own = _place_of(own_rate, signed.rates)
    if pair is None:
        signed = _reordered(signed, _best_first(signed, own))
    flips_F4 = find_flips(signed.better_GNN)
    verdicts = _verdicts(signed, flips_F4)
    low, high = widest_without_flips(flips_F4[:, 2:], signed.rates, own)
    held_NN = np.triu(_is_one_way(signed.better_GNN[low : high + 1]), 1)
    chosen = [tuple(map(int, places)) for is_NN in verdicts.values() for places in np.argwhere(is_NN)[:most_pairs]]
    counts = {verdict: int(is_NN.sum()) for verdict, is_NN in verdicts.items()}
    shown = chosen[:most_pairs]
    return FlipCertificate(
        rates=signed.rates,
        own_rate=own_rate,
        error_rate=error_rate,
        stable=counts[Verdict.STABLE],
        flipping=counts[Verdict.FLIPS],
        unresolved=counts[Verdict.UNRESOLVED],
        no_flip_low=signed.rates[low],
        no_flip_high=signed.rates[high],
        held=int(held_NN.sum()),
        pairs=tuple(_certify(signed, row, column, flips_F4) for row, column in shown),
        left_out=sum(counts.values()) - len(shown),
        warnings=signed.warnings,
    )


def find_flips(better_GNN: Int8Array) -> Int64Array:
    """(F, 4): row, column (row < column), and the places of the two rates."""
    last_NN, place_NN = np.zeros_like(better_GNN[0]), np.zeros(better_GNN[0].shape, dtype=np.int64)
    found = [np.zeros((0, 4), dtype=np.int64)]
    for place, better_NN in enumerate(better_GNN):
        is_resolved = better_NN != 0
        row_F, column_F = np.nonzero(np.triu(is_resolved & (last_NN == -better_NN), 1))
        found.append(np.column_stack([row_F, column_F, place_NN[row_F, column_F], np.full(len(row_F), place)]))
        last_NN[is_resolved] = better_NN[is_resolved]
        place_NN[is_resolved] = place
    return np.concatenate(found)


def widest_without_flips(flips_F2: Int64Array, rates: Sequence[float], own: int) -> tuple[int, int]:
    """Places of the ends of the widest interval (in log rate) around `own` that holds no flip's two rates; of equally
    wide ones the one that reaches lowest."""

    def is_free(low: int, high: int) -> bool:
        return not ((flips_F2[:, 0] >= low) & (flips_F2[:, 1] <= high)).any()

    free = ((low, high) for low in range(own + 1) for high in range(own, len(rates)) if is_free(low, high))
    return max(free, key=lambda ends: (round(math.log(rates[ends[1]] / rates[ends[0]]), 9), -ends[0]))


def _place_of(own_rate: float, rates: Sequence[float]) -> int:
    for place, rate in enumerate(rates):
        if math.isclose(rate, own_rate, rel_tol=1e-9):
            return place
    raise InvalidInputError.at("/own_rate", own_rate, f"is none of the rates that were tried: {list(rates)}")


def _best_first(signed: SignedLadder, own: int) -> Int64Array:
    """By score at the protocol's own rate; recipes that it lacks last, by name."""
    mean_N = np.nan_to_num(signed.mean_GN[own], nan=np.inf)
    return np.lexsort((np.array(signed.recipes), mean_N)).astype(np.int64)


def _reordered(signed: SignedLadder, order_N: Int64Array) -> SignedLadder:
    return SignedLadder(
        rates=signed.rates,
        recipes=tuple(signed.recipes[index] for index in order_N),
        mean_GN=signed.mean_GN[:, order_N],
        half_GNN=signed.half_GNN[:, order_N][:, :, order_N],
        better_GNN=signed.better_GNN[:, order_N][:, :, order_N],
        warnings=signed.warnings,
    )


def _is_one_way(better_GNN: Int8Array) -> BoolArray:
    is_one_way: BoolArray = (better_GNN == 1).all(axis=0) | (better_GNN == -1).all(axis=0)
    return is_one_way


def _verdicts(signed: SignedLadder, flips_F4: Int64Array) -> dict[Verdict, BoolArray]:
    """Each pair once, above the diagonal; the verdicts that are to be read first come first."""
    is_measured_GN = (~np.isnan(signed.mean_GN)).astype(np.float64)
    is_pair_NN = np.triu(is_measured_GN.T @ is_measured_GN >= 2, 1)
    flips_NN = np.zeros_like(is_pair_NN)
    flips_NN[flips_F4[:, 0], flips_F4[:, 1]] = True
    stable_NN = is_pair_NN & _is_one_way(signed.better_GNN)
    unresolved_NN = is_pair_NN & ~stable_NN & ~flips_NN
    return {Verdict.FLIPS: flips_NN, Verdict.UNRESOLVED: unresolved_NN, Verdict.STABLE: stable_NN}


def _certify(signed: SignedLadder, row: int, column: int, flips_F4: Int64Array) -> PairCertificate:
    by_rate = tuple(_differences(signed, row, column))
    better = [part.better for part in by_rate]
    own_F4 = flips_F4[(flips_F4[:, 0] == row) & (flips_F4[:, 1] == column)]
    flips = tuple(_flip(by_rate[low], by_rate[high]) for low, high in own_F4[:, 2:].tolist())
    is_stable = None not in better and len(set(better)) == 1
    return PairCertificate(
        first=signed.recipes[row],
        second=signed.recipes[column],
        verdict=Verdict.FLIPS if flips else Verdict.STABLE if is_stable else Verdict.UNRESOLVED,
        better=better[0] if is_stable else None,
        flips=flips,
        resolved_at=tuple(part.rate for part in by_rate if part.better is not None),
        by_rate=by_rate,
    )


def _flip(low: RateDifference, high: RateDifference) -> Flip:
    assert low.better is not None  # both are resolved, in opposite ways
    assert high.better is not None
    return Flip(low=low.rate, high=high.rate, better_at_low=low.better, better_at_high=high.better)


def _differences(signed: SignedLadder, row: int, column: int) -> Iterator[RateDifference]:
    names = {1: signed.recipes[row], -1: signed.recipes[column], 0: None}
    for place, rate in enumerate(signed.rates):
        difference = float(signed.mean_GN[place, row] - signed.mean_GN[place, column])
        half = float(signed.half_GNN[place, row, column])
        is_known, has_interval = math.isfinite(difference), math.isfinite(half)
        yield RateDifference(
            rate=rate,
            difference=difference if is_known else None,
            low=difference - half if has_interval else None,
            high=difference + half if has_interval else None,
            better=names[int(signed.better_GNN[place, row, column])],
        )
