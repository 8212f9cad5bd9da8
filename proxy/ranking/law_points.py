"""Proxy losses of one recipe at several sizes and budgets, and whether they can identify a loss law at all.

Size: N parameters (non-embedding, or any count used alike everywhere). Budget: D training tokens. A scale is a pair of
both. Loss: bits per byte or nats a token, lower is better, above zero.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from proxy.errors import InvalidInputError

OWN_SIZES, OWN_BUDGETS, OWN_SCALES, OWN_POINTS = 3, 3, 5, 6
SHARED_SIZES, SHARED_BUDGETS, SHARED_SCALES = 2, 2, 3
# Above this correlation of log N and log D an interval of the two parts' shares is wider than the shares themselves.
TOGETHER = 0.98
LEAST, MOST = 1e-24, 1e24  # powers of anything within stay in the range of float64
ROUNDING = 1e-12  # of a loss: a smaller standard error is none


@dataclass(frozen=True, kw_only=True)
class Scale:
    """A size and a budget: N parameters trained on D tokens."""

    parameters: float
    tokens: float

    @property
    def compute(self) -> float:
        """N · D: proportional to training FLOPs."""
        return self.parameters * self.tokens


@dataclass(frozen=True, kw_only=True)
class LawPoint:
    """One mean loss, or one run's. `standard_error` is its seed noise, best from a pool of recipes (seeds.py): weights
    from two seeds alone would be noise themselves.
    """

    parameters: float
    tokens: float
    loss: float
    standard_error: float | None = None

    @property
    def scale(self) -> Scale:
        """Where it was measured."""
        return Scale(parameters=self.parameters, tokens=self.tokens)


def check_scale(scale: Scale, pointer: str) -> None:
    """InvalidInputError unless both are positive numbers."""
    for name, value in (("parameters", scale.parameters), ("tokens", scale.tokens)):
        _check_positive(f"{pointer}/{name}", value)


def check_points(points: Sequence[LawPoint], pointer: str) -> None:
    """InvalidInputError at the first number that no law can be fitted to."""
    for index, point in enumerate(points):
        check_scale(point.scale, f"{pointer}/{index}")
        _check_positive(f"{pointer}/{index}/loss", point.loss)
        error = point.standard_error
        if error is not None and not ROUNDING * point.loss < error < point.loss:
            raise InvalidInputError.at(
                f"{pointer}/{index}/standard_error", error, f"must lie between zero and the loss, {point.loss:.6g}"
            )


def refusal_of_own_law(points: Sequence[LawPoint]) -> str | None:
    """Why five parameters cannot be fitted to this recipe alone; None where they can."""
    sizes, budgets, scales = _distinct(points)
    wanted = [
        (OWN_SIZES - sizes, "size"),
        (OWN_BUDGETS - budgets, "budget"),
        (OWN_SCALES - scales, "different scale"),
        (OWN_POINTS - len(points), "point"),
    ]
    needs = f"{OWN_SIZES} sizes, {OWN_BUDGETS} budgets, {OWN_SCALES} different scales and {OWN_POINTS} points"
    return _refusal(points, wanted, f"a loss law with exponents of its own needs at least {needs}")


def refusal_of_shared_law(points: Sequence[LawPoint]) -> str | None:
    """Why E, A and B cannot be fitted to this recipe even at known exponents; None where they can."""
    sizes, budgets, scales = _distinct(points)
    wanted = [
        (SHARED_SIZES - sizes, "size"),
        (SHARED_BUDGETS - budgets, "budget"),
        (SHARED_SCALES - scales, "different scale"),
    ]
    needs = f"{SHARED_SIZES} sizes, {SHARED_BUDGETS} budgets and {SHARED_SCALES} different scales"
    return _refusal(points, wanted, f"a loss law with shared exponents needs at least {needs} of each recipe")


def measurable_exponents(recipes: Sequence[Sequence[LawPoint]]) -> tuple[bool, bool]:
    """Whether exponents shared by these recipes can be measured: (α, β).

    Two sizes of a recipe fix the difference they make, which any α explains with its own E and A, however many recipes
    there are: some recipe needs a third. And there must be a scale beyond three for each exponent.
    """
    counts = [_distinct(points) for points in recipes]
    has_sizes = any(sizes >= OWN_SIZES for sizes, _, _ in counts)
    has_budgets = any(budgets >= OWN_BUDGETS for _, budgets, _ in counts)
    surplus = sum(scales - SHARED_SCALES for _, _, scales in counts)
    if surplus < has_sizes + has_budgets:
        return False, False
    return has_sizes, has_budgets


def _distinct(points: Sequence[LawPoint]) -> tuple[int, int, int]:
    """How many sizes, budgets and scales."""
    scales = {point.scale for point in points}
    return len({scale.parameters for scale in scales}), len({scale.tokens for scale in scales}), len(scales)


def _refusal(points: Sequence[LawPoint], wanted: Sequence[tuple[int, str]], needs: str) -> str | None:
    missing = [_count(number, noun) for number, noun in wanted if number > 0]
    if missing:
        sizes, budgets, _ = _distinct(points)
        found = f"{_count(len(points), 'point')} of {_count(sizes, 'size')} and {_count(budgets, 'budget')}"
        return f"There are {found}; {needs}. Missing: {', '.join(missing)}."
    together = _correlation(points)
    if abs(together) > TOGETHER:
        return (
            f"Sizes and budgets move together (correlation {together:.3f} of their logs), so what each does cannot be"
            " told apart. Missing: another budget at one size; under a constant schedule every checkpoint is one."
        )
    return None


def _correlation(points: Sequence[LawPoint]) -> float:
    scales = {point.scale for point in points}
    logs_P2 = np.log([(scale.parameters, scale.tokens) for scale in scales])
    return float(np.corrcoef(logs_P2, rowvar=False)[0, 1])


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _check_positive(pointer: str, value: float) -> None:
    if not LEAST <= value <= MOST:
        raise InvalidInputError.at(pointer, value, f"must be a positive number, {LEAST:g} to {MOST:g}")
