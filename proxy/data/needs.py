"""Which computed columns a recipe's steps read, so that they can be made in one pass over each corpus."""

from collections.abc import Iterator
from functools import lru_cache, partial

import numpy as np

from proxy.data.columns import TextColumn
from proxy.data.heuristics import find_heuristic
from proxy.data.near_duplicates import NearDuplicates, signature
from proxy.data.selection import near_settings
from proxy.data.statistics import TextView, column_name, find_statistic
from proxy.recipes import Filter, HeuristicFilter, Measure, Mixture, NearDedup, Recipe, Source, StatisticFilter


def columns_needed(recipe: Recipe) -> dict[str, list[TextColumn]]:
    """By corpus reference, what sources of positive weight read of their texts; references that need none are left
    out."""
    needed: dict[str, dict[str, TextColumn]] = {}
    for pointer, mixture, _ in recipe.mixtures():
        for leaf in mixture.leaves(pointer):
            for column in (*_of_source(leaf.source), *_of_mixture(mixture)):
                needed.setdefault(leaf.source.corpus, {})[column.name] = column
    return {corpus: list(columns.values()) for corpus, columns in needed.items()}


def statistic_column(name: str) -> TextColumn:
    """A statistic of every text, float64[D]."""
    return TextColumn(name=column_name(find_statistic(name)), dtype=np.float64, compute=partial(_statistic, name))


def signature_column(settings: NearDuplicates) -> TextColumn:
    """A MinHash signature of every text, uint32[D, hashes]."""
    return TextColumn(
        name=settings.column_name,
        dtype=np.uint32,
        width=settings.hashes,
        compute=partial(signature, settings=settings),
    )


def _of_source(source: Source) -> Iterator[TextColumn]:
    for step in source.filters:
        yield from (statistic_column(name) for name in _statistics_of(step))
    if source.repeat is not None:
        yield from (statistic_column(name) for name in _measured(source.repeat))
    yield from _of_dedup(source.dedup)


def _of_mixture(mixture: Mixture) -> Iterator[TextColumn]:
    if mixture.order.by is not None:
        yield from (statistic_column(name) for name in _measured(mixture.order.by))
    yield from _of_dedup(mixture.dedup)


def _of_dedup(dedup: str | NearDedup) -> Iterator[TextColumn]:
    if isinstance(dedup, NearDedup):
        yield signature_column(near_settings(dedup))


def _statistics_of(step: Filter) -> tuple[str, ...]:
    if isinstance(step, HeuristicFilter):
        return find_heuristic(step.heuristic, step.limits).statistics()
    if isinstance(step, StatisticFilter):
        return (step.statistic,)
    return _measured(step) if isinstance(step, Measure) else ()


def _measured(measure: Measure) -> tuple[str, ...]:
    return () if measure.statistic is None else (measure.statistic,)


def _statistic(name: str, text: str) -> float:
    return float(find_statistic(name).of(_view(text)))


@lru_cache(maxsize=1)  # a pass computes all columns of a text before the next text
def _view(text: str) -> TextView:
    return TextView(text)
