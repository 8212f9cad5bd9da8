"""Leaderboard and agreement as tables for a terminal, written like the page writes them."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.markup import escape
from rich.table import Table
from rich.text import Text

from api.dashboard import formats
from api.dashboard.ranking import Row, view_ranking
from api.dashboard.selection import Selection

Body = Mapping[str, Any]


def leaderboard_table(body: Body) -> Table:
    """One row a recipe, best first, broken ones last; warnings and the answer stand below."""
    view = view_ranking(body, Selection())
    protocol, suite = body["protocol"], body["suite"]
    title = f"{protocol['name']}@{protocol['version']} on {suite['name']}@{suite['version']}"
    notes = [view.answer, *(f"Warning: {warning}" for warning in body.get("warnings") or ()), *_survival(body)]
    table = _table(f"{title}, learning rate {formats.rate(protocol.get('learning_rate'))}", notes)
    table.add_column("Rank", justify="right", no_wrap=True)
    table.add_column("Recipe", overflow="fold")
    table.add_column("Bits per byte", justify="right", no_wrap=True)
    table.add_column("P(best)", justify="right", no_wrap=True)
    table.add_column("Tied", no_wrap=True)
    table.add_column("Seeds", justify="right")
    table.add_column("Gates", overflow="fold")
    for row in view.rows:
        table.add_row(*_cells(row), style="dim" if row.is_broken else None)
    return table


def _survival(body: Body) -> list[str]:
    """What has become of the ranking since, if anything has."""
    standing, moved = body.get("standing"), body.get("moved") or {}
    notes = [] if standing is None or standing["status"] == "valid" else [formats.standing(standing)]
    names = {entry["recipe"]["id"]: entry["recipe"]["name"] for entry in body["entries"]}
    retired = body.get("retired") or {"suite": [], "recipes": {}}
    notes += [f"The suite: {words}" for words in retired["suite"]]
    said = [*moved.items(), *retired["recipes"].items()]
    return notes + [f"{names[recipe]}: {', '.join(words)}" for recipe, words in said]


def _table(title: str, notes: Sequence[str]) -> Table:
    return Table(
        title=Text(title),
        caption=Text("\n".join(notes)),
        title_justify="left",
        caption_justify="left",
        title_style="bold",
        caption_style="none",
    )


def _cells(row: Row) -> list[str | Text]:
    entry = row.entry
    return [
        row.rank,
        Text(entry["recipe"]["name"], style="bold" if entry.get("rank_low") == 1 else ""),
        f"{row.score} {row.half_width}".strip(),
        formats.probability(entry.get("p_best")),
        entry.get("letters") or "",
        formats.count(entry.get("seeds")),
        _gates(row),
    ]


def _gates(row: Row) -> Text:
    """The marks that failed, fatal ones in red; a tick and their number if all passed."""
    if not row.failed_gates:
        return Text(f"✓ {len(row.passed_gates)}" if row.passed_gates else formats.MISSING, style="green")
    marks = [
        Text(f"{'✕' if gate['is_fatal'] else '!'} {gate['name']}", style="red" if gate["is_fatal"] else "yellow")
        for gate in row.failed_gates
    ]
    return Text(", ").join(marks)


def agreement_table(bodies: Sequence[Body]) -> Table:
    """One row a protocol, all against the same references; what chance gives and the honest notes stand below."""
    sets = ", ".join(dict.fromkeys(str(body["reference_set"]) for body in bodies))
    table = _table(f"Agreement with the references {sets}, 95 % intervals", _notes(bodies))
    table.add_column("Protocol", overflow="fold")
    table.add_column("n", justify="right", no_wrap=True)
    for words in ("Spearman ρ", "Kendall τ", "Decision accuracy", "Regret@1"):
        table.add_column(words, justify="right")
    for body in bodies:
        name = Text(_proxy_name(body, with_version=True))
        style = None if _is_sound(body) else "dim"
        table.add_row(name, formats.count(body.get("n")), *_figures(body), style=style)
    return table


def paired_agreement_table(body: Body) -> Table:
    """Both protocols over the recipes that both rank; what their paired difference shows stands below."""
    sides = [{"protocol": body[name], **body[place]} for name, place in (("protocol", "first"), ("against", "second"))]
    table = agreement_table([{**side, "reference_set": body["reference_set"], "note": ""} for side in sides])
    table.caption = Text(body["conclusion"])
    return table


def _proxy_name(body: Body, *, with_version: bool = False) -> str:
    """The protocol, or the name that proxy scores from elsewhere were given."""
    if body.get("proxy_set"):
        return str(body["proxy_set"])
    protocol = body["protocol"]
    return f"{protocol['name']}@{protocol['version']}" if with_version else str(protocol["name"])


def _is_sound(body: Body) -> bool:
    return bool(body.get("is_evidence", True))


def _figures(body: Body) -> list[str]:
    decimals = {"spearman": 2, "kendall": 2, "decision_accuracy": 2, "regret_at_1": 4}
    return [escape(_figure(body, name, places)) for name, places in decimals.items()]


def _figure(body: Body, name: str, decimals: int) -> str:
    """The value and, if it has one, its interval."""
    value = formats.number(body.get(name), decimals)
    low, high = body.get(f"{name}_low"), body.get(f"{name}_high")
    return value if low is None or high is None else f"{value} {formats.interval(low, high, decimals)}"


def _notes(bodies: Sequence[Body]) -> list[str]:
    notes = []
    for body in bodies:
        said = body.get("conclusion") or body.get("note")
        if said:
            notes.append(f"{_proxy_name(body)}: {said}")
        if body.get("alarm"):
            notes.append(f"Alarm: {body['alarm']}")
        notes += body.get("notes") or ()
    chance = next((body.get("chance") or {} for body in bodies), {})
    if chance:
        shown = [("decision accuracy", "decision_accuracy", 2), ("regret@1", "regret_at_1", 4)]
        words = [f"{word} {formats.number(chance.get(name), places)}" for word, name, places in shown]
        notes.append(f"By chance: ρ and τ 0, {', '.join(words)}.")
    return notes
