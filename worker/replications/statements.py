"""What a replication has come to, in words, with the error rate that goes with them."""

from collections.abc import Mapping, Sequence
from typing import Any

from worker.replications.reports import error_spent
from worker.store.models import Replication

ENDINGS = {
    "budget_spent": "what is left of the budget does not reach the next look",
    "seeds_spent": "every look is taken, and no further seed was planned",
    "no_noise": "different seeds gave identical scores, so nothing can be tested",
}


def conclusion_of(row: Replication, names: Mapping[str, str]) -> str | None:
    """None until something was looked at or the race has ended; `names` by recipe."""
    report, parts = row.report, []
    if report is None:
        return None if row.outcome is None else f"Nothing is resolved: {_ending(row, names)}."
    if row.outcome != "failures":
        parts.append(_known(row, report, names))
    if row.outcome not in (None, "resolved"):
        parts.append(f"It ended because {_ending(row, names)}.")
    if row.failed:
        parts.append(f"Without {_list([names[recipe] for recipe in row.failed])}, which failed.")
    return " ".join([*parts, *_certainty(row)])


def _known(row: Replication, report: Mapping[str, Any], names: Mapping[str, str]) -> str:
    if row.resolve == "pairs":
        if row.outcome == "resolved":
            ordered = [names[one["recipe"]] for one in report["recipes"]]
            return f"The order of all pairs is known, best first: {', '.join(ordered)}."
        return f"The order of {report['resolved_pairs']} of {report['pairs']} pairs is known."
    total, best = len(row.recipes) - len(row.failed), int(row.resolve.removeprefix("top-"))
    placed = {place: _named(report, names, place) for place in ("best", "open", "rest")}
    title = f"best of {total} recipes" if best == 1 else f"best {best} of {total} recipes"
    are = "is" if best == 1 else "are"
    if row.outcome == "resolved":
        return f"The {title} {are} {_list(placed['best'])}."
    known = f"known to be among them: {_list(placed['best']) or 'none'}"
    return (
        f"The {title} {are} not known; {known}; known not to be: {len(placed['rest'])}; open: {_list(placed['open'])}."
    )


def _named(report: Mapping[str, Any], names: Mapping[str, str], place: str) -> list[str]:
    return [names[one["recipe"]] for one in report["recipes"] if one["place"] == place]


def _list(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)


def _certainty(row: Replication) -> list[str]:
    """Nothing where nothing was looked at."""
    looks = len(row.looks)
    if not looks:
        return []
    spent = f"{looks} look{'' if looks == 1 else 's'}, {error_spent(row):.2g} of it spent"
    return [
        f"The chance that anything said here is wrong is at most {row.error_rate:g}, over all recipes and looks "
        f"({spent}), where recipes' seed noise is of similar size."
    ]


def _ending(row: Replication, names: Mapping[str, str]) -> str:
    if row.outcome == "failures":
        return _failures(row, names)
    words = ENDINGS[str(row.outcome)]
    if row.outcome == "budget_spent":
        return f"{words} ({row.runs_used} of {row.budget_runs} runs used)"
    if row.outcome == "seeds_spent":
        return f"{words} ({row.most_seeds} of each open recipe)"
    return words


def _failures(row: Replication, names: Mapping[str, str]) -> str:
    left = [names[recipe] for recipe in row.recipes if recipe not in row.failed]
    if not left:
        return "every recipe failed"
    wanted = "an order" if row.resolve == "pairs" else f"the best {row.resolve.removeprefix('top-')}"
    return f"too few recipes are left for {wanted}: {_list(left)}"
