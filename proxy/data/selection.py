"""Which documents of a corpus a source keeps: decontamination, filters in written order, dedup, then the subset.

Nothing here depends on reading order: among duplicates the one with the smallest key stays, quantiles break ties by
key, and a subset is those documents whose hash is small. K counts rows that are kept so far.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from proxy.data.documents import Int64Array
from proxy.data.fields import BoolArray, Float64Array
from proxy.data.hashing import SUBSET, UInt64Array, mix, unit_interval
from proxy.data.heuristics import find_heuristic
from proxy.data.holdings import Holdings
from proxy.data.near_duplicate_groups import StackedSignatures, survivors
from proxy.data.near_duplicates import NearDuplicates
from proxy.recipes import (
    FieldFilter,
    Filter,
    HeuristicFilter,
    LengthFilter,
    Measure,
    NearDedup,
    QuantileFilter,
    Source,
    StatisticFilter,
)

ROWS_AT_ONCE = 1 << 20  # hashing in blocks keeps ten million documents' temporaries small


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Kept rows of the table, int64[K], ascending; and how many documents each step removed, in order."""

    rows: Int64Array
    removed: dict[str, int]


def select(source: Source, holdings: Holdings, pointer: str = "", decontaminate: bool = True) -> Selection:
    """Applies the steps of one source. InvalidInputError below `pointer` for a field that is not there."""
    rows = np.arange(len(holdings.table), dtype=np.int64)
    removed: dict[str, int] = {}

    def keep(step: str, kept: Int64Array) -> Int64Array:
        removed[step] = len(rows) - len(kept)
        return kept

    if decontaminate and holdings.contaminated is not None:
        rows = keep("decontamination", rows[~holdings.contaminated])
    for index, step in enumerate(source.filters):
        kept = rows[_passes(step, holdings, rows, f"{pointer}/filters/{index}")]
        rows = keep(f"filters/{index} {_name(step)}", kept)
    if source.dedup != "none":
        rows = keep(f"dedup {dedup_name(source.dedup)}", rows[unique(source.dedup, [(holdings, rows)])])
    if source.subset < 1:
        rows = keep("subset", rows[hashed_below(holdings, rows, source.subset)])
    return Selection(rows=rows, removed=removed)


def _passes(step: Filter, holdings: Holdings, rows: Int64Array, pointer: str) -> BoolArray:
    match step:
        case LengthFilter():
            return _within(holdings.table.characters[rows].astype(np.float64), step.minimum, step.maximum)
        case FieldFilter():
            return _meets(step, holdings, pointer)[rows]
        case StatisticFilter():
            return _within(holdings.statistic(step.statistic)[rows], step.minimum, step.maximum)
        case HeuristicFilter():
            return _follows(step, holdings, rows)
        case QuantileFilter():
            return between_quantiles(step, step.low, step.high, holdings, rows, pointer)


def _name(step: Filter) -> str:
    """What a report calls it."""
    match step:
        case FieldFilter():
            return f"field {step.field}"
        case StatisticFilter():
            return step.statistic
        case HeuristicFilter():
            return step.heuristic
        case QuantileFilter():
            return f"quantile {step.field or step.statistic}"
    return step.kind


def _within(values_K: Float64Array, minimum: float | None, maximum: float | None) -> BoolArray:
    passes_K = np.ones(len(values_K), dtype=bool)
    if minimum is not None:
        passes_K &= values_K >= minimum
    if maximum is not None:
        passes_K &= values_K <= maximum
    return passes_K


def _meets(step: FieldFilter, holdings: Holdings, pointer: str) -> BoolArray:
    """Every condition that is given, bool[D]."""
    column = holdings.field_column(step.field, f"{pointer}/field")
    passes_D = ~column.missing()
    if step.equals is not None:
        passes_D &= column.equals(step.equals)
    if step.any_of is not None:
        passes_D &= column.isin(step.any_of)
    if step.glob is not None:
        passes_D &= column.glob(step.glob)
    if step.minimum is not None or step.maximum is not None:
        name = "minimum" if step.minimum is not None else "maximum"
        passes_D &= column.between(step.minimum, step.maximum, f"{pointer}/{name}")
    if step.since is not None or step.before is not None:
        passes_D &= column.between(step.since, step.before, f"{pointer}/{'since' if step.since else 'before'}")
    if step.before is not None:
        passes_D &= ~column.equals(step.before)
    return ~passes_D if step.exclude else passes_D


def _follows(step: HeuristicFilter, holdings: Holdings, rows: Int64Array) -> BoolArray:
    passes_K = np.ones(len(rows), dtype=bool)
    for rule in find_heuristic(step.heuristic, step.limits).rules:
        values_K = holdings.statistic(rule.statistic)[rows]
        passes_K &= _within(values_K, rule.minimum, rule.maximum)
        if rule.is_strict:
            passes_K &= ~np.isin(values_K, [limit for limit in (rule.minimum, rule.maximum) if limit is not None])
    return passes_K


def between_quantiles(
    measure: Measure, low: float, high: float, holdings: Holdings, rows: Int64Array, pointer: str
) -> BoolArray:
    """Rows whose rank by (measure, key) lies in [low, high) of all K, bool[K]: neighbouring quantiles never share."""
    values_K = holdings.values(measure, rows, pointer)
    from_low_K = _from_rank(values_K, _share_of(len(rows), low))
    return from_low_K & ~_from_rank(values_K, _share_of(len(rows), high))


def _from_rank(values_K: Float64Array, rank: int) -> BoolArray:
    """Those whose rank is at least that, bool[K]; rows ascend by key, so of equal values the later rank higher. Finds
    one value instead of sorting all: a tenth of the time, half of the memory."""
    if rank in (0, len(values_K)):
        return np.full(len(values_K), rank == 0)
    threshold = np.partition(values_K, rank)[rank]
    chosen_K: BoolArray = values_K >= threshold
    below = len(values_K) - int(np.count_nonzero(chosen_K))
    if below < rank:
        chosen_K[np.flatnonzero(values_K == threshold)[: rank - below]] = False
    return chosen_K


def _share_of(count: int, share: float) -> int:
    """The decimal that was written: in floats 0.29 of 100 are 28."""
    return math.floor(count * Fraction(str(share)))


def unique(dedup: str | NearDedup, parts: Sequence[tuple[Holdings, Int64Array]]) -> BoolArray:
    """One document of each group of duplicates over all parts, bool[rows of all parts]: that of the smallest key, and
    of equal keys that of the first part."""
    if isinstance(dedup, NearDedup):
        settings = near_settings(dedup)
        stacked = StackedSignatures([(holdings.columns[settings.column_name], rows) for holdings, rows in parts])
        return survivors(stacked, np.concatenate([holdings.table.key[rows] for holdings, rows in parts]), settings)
    text_key_K = np.concatenate([holdings.table.text_key[rows] for holdings, rows in parts])
    shared = _places_of_duplicates(text_key_K)
    key_S = _keys_at(shared, parts)
    order = np.lexsort((key_S, text_key_K[shared]))  # stable: of equal keys the first part's comes first
    shared = shared[order]
    is_first_K = np.ones(len(text_key_K), dtype=bool)
    is_first_K[shared[1:][text_key_K[shared[1:]] == text_key_K[shared[:-1]]]] = False
    return is_first_K


def _places_of_duplicates(text_key_K: UInt64Array) -> Int64Array:
    """Places whose text another place has too, int64[S]. Sorting values alone is quick and small; the places of the few
    that occur twice are looked for afterwards."""
    sorted_K = np.sort(text_key_K)
    twice = sorted_K[1:][sorted_K[1:] == sorted_K[:-1]]
    del sorted_K
    places = [np.empty(0, dtype=np.int64)]
    if len(twice):
        for begin in range(0, len(text_key_K), ROWS_AT_ONCE):
            block = text_key_K[begin : begin + ROWS_AT_ONCE]
            at = np.minimum(np.searchsorted(twice, block), len(twice) - 1)
            places.append(begin + np.flatnonzero(twice[at] == block))
    return np.concatenate(places)


def _keys_at(places: Int64Array, parts: Sequence[tuple[Holdings, Int64Array]]) -> UInt64Array:
    """Keys of ascending places in all parts' rows one after the other."""
    ends = np.cumsum([len(rows) for _, rows in parts])
    found = [np.empty(0, dtype=np.uint64)]
    for (holdings, rows), end in zip(parts, ends, strict=True):
        first, last = np.searchsorted(places, [end - len(rows), end])
        found.append(holdings.table.key[rows[places[first:last] - (end - len(rows))]])
    return np.concatenate(found)


def near_settings(dedup: NearDedup) -> NearDuplicates:
    """As the search takes them."""
    return NearDuplicates(**dedup.model_dump(exclude={"kind"}))


def dedup_name(dedup: str | NearDedup) -> str:
    """What a report calls it."""
    return dedup if isinstance(dedup, str) else f"near {dedup.similarity:g}"


def hashed_below(holdings: Holdings, rows: Int64Array, share: float) -> BoolArray:
    """That share of the rows, by content and the same for every seed, bool[K]."""
    return in_blocks(rows, lambda block: unit_interval(mix(holdings.table.key[block], SUBSET)) < share)


def in_blocks(rows: Int64Array, test: Callable[[Int64Array], BoolArray]) -> BoolArray:
    """A test of many rows, some at a time."""
    passes_K = np.empty(len(rows), dtype=bool)
    for begin in range(0, len(rows), ROWS_AT_ONCE):
        passes_K[begin : begin + ROWS_AT_ONCE] = test(rows[begin : begin + ROWS_AT_ONCE])
    return passes_K
