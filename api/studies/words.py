"""What a report says in words, and how it writes a number: for its Markdown, the page of a study and the terminal."""

from collections.abc import Mapping
from typing import Any

from proxy.studies.definition import MOST_EPOCHS

Report = Mapping[str, Any]

NOTHING = "–"
EDGE = "swept, at the edge"  # proxy.ranking.tuning.Label.AT_THE_EDGE, as a report has it


def largest(suite: Report) -> Report | None:
    """The figures of most recipes, whose chance is shown for all rates; None where no rate has any."""
    found = [row["figures"] for row in suite["table"]["rows"] if row["figures"]["n"]]
    return max(found, key=lambda figures: figures["n"], default=None)


def known_differences(suite: Report) -> list[Report]:
    """Pairs of rates that have recipes in common."""
    return [row for row in suite["table"]["differences"] if row["spearman"]["estimate"] is not None]


def repeated_rows(suite: Report) -> list[Report]:
    """Rows of rates with a part of its own for recipes that repeat."""
    return [row for row in suite["table"]["rows"] if row["repetition"] is not None]


def repetition_words() -> str:
    """Where these recipes are."""
    return f"Recipes that repeat a source more than {MOST_EPOCHS:g} times are in the table of repetition alone."


def search_remarks(report: Report, suite: Report) -> list[str]:
    """What to know beside the search's conclusion: its own remarks, who was left out and why, and how to measure what a
    study does not."""
    search = suite["search"]
    found = [*search.get("remarks", ())]
    found += [f"{name} was left out: {why}." for name, why in search.get("left_out", {}).items()]
    if any("Not measured" in remark for remark in found):
        found.append(f"`{_search_command(report, suite)}` over these recipes and rates measures it.")
    return found


def _search_command(report: Report, suite: Report) -> str:
    """The rate search whose ladder is this study's own: the same seeds."""
    proxies = report["shapes"]["proxies"]
    first = f" --first-seed {proxies['first_seed']}" if proxies["first_seed"] else ""
    return f"foretaste rate-search {report['study']}-proxy … --suite {suite['suite']} --seeds {proxies['seeds']}{first}"


def edge_words(suite: Report) -> str:
    """Which references' best rate is the lowest or highest of their grid, and what to do; empty where none is."""
    found: dict[float, list[str]] = {}
    for row in suite["recipes"]:
        if row["label"] == EDGE and row["best_rate"] is not None:
            found.setdefault(row["best_rate"], []).append(row["recipe"])
    if not found:
        return ""
    told = "; ".join(f"{rate:g} for {', '.join(sorted(names))}" for rate, names in sorted(found.items()))
    return (
        f"The best rate of some references is at the edge of their grid ({told}): a better one may lie beyond it. Add "
        "rates there to the definition and run it again; only those are trained."
    )


def perfect_words(table: Report) -> str:
    """What the references' own seed noise leaves to any proxy; empty where it is unknown."""
    found, hard = table["perfect"], table["perfect_without_easy"]
    if found is None or found["estimate"] is None:
        return ""
    told = shown(found["estimate"], found["low"], found["high"], "{:.2f}")
    easy = f", and {hard['estimate']:.2f} without the easy recipes" if hard and hard["estimate"] is not None else ""
    return (
        f"A proxy that knew the recipes' true order would have a Spearman of about {told} with these references{easy}: "
        "their seed noise changes places between recipes that are close."
    )


def shown(value: float | None, low: float | None, high: float | None, form: str) -> str:
    """A value with its interval, where there is one."""
    text = number(value, form)
    return text if low is None or high is None else f"{text} [{form.format(low)}, {form.format(high)}]"


def number(value: float | None, form: str) -> str:
    """A dash where there is none."""
    return NOTHING if value is None else form.format(value)
