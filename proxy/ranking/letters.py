"""Compact letter display: two recipes share a letter exactly if their difference is not resolved.

Not being resolved is no equivalence (a = b, b = c, yet a < c), so groups overlap and disjoint tiers would lie. Groups
are maximal sets of mutually unresolved recipes, taken greedily from the best until every unresolved pair is covered;
for evenly noisy recipes this gives the same groups as H.-P. Piepho's insert-and-absorb (J. Computational and Graphical
Statistics 13(2), 2004) without its exponential worst case.
"""

import string

import numpy as np

from proxy.ranking.evidence import BoolArray

ALPHABET = string.ascii_lowercase + string.ascii_uppercase


def compact_letters(is_resolved_RR: BoolArray) -> list[str]:
    """One string a recipe; recipes are given in order, best first, and `a` belongs to the best."""
    is_tied_RR = ~is_resolved_RR
    np.fill_diagonal(is_tied_RR, True)
    letters: list[list[str]] = [[] for _ in is_tied_RR]
    for index, members in enumerate(_groups(is_tied_RR)):
        symbol = _symbol(index)
        for member in _members(members):
            letters[member].append(symbol)
    return ["".join(symbols) for symbols in letters]


def _groups(is_tied_RR: BoolArray) -> list[int]:
    """Each as an integer whose bit i says that recipe i belongs to it: a thousand recipes make many groups."""
    ties = [_bits(row) for row in is_tied_RR]
    covered = [0] * len(ties)
    groups = []
    for first, tied in enumerate(ties):
        while open_partners := tied & ~covered[first]:
            group = _grow(ties, first, open_partners.bit_length() - 1)
            for member in _members(group):
                covered[member] |= group
            groups.append(group)
    return groups


def _grow(ties: list[int], first: int, last: int) -> int:
    """The largest set around a tied pair that taking recipes in order of rank gives."""
    group = (1 << first) | (1 << last)
    candidates = ties[first] & ties[last]
    while candidates:
        candidate = candidates & -candidates
        group |= candidate
        candidates &= ties[candidate.bit_length() - 1] & ~candidate
    return group


def _bits(flags: BoolArray) -> int:
    return int.from_bytes(np.packbits(flags, bitorder="little").tobytes(), "little")


def _members(group: int) -> list[int]:
    return [index for index, digit in enumerate(reversed(f"{group:b}")) if digit == "1"]


def _symbol(index: int) -> str:
    """a … z, A … Z, then a2 … Z2, a3 …: a letter and its number cannot be misread in a row of them."""
    cycle, place = divmod(index, len(ALPHABET))
    return ALPHABET[place] + (str(cycle + 1) if cycle else "")
