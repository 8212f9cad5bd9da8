"""What a race keeps of its looks, and says of its recipes: plain data in its row, and back."""

from collections.abc import Mapping
from statistics import fmean
from typing import TYPE_CHECKING, Any

from worker.store.models import Replication, utc_now

if TYPE_CHECKING:
    from proxy.ranking.looks import Look
    from proxy.ranking.replication import RaceStatus

ORDER = {"best": 0, "open": 1, "ordered": 1, "rest": 2}  # in which a report lists them


def looks_of(row: Replication) -> tuple["Look", ...]:
    """The looks that were taken, as proxy.ranking.replication goes on from them."""
    from proxy.ranking.looks import Look

    names = row.recipes
    return tuple(
        Look(
            seeds=look["seeds"],
            better=frozenset(
                (names[one], names[other]) for one, beaten in enumerate(look["beats"]) for other in beaten
            ),
            best=tuple(look["best"]),
            rest=tuple(look["rest"]),
            undecided=tuple(look["open"]),
        )
        for look in row.looks
    )


def new_looks(row: Replication, status: "RaceStatus", looks: int) -> list[dict[str, Any]]:
    """One row a look that was not there yet; `looks` are all that the race may take."""
    place = {recipe: index for index, recipe in enumerate(row.recipes)}
    here, rows = set(status.recipes), []
    for taken, look in list(enumerate(status.looks, 1))[len(row.looks) :]:
        beats: list[list[int]] = [[] for _ in row.recipes]  # by places in the row's recipes: ids would be large
        for one, other in sorted((place[one], place[other]) for one, other in look.better):
            beats[one].append(other)
        rows.append(
            {
                "seeds": look.seeds,
                "best": list(look.best),
                "rest": list(look.rest),
                "open": list(look.undecided),
                "beats": beats,
                "resolved_pairs": sum(here.issuperset(pair) for pair in look.better),
                "error_spent": row.error_rate * taken / looks,
                "runs_used": row.runs_used,
                "taken_at": utc_now().isoformat(),
            }
        )
    return rows


def error_spent(row: Replication) -> float:
    """The part of the error rate that the looks so far have used: whatever happens, it never falls."""
    return float(row.looks[-1]["error_spent"]) if row.looks else 0.0


def report_of(status: "RaceStatus", scores: Mapping[str, Mapping[int, float]]) -> dict[str, Any]:
    """What is known so far; scores by recipe and seed. `better_than` are ids of recipes that are known to be worse."""
    places = {**dict.fromkeys(status.best, "best"), **dict.fromkeys(status.rest, "rest")}
    rows = []
    for index, recipe in enumerate(status.recipes):
        beaten = [status.recipes[other] for other in status.is_better_RR[index].nonzero()[0]]
        rows.append(
            {
                "recipe": recipe,
                "place": "open" if recipe in status.undecided else places.get(recipe, "ordered"),
                "seeds": len(scores[recipe]),
                "score": fmean(scores[recipe].values()),
                "better_than": beaten,
            }
        )
    count = len(status.recipes)
    return {
        "recipes": sorted(rows, key=lambda one: (ORDER[one["place"]], -len(one["better_than"]), one["score"])),
        "resolved_pairs": status.resolved_pairs,
        "pairs": count * (count - 1) // 2,
    }
