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
    letters = [""] * len(is_tied_RR)
    for index, members in enumerate(_groups(is_tied_RR)):
        for member in members:
            letters[member] += _symbol(index)
    return letters


def _groups(is_tied_RR: BoolArray) -> list[list[int]]:
    groups: list[list[int]] = []
    is_covered_RR = np.zeros_like(is_tied_RR)
    for first in range(len(is_tied_RR)):
        while (open_partners := np.flatnonzero(is_tied_RR[first] & ~is_covered_RR[first])).size:
            group = _grow(is_tied_RR, first, int(open_partners[-1]))
            is_covered_RR[np.ix_(group, group)] = True
            groups.append(group)
    return groups


def _grow(is_tied_RR: BoolArray, first: int, last: int) -> list[int]:
    """The largest set around a tied pair that taking recipes in order of rank gives."""
    members = {first, last}
    candidates_R = is_tied_RR[first] & is_tied_RR[last]
    for candidate in range(len(is_tied_RR)):
        if candidates_R[candidate]:
            members.add(candidate)
            candidates_R &= is_tied_RR[candidate]
    return sorted(members)


def _symbol(index: int) -> str:
    """a … z, A … Z, then a2 … Z2, a3 …: a letter and its number cannot be misread in a row of them."""
    cycle, place = divmod(index, len(ALPHABET))
    return ALPHABET[place] + (str(cycle + 1) if cycle else "")
