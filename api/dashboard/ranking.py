"""The ranking table: one row a recipe, with its interval drawn on a common scale, and the answer in one sentence."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from api.dashboard import formats
from api.dashboard.charts import Bar, Scale, Span, Tick, bar_scale, place_bar
from api.dashboard.selection import Selection

MOST_NAMES = 6
UNRANKED = float("inf")
GATE_MEANINGS = {
    "learned nothing": "The loss must fall by at least 0.5 % of its start; a run that hardly moved is no evidence.",
    "past unigram": "On every validation set the proxy must predict better than word frequencies alone (φ > 0).",
    "progress": "φ = (H_unigram − loss) / (H_unigram − H_bigram), at least 0.5: how far the proxy has come from word "
    "frequencies towards word pairs.",
    "diverged": "A loss that stopped being a finite number ends the run; the recipe is not ranked.",
    "numerical floor": "The median update must be at least 32 units in the last place of the weights: below, rounding "
    "decides what is learned.",
    "leak": "At most 1 % of a validation set's documents may be largely in the training stream; above 10 % the score "
    "is memory and the recipe is not ranked.",
    "epochs": "No source may be seen more often than the target that the recipe declares plans to.",
    "rare source": "A source of at most 10 % of the tokens whose own validation set stays below φ = 0.5 while all "
    "others reach it is possibly below its transition: a larger model, or a larger share, may learn it suddenly.",
    "truncated": "A run must have trained on all tokens of its budget; the recipe is not ranked otherwise.",
}


@dataclass(frozen=True, kw_only=True)
class Row:
    """One recipe of the leaderboard, written out."""

    entry: Mapping[str, Any]
    rank: str
    score: str
    half_width: str
    bar: Bar | None
    failed_gates: tuple[Mapping[str, Any], ...]
    passed_gates: tuple[Mapping[str, Any], ...]

    @property
    def is_broken(self) -> bool:
        """True if the recipe has no rank."""
        return self.entry["rank"] is None


@dataclass(frozen=True, kw_only=True)
class SetColumn:
    """Scores on one validation set, in the order of the rows; `best` is the lowest."""

    name: str
    cells: tuple[str, ...]
    best: tuple[bool, ...]


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """The whole table. `answer` says which recipes could be the best."""

    rows: tuple[Row, ...]
    ticks: tuple[Tick, ...]
    sets: tuple[SetColumn, ...]
    answer: str
    contenders: tuple[str, ...]
    total: int
    has_bars_beyond: bool
    gate_meanings: Mapping[str, str]


def view_ranking(body: Mapping[str, Any], selection: Selection) -> Ranking:
    """The body's entries, found and ordered as the selection says; the scale is that of all entries."""
    entries: Sequence[Mapping[str, Any]] = body["entries"]
    scored = [entry for entry in entries if entry.get("score") is not None]
    scale = bar_scale([_span(entry) for entry in scored])
    halves = [formats.half_width(entry.get("score_low"), entry.get("score_high")) for entry in scored]
    decimals = formats.decimals_for(halves)
    shown = order_entries([entry for entry in entries if _is_found(entry, selection.find)], selection)
    rows = tuple(_row(entry, scale, decimals) for entry in shown)
    return Ranking(
        rows=rows,
        ticks=tuple(scale.ticks(4)) if scale else (),
        sets=_set_columns(shown, decimals),
        answer=body.get("refused") or _answer(entries, body.get("level", 0.95)),
        contenders=_contenders(entries),
        total=len(entries),
        has_bars_beyond=any(row.bar.beyond for row in rows if row.bar),
        gate_meanings=_meanings(entries),
    )


def _span(entry: Mapping[str, Any]) -> Span:
    return entry.get("score_low"), entry.get("score_high"), entry["score"]


def _is_found(entry: Mapping[str, Any], words: str) -> bool:
    name = entry["recipe"]["name"].casefold()
    return all(word in name for word in words.casefold().split())


def order_entries(entries: Sequence[Mapping[str, Any]], selection: Selection) -> list[Mapping[str, Any]]:
    """In the selection's order, best first; turned round, the unranked still come last."""
    column = selection.column

    def key(entry: Mapping[str, Any]) -> tuple[float | str, float]:
        rank = UNRANKED if entry["rank"] is None else entry["rank"]
        if column == "recipe":
            return entry["recipe"]["name"].casefold(), rank
        value = entry.get(column)
        return (rank if value is None else -value if column in ("p_best", "seeds") else value), rank

    ranked = [entry for entry in entries if entry["rank"] is not None]
    broken = [entry for entry in entries if entry["rank"] is None]
    return sorted(ranked, key=key, reverse=selection.is_reversed) + sorted(broken, key=lambda e: e["recipe"]["name"])


def _row(entry: Mapping[str, Any], scale: Scale | None, decimals: int) -> Row:
    gates = entry.get("gates") or ()
    half = formats.half_width(entry.get("score_low"), entry.get("score_high"))
    return Row(
        entry=entry,
        rank=formats.rank_interval(dict(entry)),
        score=formats.number(entry.get("score"), decimals),
        half_width=formats.plus_minus(half, decimals),
        bar=place_bar(scale, _span(entry)) if scale and entry.get("score") is not None else None,
        failed_gates=tuple(gate for gate in gates if not gate["passed"]),
        passed_gates=tuple(gate for gate in gates if gate["passed"]),
    )


def _set_columns(entries: Sequence[Mapping[str, Any]], decimals: int) -> tuple[SetColumn, ...]:
    names = sorted({name for entry in entries for name in entry.get("sets") or {}})
    columns = []
    for name in names:
        values = [(entry.get("sets") or {}).get(name) for entry in entries]
        known = [value for value in values if value is not None]
        best = tuple(value is not None and value == min(known) for value in values)
        cells = tuple(formats.number(value, decimals) for value in values)
        columns.append(SetColumn(name=name, cells=cells, best=best))
    return tuple(columns)


def _contenders(entries: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Recipes whose rank interval reaches the first place."""
    return tuple(entry["recipe"]["name"] for entry in entries if entry["rank"] and entry.get("rank_low") == 1)


def _answer(entries: Sequence[Mapping[str, Any]], level: float) -> str:
    ranked = sum(entry["rank"] is not None for entry in entries)
    contenders = _contenders(entries)
    if not ranked:
        return "No recipe could be ranked."
    if ranked == 1:
        return "One recipe is ranked. A ranking begins with the second."
    if not contenders:
        return f"{ranked} recipes are ranked; without intervals none can be told from another."
    if len(contenders) == 1:
        confidence = f"{100 * level:.0f} % confidence for all claims together"
        return f"{contenders[0]} is the best of {ranked} recipes, at {confidence}."
    names = ", ".join(contenders[: MOST_NAMES - 1])
    more = len(contenders) - (MOST_NAMES - 1)
    rest = f" and {more} more" if more > 0 else ""
    return f"{len(contenders)} of {ranked} recipes could be the best: {names}{rest}."


def _meanings(entries: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """What each gate in the table asks, in the order of first appearance."""
    names = dict.fromkeys(gate["name"] for entry in entries for gate in entry.get("gates") or ())
    return {name: GATE_MEANINGS[name] for name in names if name in GATE_MEANINGS}
