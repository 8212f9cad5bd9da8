"""A search's report at equal Σ rates: which level is drawn, and its rows on the axis of all rates.

Reports that were made before runs were scored on the way have no rows.
"""

from collections.abc import Iterator, Mapping
from typing import Any

Body = Mapping[str, Any]

UNKNOWN = {"score": None, "progress_median": None, "reliability": None, "ranks": None}


def drawn_level(report: Body) -> Body | None:
    """Of the levels that at least two rates know: the one that decides, the whole Σ rates of the rate that was chosen;
    else of the highest rate that is low enough, or of the next lower one; else the largest. None where none is known.
    """
    known = [
        (row, level)
        for row, level in zip(report["rates"], report.get("equal_travel", ()), strict=False)
        if len(level.get("rates", ())) > 1
    ]
    best = max(known, key=lambda pair: _weight(pair[0], report), default=None)
    return None if best is None else best[1]


def _weight(row: Body, report: Body) -> tuple[bool, bool, float]:
    return row["rate"] == report["rate"], row["is_low_enough"], row["rate"]


def rows_at(level: Body, report: Body) -> list[Body]:
    """One row a rate of the ladder, as the report's own; without numbers where the level is not known."""
    known = {row["rate"]: row for row in level["rates"]}
    return [known.get(row["rate"], {"rate": row["rate"], **UNKNOWN}) for row in report["rates"]]


def has_cut_runs(level: Body) -> bool:
    """Whether some row is of the middle of a run that no shorter run would have ended with."""
    return any(not row["is_end"] for row in level.get("rates", ()))


def order_of(row: Body, names: Mapping[str, str]) -> Iterator[str]:
    """The anchors' names, the best first, with their ranks."""
    for anchor, rank in sorted(row["ranks"].items(), key=lambda pair: (pair[1], names[pair[0]])):
        yield f"{rank} {names[anchor]}"
