"""The points of a search: its evaluations, as its row keeps them.

`is_own`: worker.shared_evaluations. `is_shuffled`: a control, no part of the ladder.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from worker.store.models import Evaluation

Point = dict[str, Any]


def make_point(rate: float, evaluation: Evaluation, *, is_own: bool, is_shuffled: bool = False) -> Point:
    """One evaluation of an anchor at a rate."""
    return {
        "rate": rate,
        "recipe": evaluation.recipe_id,
        "protocol": evaluation.protocol_id,
        "evaluation": evaluation.id,
        "is_own": is_own,
        "is_shuffled": is_shuffled,
    }


def ladder_points(points: Iterable[Point]) -> list[Point]:
    """Without the controls."""
    return [point for point in points if not point.get("is_shuffled", False)]


def controls(points: Iterable[Point]) -> list[Point]:
    """Those on shuffled tokens."""
    return [point for point in points if point.get("is_shuffled", False)]


def controlled_rates(points: Sequence[Point]) -> list[float]:
    """Rates that have a control, ascending: the order in which a search asks for them."""
    return sorted({point["rate"] for point in controls(points)})
