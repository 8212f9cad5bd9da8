"""Sampling plans: which tokens a run trains on, in which order. Deterministic in (recipe, budget, seed).

A source's quota is its share of the token budget. Its documents come in the order of a hash of (document, epoch,
seed) until the quota is full; the last one is cut. Then all drawn pieces of all sources are ordered by a second hash
of the same three. Neither hash knows the recipe, so two recipes share as much of their streams as their definitions
allow, and their comparison is paired (statistics.md, section 1).

Lengths are tokens; a document costs one more than it holds, for the end of text before it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from proxy.data.documents import DocumentTable, Int64Array
from proxy.data.hashing import INCLUSION, POSITION, UInt64Array, mix
from proxy.data.supplies import Supply, check_feasible, measure_supplies, split_budget
from proxy.data.tokenizers import TokenArray
from proxy.data.tokens import TokenStore
from proxy.recipes import Recipe

__all__ = ["SamplingPlan", "SourceReport", "check_feasible", "plan_stream", "split_budget"]


@dataclass(frozen=True, kw_only=True)
class SourceReport:
    """What one source supplied; `removed` counts documents by step."""

    corpus: str
    share: float
    documents: int
    removed: dict[str, int]
    kept_documents: int
    available_tokens: int
    drawn_tokens: int
    epochs: float


@dataclass(frozen=True, kw_only=True)
class SamplingPlan:
    """Pieces in stream order: source, row of its table, and length (end of text included), each int64[pieces]."""

    stores: tuple[TokenStore, ...]
    source_P: Int64Array
    row_P: Int64Array
    length_P: Int64Array
    end_of_text: int
    report: tuple[SourceReport, ...]

    def stream(self) -> TokenArray:
        """All tokens in order and one end of text more, so that inputs and targets are views shifted by one."""
        dtype = self.stores[0].tokens.dtype
        out = np.empty(int(self.length_P.sum()) + 1, dtype=dtype)
        position = 0
        for source, row, length in zip(self.source_P, self.row_P, self.length_P, strict=True):
            store = self.stores[source]
            start = store.offsets[row]
            out[position] = self.end_of_text
            out[position + 1 : position + length] = store.tokens[start : start + length - 1]
            position += int(length)
        out[position] = self.end_of_text
        return out


def plan_stream(
    recipe: Recipe, stores: Mapping[str, TokenStore], token_budget: int, data_seed: int, end_of_text: int
) -> SamplingPlan:
    """The plan of one run. InvalidInputError, one problem a source that cannot supply its share."""
    supplies = measure_supplies(
        recipe,
        {name: store.documents for name, store in stores.items()},
        {name: store.token_counts for name, store in stores.items()},
        token_budget,
    )
    pieces = [_draw(supply, stores[supply.source.corpus].documents, data_seed) for supply in supplies]
    sources = [np.full(len(part.row), i, dtype=np.int64) for i, part in enumerate(pieces)]
    order = np.argsort(np.concatenate([part.position for part in pieces]), kind="stable")
    return SamplingPlan(
        stores=tuple(stores[supply.source.corpus] for supply in supplies),
        source_P=np.concatenate(sources)[order],
        row_P=np.concatenate([part.row for part in pieces])[order],
        length_P=np.concatenate([part.length for part in pieces])[order],
        end_of_text=end_of_text,
        report=tuple(
            _report(supply, stores[supply.source.corpus])
            for supply in sorted(supplies, key=lambda supply: supply.index)
        ),
    )


@dataclass(frozen=True, kw_only=True)
class _Pieces:
    """Row, length and second hash of each drawn (document, epoch)."""

    row: Int64Array
    length: Int64Array
    position: UInt64Array


def _draw(supply: Supply, table: DocumentTable, seed: int) -> _Pieces:
    """Epoch after epoch until the quota is full."""
    none = np.empty(0, dtype=np.int64)
    parts = [_Pieces(row=none, length=none, position=none.astype(np.uint64))]  # a quota may be 0
    left = supply.quota
    while left > 0:
        parts.append(_draw_epoch(supply, table, left, seed, len(parts) - 1))
        left -= int(parts[-1].length.sum())
    return _Pieces(
        row=np.concatenate([part.row for part in parts]),
        length=np.concatenate([part.length for part in parts]),
        position=np.concatenate([part.position for part in parts]),
    )


def _draw_epoch(supply: Supply, table: DocumentTable, left: int, seed: int, epoch: int) -> _Pieces:
    """Documents in the order of the first hash until `left` tokens are full."""
    rows = supply.selection.rows
    order = np.argsort(mix(table.key[rows], INCLUSION, seed, epoch), kind="stable")
    ends = np.cumsum(supply.cost_K[order])
    count = min(int(np.searchsorted(ends, left)) + 1, len(order))
    taken = order[:count]
    length = supply.cost_K[taken].copy()
    length[-1] -= max(int(ends[count - 1]) - left, 0)
    row = rows[taken]
    return _Pieces(row=row, length=length, position=mix(table.key[row], POSITION, seed, epoch))


def _report(supply: Supply, store: TokenStore) -> SourceReport:
    return SourceReport(
        corpus=supply.source.corpus,
        share=supply.share,
        documents=len(store.documents),
        removed=supply.selection.removed,
        kept_documents=len(supply.selection.rows),
        available_tokens=supply.available,
        drawn_tokens=supply.quota,
        epochs=supply.quota / supply.available,
    )
