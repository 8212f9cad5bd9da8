"""Sampling plans: which tokens a run trains on, in which order. Deterministic in (recipe, budget, seed).

A source's quota is its share of the token budget. Its documents come in the order of a hash of (document, epoch,
seed) until the quota is full; the last one is cut. Then all drawn pieces of all sources are ordered by a second hash
of the same three. Neither hash knows the recipe, so two recipes share as much of their streams as their definitions
allow, and their comparison is paired (statistics.md, section 1).

Lengths are tokens; a document costs one more than it holds, for the end of text before it.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from proxy.data.documents import DocumentTable, Int64Array
from proxy.data.hashing import INCLUSION, POSITION, UInt64Array, mix
from proxy.data.selection import select
from proxy.data.tokenizers import TokenArray
from proxy.data.tokens import TokenStore
from proxy.errors import FieldProblem, InvalidInputError
from proxy.recipes import Recipe, Source


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
    """The plan of one run. InvalidInputError where a source cannot supply its share."""
    used = [(index, source) for index, source in enumerate(recipe.sources) if source.weight > 0]
    shares = recipe.shares()
    quotas = split_budget([shares[index] for index, _ in used], token_budget)
    pieces, reports = [], []
    for (index, source), quota in zip(used, quotas, strict=True):
        drawn, report = _draw(source, stores[source.corpus], quota, data_seed, (index, shares[index]))
        pieces.append(drawn)
        reports.append(report)
    source_P = np.concatenate([np.full(len(part.row), i, dtype=np.int64) for i, part in enumerate(pieces)])
    row_P = np.concatenate([part.row for part in pieces])
    length_P = np.concatenate([part.length for part in pieces])
    order = np.argsort(np.concatenate([part.position for part in pieces]), kind="stable")
    return SamplingPlan(
        stores=tuple(stores[source.corpus] for _, source in used),
        source_P=source_P[order],
        row_P=row_P[order],
        length_P=length_P[order],
        end_of_text=end_of_text,
        report=tuple(reports),
    )


def split_budget(shares: Sequence[float], token_budget: int) -> list[int]:
    """Integer quotas that sum to the budget exactly, by largest remainder; ties go to the earlier source."""
    exact = [share * token_budget for share in shares]
    quotas = [math.floor(value) for value in exact]
    by_remainder = sorted(range(len(exact)), key=lambda i: quotas[i] - exact[i])
    for index in by_remainder[: token_budget - sum(quotas)]:
        quotas[index] += 1
    return quotas


@dataclass(frozen=True, kw_only=True)
class _Pieces:
    row: Int64Array
    length: Int64Array
    position: UInt64Array


def _draw(
    source: Source, store: TokenStore, quota: int, seed: int, place: tuple[int, float]
) -> tuple[_Pieces, SourceReport]:
    index, share = place
    selection = select(source, store.documents)
    cost_K = store.token_counts[selection.rows] + 1
    available = int(cost_K.sum())
    problem = _shortage(source, index, share, quota, available)
    if problem is not None:
        raise InvalidInputError([problem])
    parts = []
    left = quota
    epoch = 0
    while left > 0:
        part = _draw_epoch(store.documents, selection.rows, cost_K, left, (seed, epoch))
        left -= int(part.length.sum())
        epoch += 1
        parts.append(part)
    pieces = _Pieces(
        row=np.concatenate([part.row for part in parts] or [np.empty(0, np.int64)]),
        length=np.concatenate([part.length for part in parts] or [np.empty(0, np.int64)]),
        position=np.concatenate([part.position for part in parts] or [np.empty(0, np.uint64)]),
    )
    report = SourceReport(
        corpus=source.corpus,
        share=share,
        documents=len(store.documents),
        removed=selection.removed,
        kept_documents=len(selection.rows),
        available_tokens=available,
        drawn_tokens=quota,
        epochs=quota / available if available else 0.0,
    )
    return pieces, report


def _draw_epoch(
    table: DocumentTable, rows: Int64Array, cost_K: Int64Array, left: int, draw: tuple[int, int]
) -> _Pieces:
    """Documents in the order of the first hash until `left` tokens are full."""
    seed, epoch = draw
    order = np.argsort(mix(table.key[rows], INCLUSION, seed, epoch), kind="stable")
    ends = np.cumsum(cost_K[order])
    count = min(int(np.searchsorted(ends, left)) + 1, len(order))
    taken = order[:count]
    length = cost_K[taken].copy()
    length[-1] -= max(int(ends[count - 1]) - left, 0)
    row = rows[taken]
    return _Pieces(row=row, length=length, position=mix(table.key[row], POSITION, seed, epoch))


def _shortage(source: Source, index: int, share: float, quota: int, available: int) -> FieldProblem | None:
    """Why the source cannot supply its quota, and what would fit; None if it can."""
    if available == 0:
        return FieldProblem(
            pointer=f"/sources/{index}/filters" if source.filters else f"/sources/{index}/corpus",
            value=[step.model_dump(mode="json") for step in source.filters] or source.corpus,
            message=f"no document of {source.corpus} is left after filters, dedup and subset",
        )
    supply = math.floor(available * source.max_epochs)
    if quota <= supply:
        return None
    return FieldProblem(
        pointer=f"/sources/{index}/weight",
        value=source.weight,
        message=(
            f"a share of {share:.4g} needs {quota:,} tokens, but {source.corpus} has {available:,} after filters, "
            f"dedup and subset, and max_epochs {source.max_epochs:g} allows {supply:,}; a share of at most "
            f"{share * supply / quota:.4g} or max_epochs of at least {quota / available:.4g} would fit"
        ),
    )


def check_feasible(
    recipe: Recipe,
    tables: Mapping[str, DocumentTable],
    token_counts: Mapping[str, Int64Array | None],
    token_budget: int,
) -> None:
    """Refuses a recipe that surely cannot supply its shares, without tokenising anything.

    `token_counts` (int64[D], in the table's order) makes it exact; where they are None, the text's bytes are an upper
    bound on its byte-level tokens. Raises InvalidInputError with one problem a source.
    """
    shares = recipe.shares()
    problems = []
    used = [index for index, share in enumerate(shares) if share > 0]
    for index, quota in zip(used, split_budget([shares[i] for i in used], token_budget), strict=True):
        source = recipe.sources[index]
        table = tables[source.corpus]
        counts = token_counts.get(source.corpus)
        cost_D = (table.text_bytes if counts is None else counts) + 1
        available = int(cost_D[select(source, table).rows].sum())
        problem = _shortage(source, index, shares[index], quota, available)
        if problem is not None:
            problems.append(problem)
    if problems:
        raise InvalidInputError(problems)
