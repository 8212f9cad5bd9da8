"""A study's report as Markdown: how far it is, then for each suite the table of the rates and what it rests on."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from api.studies.words import (
    NOTHING,
    Report,
    edge_words,
    known_differences,
    largest,
    number,
    perfect_words,
    repeated_rows,
    repetition_words,
    search_remarks,
    shown,
)
from proxy.seeds import describe_seeds

FIGURES = (
    ("Spearman", "spearman", "{:.3f}"),
    ("Kendall τ-b", "kendall", "{:.3f}"),
    ("decision accuracy", "decision_accuracy", "{:.3f}"),
    ("regret@1", "regret_at_1", "{:.4f}"),
    ("regret@3", "regret_at_3", "{:.4f}"),
    ("regret@5", "regret_at_5", "{:.4f}"),
)
LEGEND = """\
- **φ**: how much of a validation set a proxy has learned; 0 is a model of word frequencies, 1 a bigram model of the
  recipe's own stream.
- **Σ rates**: the learning rates of all steps added up, the clock by which training goes on. **η\\***: the proxies' own
  best rate.
- **regret@k**: how much worse than the best recipe the best of the proxies' first k is, in bits per byte of references.
- **Spearman with new seeds**: where it would fall for the same recipes trained again. **Ceiling**: the correlation that
  the seed noise of the scores leaves to a perfect proxy; of values, so ranks of recipes that are close lose more."""
SHORT = FIGURES[:1] + FIGURES[2:4]
ENDED_EARLY = {"failed": "has failed", "cancelled": "was cancelled"}


def as_markdown(report: Report, pictures: Sequence[Path] = ()) -> str:
    """`pictures` lie beside the report; each is shown with the suite whose name its own ends with."""
    parts = [f"# Study {report['study']}: {len(report['recipes'])} recipes", *_head(report), LEGEND]
    for suite in report["suites"]:
        own = [path.name for path in pictures if path.stem.endswith(suite["suite"])]
        parts += [f"## Suite {suite['suite']}", *_suite(report, suite), *(f"![{name}]({name})" for name in own)]
    parts += ["## Recipes", _recipes(report), "## Costs", _costs(report)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _head(report: Report) -> Iterator[str]:
    if report["description"]:
        yield report["description"]
    yield _standing(report)
    for name in ("proxies", "references"):
        shape = report["shapes"][name]
        seeds = describe_seeds(shape["first_seed"], shape["seeds"])
        seeds += " at the best rate" if name == "references" else ""
        yield (
            f"- {name}: {shape['parameters']:,} parameters, {shape['tokens']:,} tokens ({shape['steps']:,} steps of "
            f"{shape['batch_tokens']:,}, {shape['schedule']}), rates {_rates(shape['rates'])}, {seeds}"
        )
    yield "; ".join(f"{name.replace('_', ' ')}: {value}" for name, value in report["machine"].items()) + "."


def _standing(report: Report) -> str:
    progress = report["progress"]
    labels = ", ".join(f"{count} {label}" for label, count in sorted(progress["labels"].items())) or "none"
    told = (
        f"{progress['proxy_evaluations_finished']} of {progress['proxy_evaluations']} proxy evaluations have finished, "
        f"{progress['recipes_with_references']} of {progress['recipes_to_have_references']} recipes have swept "
        f"references ({labels}), {progress['recipes_with_all_seeds']} of them with all seeds at their best rate."
    )
    return f"{_state(report)} {told}"


def _state(report: Report) -> str:
    """What was trained before there were rows of studies has no state."""
    if (ended := ENDED_EARLY.get(report["state"])) is not None:
        because = f": {report['error']}" if report["error"] else "."
        return f"**This study {ended}{because}** Run again, it goes on."
    return "**Partial: this study has not ended.**" if report["is_partial"] else "All has ended:"


def _suite(report: Report, suite: Report) -> Iterator[str]:
    table = suite["table"]
    yield "Held-out sets: " + ", ".join(suite["sets"]) + ". Bits per byte; intervals are 95 %, for new recipes."
    yield _main(suite)
    yield perfect_words(table)
    yield f"Rate search, which looks at no reference: {suite['search']['conclusion']}"
    yield "\n".join(f"- {remark}" for remark in search_remarks(report, suite))
    if suite["table"]["standard"] is None and not report["is_partial"]:
        yield "No row is the standard protocol's: at every rate of the ladder a recipe broke."
    yield from _section("What the rate search saw at each rate", _gates(suite))
    notes = dict.fromkeys(row["figures"]["note"] for row in table["rows"] if not row["figures"]["is_evidence"])
    yield "\n".join(f"- {note}" for note in notes)
    if repeated_rows(suite):
        yield repetition_words()
    if at_edge := edge_words(suite):
        yield at_edge
    if gone := {rate: names for rate, names in suite["missing"].items() if names and not report["is_partial"]}:
        yield "Without a rank: " + "; ".join(f"at {rate} {', '.join(names)}" for rate, names in gone.items()) + "."
    yield from _section("Differences between rates, on the same recipes", _differences(known_differences(suite)))
    yield from _section("Within axes", _axes(table["rows"]))
    yield from _section("Within sets", _sets(suite))
    yield from _section("Other ways of weighing the sets", _weighings(suite["weighing"]))
    yield from _section("Without the easy bad recipes", _other(table["rows"], lambda row: row["parts"]["without_easy"]))
    yield from _section("Tuned references alone", _other(table["rows"], lambda row: row["tuned"]))
    yield from _section("Repetition", _other(table["rows"], lambda row: row["repetition"]))


def _section(title: str, content: str | None) -> list[str]:
    return [f"### {title}", content] if content else []


def _main(suite: Report) -> str:
    rows = [
        (
            f"{row['rate']:g}{_marks(row, suite)}",
            str(row["figures"]["n"]),
            *(_interval(row["figures"], name, form) for _, name, form in FIGURES),
            _pair(row["parts"]["noise_only_low"], row["parts"]["noise_only_high"]),
            number(row["parts"]["ceiling"], "{:.3f}"),
        )
        for row in suite["table"]["rows"]
    ]
    if (most := largest(suite)) is not None:
        chance = (number(most["chance"].get(name), form) for _, name, form in FIGURES)
        rows.append(("chance", str(most["n"]), *chance, NOTHING, NOTHING))
    names = (name for name, _, _ in FIGURES)
    return _table(("rate", "n", *names, "Spearman with new seeds", "ceiling"), rows)


def _gates(suite: Report) -> str | None:
    """The rule's numbers beside what they are to foretell."""
    spearman = {row["rate"]: row["figures"]["spearman"] for row in suite["table"]["rows"]}
    lines = [
        (
            f"{row['rate']:g}",
            number(row["travel"], "{:.3g}"),
            number(row["progress_median"], "{:.2f}"),
            number(row["progress_reached"], "{:.2f}"),
            number(row["reliability"], "{:.3f}"),
            ("" if row["is_low_enough"] else "above η*/3; ")
            + (", ".join(gate["name"] for gate in row["gates"] if gate["verdict"] == "failed") or "none"),
            number(spearman.get(row["rate"]), "{:.3f}"),
        )
        for row in suite["search"].get("rates", ())
    ]
    headings = ("rate", "Σ rates", "φ, median", "φ of 90 % of the pairs", "reliability", "gates that fail", "Spearman")
    return f"{_limits(suite['search']['thresholds'])}\n\n{_table(headings, lines)}" if lines else None


def _limits(asked: Report) -> str:
    """What the search asked for when the report was made, which may be less than it asks for now."""
    return (
        f"Asked for: φ of at least {asked['progress']:g} in {asked['share_of_pairs']:.0%} of the pairs, reliability of "
        f"at least {asked['reliability']:g}, a rate of at most {asked['highest_share_of_optimum']:.2g} of the optimum."
    )


def _marks(row: Report, suite: Report) -> str:
    marks = []
    if row["is_standard"]:
        marks.append(f"standard: best mean{_at_edge(row, suite)}")
    if suite["search"]["rate"] == row["rate"]:
        marks.append("chosen by the rate search")
    return f" ({'; '.join(marks)})" if marks else ""


def _at_edge(row: Report, suite: Report) -> str:
    """The best mean of a ladder is the proxies' own optimum only where the ladder goes on beyond it."""
    rates = [other["rate"] for other in suite["table"]["rows"]]
    return ", at the ladder's edge" if row["rate"] in (min(rates), max(rates)) else ""


def describe_row(row: Report, suite: Report) -> str:
    """A rate in a line of a terminal."""
    figures = row["figures"]
    told = ", ".join(f"{words} {_interval(figures, name, form)}" for words, name, form in SHORT)
    return f"{row['rate']:g}{_marks(row, suite)}: n {figures['n']}, {told}"


def _differences(known: Sequence[Report]) -> str | None:
    lines = [
        (
            f"{row['rate']:g} against {row['against']:g}",
            str(row["n"]),
            _difference(row["spearman"]),
        )
        for row in known
    ]
    return _table(("rates", "n", "Spearman of the first minus the second"), lines) if lines else None


def _axes(rows: Sequence[Report]) -> str | None:
    axes = sorted({axis for row in rows for axis in row["parts"]["by_axis"]})
    lines = [(f"{row['rate']:g}", *(_axis(row["parts"]["by_axis"].get(axis)) for axis in axes)) for row in rows]
    headings = ("rate", *(f"{axis}: Spearman, decision accuracy (n)" for axis in axes))
    return _table(headings, lines) if axes else None


def _axis(figures: Report | None) -> str:
    if figures is None:
        return NOTHING
    rho, share = number(figures["spearman"], "{:.2f}"), number(figures["decision_accuracy"], "{:.2f}")
    return f"{rho}, {share} ({figures['n']})"


def _sets(suite: Report) -> str | None:
    """Each set's own order, and how far its differences between recipes have grown."""
    rows = [row for row in suite["weighing"] if row["sets"]]
    if not rows:
        return _progress(suite)
    lines = [
        (
            f"{row['rate']:g}",
            number(row["progress_reached"], "{:.2f}"),
            *(_set(row["sets"][name]) for name in suite["sets"]),
        )
        for row in rows
    ]
    words = (
        "Spearman of each set's proxies with the same set's references; the spread (standard deviation over recipes) "
        "of the proxies over that of the references; median φ. A set whose share is above the others' counts for more "
        "among the proxies than among the references."
    )
    headings = ("rate", "φ of 90 % of the pairs", *suite["sets"])
    return f"{words}\n\n{_table(headings, lines)}"


def _progress(suite: Report) -> str | None:
    """Of references without scores by set, such as imported ones, nothing is known within sets but the proxies' φ."""
    rows = [row for row in suite["weighing"] if row["pairs"]]
    lines = [
        (f"{row['rate']:g}", number(row["progress_reached"], "{:.2f}"), f"{row['pairs_learned']} of {row['pairs']}")
        for row in rows
    ]
    wanted = max((row["progress_wanted"] for row in rows), default=0.0)
    words = "The references have no scores by set; how far the proxies have come on each is known."
    headings = ("rate", "φ of 90 % of the pairs", f"(recipe, set) pairs with φ of at least {wanted:g}")
    return f"{words}\n\n{_table(headings, lines)}" if rows else None


def _set(found: Report) -> str:
    return ", ".join(number(found[name], "{:.2f}") for name in ("spearman", "spread_share", "progress"))


def _weighings(rows: Sequence[Report]) -> str | None:
    lines = [
        (
            f"{row['rate']:g}",
            name,
            str(row["n"]),
            shown(found["spearman"], found["low"], found["high"], "{:.3f}"),
            number(found["regret_at_1"], "{:.4f}"),
            NOTHING if name == "mean" else _difference(found["gain"]),
        )
        for row in rows
        for name, found in row["weighings"].items()
    ]
    words = (
        "Against the references' suite score. mean: the suite's own; logs: mean of log bits per byte; standard "
        "spreads: each set's differences brought to the spread that they have at the standard rate; reference spreads: "
        "to the references' own, which no ranking could know."
    )
    headings = ("rate", "weighing", "n", "Spearman", "regret@1", "gain on the mean")
    return f"{words}\n\n{_table(headings, lines)}" if lines else None


def _difference(found: Report) -> str:
    return shown(found["estimate"], found["low"], found["high"], "{:+.3f}")


def _other(rows: Sequence[Report], part: Any) -> str | None:
    lines = [
        (f"{row['rate']:g}", str(found["n"]), *(_interval(found, name, form) for _, name, form in SHORT))
        for row in rows
        if (found := part(row)) is not None
    ]
    return _table(("rate", "n", *(name for name, _, _ in SHORT)), lines) if lines else None


def _recipes(report: Report) -> str:
    """On the first suite; all suites are in report.json."""
    suite = report["suites"][0]
    about = {recipe["name"]: recipe for recipe in report["recipes"]}
    rates = [f"{rate:g}" for rate in report["shapes"]["proxies"]["rates"]]
    lines = [
        (
            row["recipe"],
            about[row["recipe"]]["axis"]
            + (f", {about[row['recipe']]['kind']}" if about[row["recipe"]]["kind"] else ""),
            _value(row["reference"], row["reference_error"]),
            row["label"] or NOTHING,
            number(row["best_rate"], "{:g}"),
            *(number(row["proxies"].get(rate), "{:.4f}") for rate in rates),
        )
        for row in suite["recipes"]
    ]
    headings = ("recipe", "axis", "reference ± se", "label", "best rate", *(f"proxy at {rate}" for rate in rates))
    return f"On {suite['suite']}, best reference first.\n\n{_table(headings, lines)}"


def _costs(report: Report) -> str:
    lines = [
        (
            row["protocol"],
            ", ".join(f"{count} {state}" for state, count in sorted(row["runs"].items())) or NOTHING,
            f"{row['tokens']:,}",
            f"{row['training_seconds'] / 3600:.2f}",
            number(row["tokens_per_second"], "{:,.0f}"),
        )
        for row in report["costs"]
    ]
    return _table(("protocol", "runs", "tokens trained", "hours of a lane", "median tokens/s"), lines)


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _interval(figures: Report, name: str, form: str) -> str:
    return shown(figures[name], figures.get(f"{name}_low"), figures.get(f"{name}_high"), form)


def _pair(low: float | None, high: float | None) -> str:
    return NOTHING if low is None or high is None else f"[{low:.3f}, {high:.3f}]"


def _value(value: float | None, error: float | None) -> str:
    return number(value, "{:.4f}") + ("" if error is None else f" ± {error:.4f}")


def _rates(rates: Sequence[float]) -> str:
    return ", ".join(f"{rate:g}" for rate in rates)
