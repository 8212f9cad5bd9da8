"""Finding rows by what people call them, and making rows that two requests may want at once."""

import difflib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from proxy.errors import InvalidInputError, NotFoundError

Row = TypeVar("Row")
VERSION = re.compile(r"[0-9]{1,9}")  # what every database's integer holds
MOST_TRIES = 10  # each lost race means that somebody else's row was made
MOST_VALUES = 10_000  # of one statement: SQLite takes 32,766, PostgreSQL 65,535


def unknown(pointer: str, reference: str, noun: str, names: Iterable[str]) -> InvalidInputError:
    """The error for a reference that names nothing, with the names that come closest."""
    known = sorted(set(names))
    close = difflib.get_close_matches(reference, known, n=3, cutoff=0.5)
    hint = f"did you mean {', '.join(close)}?" if close else f"known are {', '.join(known[:10]) or 'none'}"
    return InvalidInputError.at(pointer, reference, f"no such {noun}; {hint}")


def split_version(reference: str) -> tuple[str, int | None]:
    """`name@3` as ("name", 3); a reference without a number after @, or one that no row could have, as it is."""
    name, _, version = reference.rpartition("@")
    if name and VERSION.fullmatch(version):
        return name, int(version)
    return reference, None


def find_or_add(session: Session, find: Callable[[], Row | None], make: Callable[[], Row]) -> tuple[Row, bool]:
    """The row that `find` sees, or a new one; True if it is new.

    Two requests that make the same row at once meet at a unique constraint: the loser finds the winner's row. Where
    two make different rows that claimed the same number (the next version of a name), the loser takes the one after.
    """
    tries = 0
    while (row := find()) is None:
        tries += 1
        try:
            with session.begin_nested():
                made = make()
                session.add(made)
        except IntegrityError:
            if tries == MOST_TRIES:
                raise
        else:
            return made, True
    return row, False


def in_parts(values: Iterable[str]) -> Iterator[list[str]]:
    """Without repetitions and in order, as many at once as every database takes in one statement."""
    ordered = sorted(set(values))
    for start in range(0, len(ordered), MOST_VALUES):
        yield ordered[start : start + MOST_VALUES]


def unique_names(rows: Iterable[tuple[str, str]]) -> dict[str, str]:
    """By id, a name to show: with the id behind it where several rows have the same one."""
    pairs = list(rows)
    counts = Counter(name for _, name in pairs)
    return {identifier: name if counts[name] == 1 else f"{name} ({identifier})" for identifier, name in pairs}


def or_not_found(find: Callable[[], Row]) -> Row:
    """What a path names: the same search, but a miss is 404 and not a faulty field."""
    try:
        return find()
    except InvalidInputError as error:
        raise NotFoundError("; ".join(f"{one.message} (got {one.value!r})" for one in error.problems)) from error
