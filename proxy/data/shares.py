"""Weights as shares of the training tokens: by weight alone, or by weight × size^α where a recipe says so."""

import math
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction

from proxy.recipes import Group, Source
from proxy.recipes.sources import weight_of

SHARE_DIGITS = 12  # as in the recipe's fingerprint: shares that are equal there give equal quotas


def split_budget(shares: Sequence[float], token_budget: int) -> list[int]:
    """Integer quotas that sum to the budget exactly, by largest remainder; ties go to the earlier source."""
    parts = [as_written(share) for share in shares]
    if not sum(parts):
        return [0] * len(parts)
    exact = [part / sum(parts) * token_budget for part in parts]
    quotas = [math.floor(value) for value in exact]
    by_remainder = sorted(range(len(exact)), key=lambda i: quotas[i] - exact[i])
    for index in by_remainder[: token_budget - sum(quotas)]:
        quotas[index] += 1
    return quotas


def as_written(share: float) -> Fraction:
    """The decimal it stands for: as a binary number 0.2 is a little more, and a budget that fits would not."""
    return Fraction(str(round(share, SHARE_DIGITS)))


def weighted_leaves(
    members: Sequence[Source | Group], pointer: str, share: float = 1.0
) -> Iterator[tuple[str, Source, float]]:
    """Pointer, source and share by weight alone of each leaf that has any."""
    total = math.fsum(weight_of(member) for member in members)
    for index, member in enumerate(members):
        part = share * (weight_of(member) / total)
        if part == 0:
            continue
        if isinstance(member, Group):
            yield from weighted_leaves(member.sources, f"{pointer}/{index}/sources", part)
        else:
            yield f"{pointer}/{index}", member, part


def shares_of(
    members: Sequence[Source | Group], size_exponent: float | None, pointer: str, sizes: Mapping[str, int]
) -> dict[str, float]:
    """Share of each leaf by its pointer; `sizes` are tokens of the leaves that have any."""
    return dict(_walk(members, size_exponent, pointer, 1.0, sizes))


def _walk(
    members: Sequence[Source | Group],
    size_exponent: float | None,
    pointer: str,
    share: float,
    sizes: Mapping[str, int],
) -> Iterator[tuple[str, float]]:
    places = [f"{pointer}/{index}" for index in range(len(members))]
    parts = [
        weight_of(member) * _scaled(_size_of(member, place, sizes), size_exponent)
        for member, place in zip(members, places, strict=True)
    ]
    total = math.fsum(parts)
    for member, place, part in zip(members, places, parts, strict=True):
        own = share * (part / total) if total else 0.0
        if isinstance(member, Group):
            yield from _walk(member.sources, member.size_exponent, f"{place}/sources", own, sizes)
        else:
            yield place, own


def _size_of(member: Source | Group, place: str, sizes: Mapping[str, int]) -> int:
    if isinstance(member, Group):
        return sum(_size_of(inner, f"{place}/sources/{index}", sizes) for index, inner in enumerate(member.sources))
    return sizes.get(place, 0)


def _scaled(size: int, exponent: float | None) -> float:
    return 1.0 if exponent is None else float(size) ** exponent if size else 0.0
