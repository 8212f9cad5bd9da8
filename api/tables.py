"""Leaderboard and agreement as tables for a terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

Body = Mapping[str, Any]

NOTHING = "–"


def leaderboard_table(body: Body) -> Table:
    """The ranking: rank and its interval, score ± interval in bits per byte, P(best), gates that failed."""
    protocol, suite = body["protocol"], body["suite"]
    title = (
        f"{protocol['name']}@{protocol['version']} (rate {protocol['learning_rate']:.2e}) "
        f"on {suite['name']}@{suite['version']}, {body['level']:.0%} intervals"
    )
    table = Table(title=title, caption="\n".join(body["warnings"]) or None, caption_justify="left")
    for heading in ("rank", "recipe", "bits per byte", "P(best)", "ties", "seeds", "gates"):
        table.add_column(heading, justify="right" if heading in ("rank", "P(best)", "seeds") else "left")
    for entry in body["entries"]:
        table.add_row(*_entry_cells(entry))
    return table


def _entry_cells(entry: Body) -> tuple[str, ...]:
    failed = [gate for gate in entry["gates"] if not gate["passed"]]
    marks = ", ".join(
        f"[red]{gate['name']}[/]" if gate["is_fatal"] else f"[yellow]{gate['name']}[/]" for gate in failed
    )
    return (
        _rank(entry),
        entry["recipe"]["name"],
        _score(entry),
        _number(entry["p_best"], 2),
        entry["letters"],
        str(entry["seeds"]),
        marks or "[green]ok[/]",
    )


def _rank(entry: Body) -> str:
    if entry["rank"] is None:
        return "unranked"
    if entry["rank_low"] is None:
        return str(entry["rank"])
    return f"{entry['rank']} [dim][{entry['rank_low']}–{entry['rank_high']}][/dim]".replace("[dim][", "[dim]\\[")


def _score(entry: Body) -> str:
    if entry["score"] is None:
        return NOTHING
    if entry["score_low"] is None:
        return f"{entry['score']:.4f}"
    return f"{entry['score']:.4f} ± {(entry['score_high'] - entry['score_low']) / 2:.4f}"


def agreement_table(bodies: Sequence[Body]) -> Table:
    """One row a protocol: each figure with its interval, or without one where none is due; beneath, what chance gives."""
    first = bodies[0]
    title = f"Agreement with references {first['reference_set']} ({first['metric']}, {first['direction']} is better)"
    table = Table(title=title, caption="\n".join(f"{_name(body)}: {body['note']}" for body in bodies))
    table.caption_justify = "left"
    for heading in ("protocol", "rate", "n", "Spearman", "Kendall τ-b", "decision accuracy", "regret@1"):
        table.add_column(heading, justify="left" if heading == "protocol" else "right")
    for body in bodies:
        figures = (_figure(body, name) for name in ("spearman", "kendall", "decision_accuracy", "regret_at_1"))
        table.add_row(_name(body), f"{body['protocol']['learning_rate']:.2e}", str(body["n"]), *figures)
    chance = first["chance"]
    by_chance = (_number(chance.get(name)) for name in ("spearman", "kendall", "decision_accuracy", "regret_at_1"))
    table.add_row("[dim]by chance[/]", "", "", *by_chance)
    return table


def _name(body: Body) -> str:
    return f"{body['protocol']['name']}@{body['protocol']['version']}"


def _figure(body: Body, name: str) -> str:
    low, high = body.get(f"{name}_low"), body.get(f"{name}_high")
    interval = f" \\[{low:.3f}, {high:.3f}]" if low is not None and high is not None else ""
    return f"{_number(body[name])}{interval}"


def _number(value: float | None, digits: int = 3) -> str:
    return NOTHING if value is None else f"{value:.{digits}f}"
