"""Seeds: each decides a run's initial weights, and which documents it draws in which order.

An evaluation has several, one after the other from its first one on. Two whose seeds do not overlap share no run, so
that what is found with the one is independent of what the other's seeds happen to do to all recipes alike.
"""

from proxy.errors import InvalidInputError

SEED_BITS = 31  # of every seed, and of a replicate's number: a column of 32 bits holds them
MOST_FIRST_SEED = 10**9  # every seed after it has no more bits


def require_first_seed(first: int, pointer: str = "/first_seed") -> None:
    """InvalidInputError for one that is none."""
    if not 0 <= first <= MOST_FIRST_SEED:
        raise InvalidInputError.at(pointer, first, f"must be between 0 and {MOST_FIRST_SEED}")


def seeds_from(first: int, count: int) -> range:
    """So many, from the first one on."""
    return range(first, first + count)


def describe_seeds(first: int, count: int) -> str:
    """As `2 seeds`, or `2 seeds from 100 on`."""
    return f"{count} seed{'' if count == 1 else 's'}" + (f" from {first} on" if first else "")
