"""Lanes: how many child processes of one worker train at once, each on its own share of the worker's cores.

Small models gain little from a second core and several times as much from being trained beside another (measured:
docs/benchmarks/lanes.md). Celery's pool has a process a lane, one at the desk, where jobs are done that people wait for
while every lane trains (docs/decisions/0028), and one more, so that schedules and the reconciler never wait for either.
A process takes a lane or the desk with a record lock on a file that it inherited: when it dies, however it dies, the
kernel gives it back.
"""

import fcntl
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

DESK = 2**20  # its number, beyond all lanes

_file = tempfile.TemporaryFile()  # noqa: SIM115 - held as long as the process lives, and inherited by the pool's


@contextmanager
def taken_lane(lanes: int) -> Iterator[int | None]:
    """The number of a free lane, this process's while the block runs; None if all are taken."""
    with _taken(range(lanes)) as lane:
        yield lane


@contextmanager
def taken_desk() -> Iterator[bool]:
    """True while the block runs if nobody else of this worker sits there."""
    with _taken((DESK,)) as number:
        yield number is not None


@contextmanager
def _taken(numbers: Iterable[int]) -> Iterator[int | None]:
    """The first of them that is free, held while the block runs."""
    taken = next((number for number in numbers if _lock(number)), None)
    try:
        yield taken
    finally:
        if taken is not None:
            fcntl.lockf(_file, fcntl.LOCK_UN, 1, taken)


def _lock(number: int) -> bool:
    try:
        fcntl.lockf(_file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, number)
    except OSError:
        return False
    return True
