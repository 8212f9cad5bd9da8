"""What is looked for in a race, and what the pairs whose order is known say about it.

Axis: R recipes that take part.
"""

import re
from dataclasses import dataclass

import numpy as np

from proxy.errors import InvalidInputError
from proxy.ranking.evidence import BoolArray


@dataclass(frozen=True, kw_only=True)
class Goal:
    """The K best recipes, or the order of all pairs where `best` is None."""

    best: int | None


def parse_goal(text: str) -> Goal:
    """`best`, `top-3`, or `pairs`."""
    if text == "pairs":
        return Goal(best=None)
    match = re.fullmatch(r"top-([1-9][0-9]{0,5})", "top-1" if text == "best" else text)
    if match is None:
        raise InvalidInputError.at("/resolve", text, f"goal {text!r} is none of best, top-<number> and pairs")
    return Goal(best=int(match[1]))


@dataclass(frozen=True, kw_only=True)
class Standing:
    """`is_open_R`: could still change the answer."""

    is_best_R: BoolArray
    is_rest_R: BoolArray
    is_open_R: BoolArray

    def named(self, names: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
        """As a look and a status say it."""
        parts = {"best": self.is_best_R, "rest": self.is_rest_R, "undecided": self.is_open_R}
        return {part: tuple(names[index] for index in np.flatnonzero(is_R)) for part, is_R in parts.items()}


def place(is_better_RR: BoolArray, goal: Goal) -> Standing:
    """As transitivity was applied, counting tells all that follows: whoever has R − K known worse is among the best."""
    recipes = len(is_better_RR)
    if not is_contest(recipes, goal):
        nobody_R = np.zeros(recipes, dtype=np.bool_)
        return Standing(is_best_R=nobody_R, is_rest_R=nobody_R, is_open_R=~nobody_R)
    if goal.best is None:
        known_RR = is_better_RR | is_better_RR.T | np.eye(recipes, dtype=np.bool_)
        nobody_R = np.zeros(recipes, dtype=np.bool_)
        is_open_R: BoolArray = (~known_RR).sum(axis=1) > 0
        return Standing(is_best_R=nobody_R, is_rest_R=nobody_R, is_open_R=is_open_R)
    is_best_R = is_better_RR.sum(axis=1) >= recipes - goal.best
    is_rest_R = is_better_RR.sum(axis=0) >= goal.best
    return Standing(is_best_R=is_best_R, is_rest_R=is_rest_R, is_open_R=~(is_best_R | is_rest_R))


def is_contest(recipes: int, goal: Goal) -> bool:
    """False where failures have left no more recipes than are looked for."""
    return recipes > (goal.best or 1)
