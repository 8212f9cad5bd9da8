"""Which documents of a corpus a source keeps: filters, then exact dedup, then the subset, all by content.

Nothing here depends on reading order: among duplicates the one with the smallest key stays, and a subset is those
documents whose hash is small.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from proxy.data.documents import DocumentTable, Int64Array
from proxy.data.hashing import SUBSET, mix, unit_interval
from proxy.recipes import LengthFilter, Source


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Kept rows of the table, int64[K], ascending; and how many documents each step removed, in order."""

    rows: Int64Array
    removed: dict[str, int]


def select(source: Source, table: DocumentTable) -> Selection:
    """Applies the steps of one source."""
    rows = np.arange(len(table), dtype=np.int64)
    removed: dict[str, int] = {}
    for index, step in enumerate(source.filters):
        kept = rows[_passes_length(step, table.characters[rows])]
        removed[f"filters/{index} {step.kind}"] = len(rows) - len(kept)
        rows = kept
    if source.dedup == "exact":
        kept = _first_of_each_text(rows, table)
        removed["dedup exact"] = len(rows) - len(kept)
        rows = kept
    if source.subset < 1:
        kept = rows[unit_interval(mix(table.key[rows], SUBSET)) < source.subset]
        removed["subset"] = len(rows) - len(kept)
        rows = kept
    return Selection(rows=rows, removed=removed)


def _passes_length(step: LengthFilter, characters_K: Int64Array) -> npt.NDArray[np.bool_]:
    passes = characters_K >= step.minimum
    if step.maximum is not None:
        passes &= characters_K <= step.maximum
    return passes


def _first_of_each_text(rows: Int64Array, table: DocumentTable) -> Int64Array:
    order = rows[np.lexsort((table.key[rows], table.text_key[rows]))]
    texts = table.text_key[order]
    is_first = np.concatenate([[True], texts[1:] != texts[:-1]])[: len(texts)]
    return np.sort(order[is_first])
