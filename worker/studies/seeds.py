"""Which rates of a reference get more seeds, once its sweep has ended.

More seeds are asked for as a sweep of their own, of two rates: a run that may be given up is another run than one that
may not (docs/decisions/0002), so the first sweep's own run counts as the first seed. The second rate is one that was
given up, for 30 % of a run; where none was, the second best, whose seed tells most; where one rate alone came to a
score, the lowest that diverged or broke.
"""

from collections.abc import Iterable
from dataclasses import dataclass

GIVEN_UP, SCORED, BROKEN = range(3)  # which is taken first as the second rate


@dataclass(frozen=True, kw_only=True)
class Tried:
    """One rate of a sweep, first seed; `score` in bits per byte, None where it was not scored."""

    rate: float
    score: float | None
    was_given_up: bool


def rates_of_more_seeds(sweeps: Iterable[Iterable[Tried]]) -> list[float]:
    """`sweeps`: one a suite. The best rate on each; if that is one rate, a second one beside it: one rate would be no
    sweep, and its first seed trained again as another run. [] where nothing was scored on some suite."""
    best: set[float] = set()
    others: list[tuple[int, float, float]] = []
    for sweep in sweeps:
        tried = list(sweep)
        scored = [(one.score, one.rate) for one in tried if one.score is not None]
        if not scored:
            return []
        best.add(min(scored, key=lambda pair: pair[0])[1])
        others += [(GIVEN_UP, 0.0, one.rate) for one in tried if one.was_given_up]
        others += [(SCORED, score, rate) for score, rate in scored]
        others += [(BROKEN, 0.0, one.rate) for one in tried if one.score is None and not one.was_given_up]
    beside = [rate for _, _, rate in sorted(others) if rate not in best]
    return sorted(best | set(beside[:1] if len(best) == 1 else ()))
