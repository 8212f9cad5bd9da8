"""Sampling plans: which tokens a run trains on, in which order. Deterministic in (recipe, budget, seed).

A source's quota is its share of the token budget. Its documents come in the order of a hash of (document, epoch,
seed) until the quota is full (draws.py); the last one is cut. Then all drawn pieces of a phase's sources are ordered by
a second hash of the same three, or by a measure (a curriculum). Neither hash knows the recipe, so two recipes share as
much of their streams as their definitions allow, and their comparison is paired (statistics.md, section 1).

A plan can be read from any token on, and reads only what it draws.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from proxy.data.documents import Int64Array
from proxy.data.draws import Draw, Pieces
from proxy.data.fields import Float64Array
from proxy.data.holdings import Holdings
from proxy.data.shares import split_budget
from proxy.data.supplies import Supply, check_feasible, measure_supplies
from proxy.data.tokenizers import TokenArray
from proxy.data.tokens import TokenStore
from proxy.recipes import Mixture, Order, Recipe

__all__ = ["SamplingPlan", "SourceReport", "check_feasible", "plan_stream", "report_sources", "split_budget"]

BLOCK_TOKENS = 1 << 21  # of a stream that is read from end to end


@dataclass(frozen=True, kw_only=True)
class SourceReport:
    """What one source of one phase supplies; `removed` counts documents by step, `share` is of the whole budget.

    `target_epochs` are those of the large model that the recipe declares; more than the proxy's and more than one
    means that the proxy does not see the repetition that the target will (`is_repeated_more`).
    """

    pointer: str
    phase: int
    corpus: str
    share: float
    documents: int
    removed: dict[str, int]
    kept_documents: int
    available_tokens: int
    drawn_tokens: int
    epochs: float
    target_epochs: float | None
    is_estimate: bool

    @property
    def is_repeated_more(self) -> bool:
        """True if the target repeats this source more often than the proxy does."""
        return self.target_epochs is not None and self.target_epochs > max(self.epochs, 1.0) * (1 + 1e-3)


@dataclass(frozen=True, kw_only=True)
class SamplingPlan:
    """Pieces in stream order: store, row of its table, and length (end of text included), each int64[P]."""

    stores: tuple[TokenStore, ...]
    store_P: Int64Array
    row_P: Int64Array
    length_P: Int64Array
    end_of_text: int
    report: tuple[SourceReport, ...]

    @cached_property
    def ends(self) -> Int64Array:
        """Stream position after each piece, int64[P]."""
        return np.cumsum(self.length_P)

    @property
    def tokens(self) -> int:
        """Length of the stream, without the end of text that closes it."""
        return int(self.ends[-1]) if len(self.ends) else 0

    def stream(self) -> TokenArray:
        """All tokens in order and one end of text more, so that inputs and targets are views shifted by one."""
        return self.read(0, self.tokens + 1)

    def read(self, start: int, count: int) -> TokenArray:
        """`count` tokens of the stream from `start` on, at most to its closing end of text; reads no others."""
        stop = min(start + count, self.tokens)
        first = int(np.searchsorted(self.ends, start, side="right"))
        last = int(np.searchsorted(self.ends, stop, side="left")) + 1
        pieces = slice(first, last if stop > start else first)
        before = int(self.ends[first - 1]) if first else 0
        found = self._gather(pieces)[start - before : max(stop - before, 0)]
        if start + count <= self.tokens:
            return found
        return np.concatenate([found, np.array([self.end_of_text], dtype=found.dtype)])

    def blocks(self, tokens: int = BLOCK_TOKENS) -> Iterator[TokenArray]:
        """The stream without its closing end of text, `tokens` at a time."""
        for start in range(0, self.tokens, tokens):
            yield self.read(start, min(tokens, self.tokens - start))

    def fetch(self) -> None:
        """Copies every shard that the plan reads to this machine, where shards lie in a store that machines share."""
        for number, store in enumerate(self.stores):
            if store.fetch_shards is not None:
                store.fetch(np.unique(self.row_P[self.store_P == number]))

    def digest(self) -> str:
        """Names which pieces come in which order: equal plans over the same stores give the same tokens."""
        summed = hashlib.blake2b(digest_size=16)
        for column_P in (self.store_P, self.row_P, self.length_P):
            summed.update(np.ascontiguousarray(column_P).data)
        return summed.hexdigest()

    def _gather(self, pieces: slice) -> TokenArray:
        """Whole pieces, one after the other."""
        store_P, length_P = self.store_P[pieces], self.length_P[pieces]
        ends = np.cumsum(length_P)
        out = np.empty(int(ends[-1]) if len(ends) else 0, dtype=self.stores[0].dtype)
        for number, store in enumerate(self.stores):
            own = np.flatnonzero(store_P == number)
            if len(own):
                at = ends[own] - length_P[own]
                store.gather(self.row_P[pieces][own], length_P[own], self.end_of_text, out, at)
        return out


def plan_stream(
    recipe: Recipe,
    stores: Mapping[str, TokenStore],
    token_budget: int,
    data_seed: int,
    end_of_text: int,
    corpora: Mapping[str, Holdings] | None = None,
) -> SamplingPlan:
    """The plan of one run. `corpora` holds what the recipe's steps need to know besides the stores' own tables.

    InvalidInputError, one problem a source that cannot supply its share.
    """
    supplies = measure_supplies(recipe, corpora or _plain(stores), token_budget)
    shelf = tuple({id(store): store for store in stores.values()}.values())
    number = {name: [id(one) for one in shelf].index(id(store)) for name, store in stores.items()}
    drawn = _draw_all(supplies, data_seed)
    parts = [
        _in_order(mixture, [(supply, pieces) for supply, pieces in drawn if supply.phase == phase], number)
        for phase, (_, mixture, _) in enumerate(recipe.mixtures())
    ]
    store_P, row_P, length_P = (np.concatenate(column) for column in zip(*parts, strict=True))
    return SamplingPlan(
        stores=shelf,
        store_P=store_P,
        row_P=row_P,
        length_P=length_P,
        end_of_text=end_of_text,
        report=report_sources(recipe, supplies),
    )


def _plain(stores: Mapping[str, TokenStore]) -> dict[str, Holdings]:
    return {name: Holdings(table=store.documents, token_counts=store.token_counts) for name, store in stores.items()}


def _draw_all(supplies: Sequence[Supply], seed: int) -> list[tuple[Supply, Pieces]]:
    """Pieces of each supply; phases that share a pool draw from it one after the other."""
    draws: dict[str, Draw] = {}
    return [
        (supply, draws.setdefault(supply.definition(), Draw(supply, seed)).take(supply.quota)) for supply in supplies
    ]


def _in_order(
    mixture: Mixture, drawn: Sequence[tuple[Supply, Pieces]], number: Mapping[str, int]
) -> tuple[Int64Array, Int64Array, Int64Array]:
    """Store, row and length of a phase's pieces in stream order."""
    position_P = np.concatenate([pieces.position for _, pieces in drawn])
    if mixture.order.by is None:
        order = np.argsort(position_P, kind="stable")
    else:
        order = np.lexsort((position_P, np.concatenate([_progress(mixture.order, *one) for one in drawn])))
    stores = [np.full(len(pieces.row), number[supply.source.corpus]) for supply, pieces in drawn]
    row_P = np.concatenate([pieces.row for _, pieces in drawn])
    length_P = np.concatenate([pieces.length for _, pieces in drawn])
    return np.concatenate(stores)[order].astype(np.int64), row_P[order], length_P[order]


def _progress(order: Order, supply: Supply, pieces: Pieces) -> Float64Array:
    """How much of the source comes before each piece's middle when it is sorted by the measure, in (0, 1)."""
    assert order.by is not None
    values_P = supply.holdings.values(order.by, pieces.row, f"{_mixture_pointer(supply)}/order/by")
    sorted_P = np.lexsort((pieces.position, values_P if order.kind == "ascending" else -values_P))
    length_P = pieces.length[sorted_P].astype(np.float64)
    progress_P = np.empty(len(sorted_P))
    progress_P[sorted_P] = (np.cumsum(length_P) - length_P / 2) / max(float(length_P.sum()), 1.0)
    return progress_P


def _mixture_pointer(supply: Supply) -> str:
    return supply.pointer.split("/sources", 1)[0]


def report_sources(recipe: Recipe, supplies: Sequence[Supply]) -> tuple[SourceReport, ...]:
    """What each source supplies, in written order."""
    places = {leaf.pointer: index for index, leaf in enumerate(recipe.all_leaves())}
    return tuple(_report(recipe, supply) for supply in sorted(supplies, key=lambda one: places[one.pointer]))


def _report(recipe: Recipe, supply: Supply) -> SourceReport:
    target_tokens = None if recipe.target is None else supply.budget_share * recipe.target.tokens
    whole = supply.available_before_simulation
    return SourceReport(
        pointer=supply.pointer,
        phase=supply.phase,
        corpus=supply.source.corpus,
        share=supply.budget_share,
        documents=supply.holdings.scaled(len(supply.holdings.table)),
        removed={step: supply.holdings.scaled(count) for step, count in supply.selection.removed.items()},
        kept_documents=supply.holdings.scaled(len(supply.selection.rows)),
        available_tokens=supply.available,
        drawn_tokens=supply.quota,
        epochs=supply.quota / max(supply.available, 1),
        target_epochs=None if target_tokens is None else target_tokens / max(whole, 1),
        is_estimate=supply.holdings.is_estimate,
    )
