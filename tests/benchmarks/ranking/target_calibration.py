"""Is P(better at target) calibrated on RegMix (1M → 60M parameters, Pile-CC), with 12 calibrants?

Many times: 12 of the 256 recipes calibrate, pairs of the others are foretold. Pairs that a prediction refuses (a score
outside the calibrants' range) are counted and left out of every score. Two rivals on the same pairs: the sign of the
proxy difference taken as certain, and discounted to the decision accuracy among the 12 calibrants.

P is folded: the chance of the recipe it favours. P is meant to err on the modest side: it never passes 1 − λ/2, so
where the line is sure, deviation is expected, and overconfidence is what must not be. P_t is the line's own chance,
λ taken out again. The Brier score is the mean squared error of a chance; .25 is a coin.
"""

import csv
import itertools
import pathlib
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from proxy.ranking.correlations import correlate
from proxy.ranking.targets import Calibrant, Candidate, predict_at_target

Float64Array = npt.NDArray[np.float64]

FILE = "regmix_pile_cc.csv"
CALIBRANTS = 12
REPETITIONS, PAIRS = 4000, 12
BINS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0)
FILLED = 500
LARGEST_DEVIATION = 0.05
CLOSE_QUARTER = 0.25


@dataclass(frozen=True, kw_only=True)
class Foretold:
    """One entry a pair (M). `chance_M`: of the first recipe, by the line alone and by the rivals likewise;
    `is_better_M`: what came; `distance_M`: of the proxy scores.
    """

    chance_M: Float64Array
    by_line_M: Float64Array
    sign_M: Float64Array
    discounted_M: Float64Array
    is_better_M: Float64Array
    distance_M: Float64Array
    refused: int


@dataclass(frozen=True, kw_only=True)
class Bin:
    """Pairs whose folded P fell here: how many, the mean P, and how often the favoured recipe was the better one."""

    low: float
    high: float
    pairs: int
    foretold: float
    observed: float


def measure(references_folder: pathlib.Path) -> list[dict[str, object]]:
    """The figures, each with what it must be and whether it is. Under a minute, always the same."""
    found = foretell(references_folder)
    rows = []
    for name, chance_M in (("P", found.chance_M), ("P_t, the line alone", found.by_line_M)):
        errors = [entry.foretold - entry.observed for entry in reliability(chance_M, found) if entry.pairs >= FILLED]
        told = f"{name} (better at target), RegMix, bins of at least {FILLED} pairs"
        for kind, value in (("overconfidence", max(*errors, 0.0)), ("deviation", max(map(abs, errors)))):
            rows.append(_row(f"{told}: largest {kind}", value, f"< {LARGEST_DEVIATION}", value < LARGEST_DEVIATION))
    is_close_M = found.distance_M <= np.quantile(found.distance_M, CLOSE_QUARTER)
    everything_M = np.ones_like(is_close_M)
    for name, is_in_M in (("all pairs", everything_M), ("the closest quarter of pairs", is_close_M)):
        own, sign, discounted = (
            brier(chance_M[is_in_M], found.is_better_M[is_in_M])
            for chance_M in (found.chance_M, found.sign_M, found.discounted_M)
        )
        told = f"P (better at target), RegMix, {name}: Brier score"
        rows += [
            _row(f"{told} against {sign:.4f} of the sign", own, f"< {sign:.4f}", own < sign),
            _row(
                f"{told} against {discounted:.4f} of the sign discounted by decision accuracy",
                own,
                f"< {discounted:.4f}",
                own < discounted,
            ),
        ]
    return rows


def reliability_table(references_folder: pathlib.Path) -> str:
    """Foretold against observed as Markdown, with how many pairs each bin rests on."""
    found = foretell(references_folder)
    lines = ["| P of the favoured recipe | pairs | mean P | how often it was better |", "|---|---|---|---|"]
    lines += [
        f"| {entry.low:.2f}–{entry.high:.2f} | {entry.pairs:,} | {entry.foretold:.3f} | {entry.observed:.3f} |"
        for entry in reliability(found.chance_M, found)
    ]
    asked = len(found.chance_M) + found.refused
    lines += ["", f"Refused, a score outside the calibrants' range: {found.refused:,} of {asked:,} pairs."]
    return "\n".join([*lines, ""])


@lru_cache(maxsize=1)
def foretell(references_folder: pathlib.Path) -> Foretold:
    """Every repetition's pairs."""
    proxy_N, reference_N = read_scores(references_folder / FILE)
    rng = np.random.default_rng(2025)
    rows, refused = [], 0
    for _ in range(REPETITIONS):
        order_N = rng.permutation(len(proxy_N))
        chosen, others = order_N[:CALIBRANTS], order_N[CALIBRANTS : CALIBRANTS + 2 * PAIRS].reshape(PAIRS, 2)
        accuracy = _decision_accuracy(proxy_N[chosen], reference_N[chosen])
        calibrants = [
            Calibrant(recipe=str(place), proxy=float(proxy_N[place]), reference=float(reference_N[place]))
            for place in chosen
        ]
        for first, second in others:
            a, b = (
                Candidate(recipe=str(place), proxy=float(proxy_N[place]), seed_variance=None)
                for place in (first, second)
            )
            told = predict_at_target(calibrants, a, b, "lower")
            chance, share = told.p_better, told.break_chance
            if chance is None or share is None:
                refused += 1
                continue
            by_line = (chance - share / 2) / (1 - share)
            sign = 0.5 * (1 + np.sign(proxy_N[second] - proxy_N[first]))
            discounted = 0.5 + (sign - 0.5) * (2 * accuracy - 1)
            is_better = 0.5 * (1 + np.sign(reference_N[second] - reference_N[first]))
            rows.append((chance, by_line, sign, discounted, is_better, abs(proxy_N[first] - proxy_N[second])))
    chance_M, by_line_M, sign_M, discounted_M, is_better_M, distance_M = np.array(rows, dtype=np.float64).T
    return Foretold(
        chance_M=chance_M,
        by_line_M=by_line_M,
        sign_M=sign_M,
        discounted_M=discounted_M,
        is_better_M=is_better_M,
        distance_M=distance_M,
        refused=refused,
    )


def read_scores(path: pathlib.Path) -> tuple[Float64Array, Float64Array]:
    """Loss at 1M and at 60M parameters of the recipes that have both."""
    scores: dict[str, dict[str, float]] = {"1M": {}, "60M": {}}
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            scores[row["scale"]][row["recipe"]] = float(row["value"])
    both = sorted(scores["1M"].keys() & scores["60M"].keys())
    return tuple(np.array([scores[scale][recipe] for recipe in both]) for scale in ("1M", "60M"))  # type: ignore[return-value]


def reliability(chance_M: Float64Array, found: Foretold) -> list[Bin]:
    """Non-empty bins of a folded chance."""
    is_first_M = chance_M >= 0.5
    folded_M = np.where(is_first_M, chance_M, 1 - chance_M)
    came_M = np.where(is_first_M, found.is_better_M, 1 - found.is_better_M)
    place_M = np.clip(np.searchsorted(BINS, folded_M, side="right") - 1, 0, len(BINS) - 2)
    bins = []
    for place, (low, high) in enumerate(itertools.pairwise(BINS)):
        is_in_M = place_M == place
        if is_in_M.any():
            bins.append(
                Bin(
                    low=low,
                    high=high,
                    pairs=int(is_in_M.sum()),
                    foretold=float(folded_M[is_in_M].mean()),
                    observed=float(came_M[is_in_M].mean()),
                )
            )
    return bins


def brier(chance_M: Float64Array, is_better_M: Float64Array) -> float:
    """Mean squared error of the chances."""
    return float(((chance_M - is_better_M) ** 2).mean())


def _decision_accuracy(proxy_N: Float64Array, reference_N: Float64Array) -> float:
    return float(correlate(proxy_N, reference_N, np.ones((1, len(proxy_N)))).decision_accuracy[0])


def _row(figure: str, value: float, must: str, holds: bool) -> dict[str, object]:
    return {"figure": figure, "value": value, "must": must, "holds": bool(holds)}
