"""Lanes: how many child processes of one worker train at once, each on its own share of the worker's cores.

Small models gain little from a second core and several times as much from being trained beside another (measured:
docs/benchmarks/lanes.md). Celery's pool has a process a lane and one more, so that schedules and the reconciler never
wait for a training. A process takes a lane with a record lock on a file that it inherited: when it dies, however it
dies, the kernel gives the lane back.
"""

import fcntl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

_file = tempfile.TemporaryFile()  # noqa: SIM115 - held as long as the process lives, and inherited by the pool's


@contextmanager
def taken_lane(lanes: int) -> Iterator[int | None]:
    """The number of a free lane, this process's while the block runs; None if all are taken."""
    lane = next((number for number in range(lanes) if _lock(number)), None)
    try:
        yield lane
    finally:
        if lane is not None:
            fcntl.lockf(_file, fcntl.LOCK_UN, 1, lane)


def _lock(number: int) -> bool:
    try:
        fcntl.lockf(_file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, number)
    except OSError:
        return False
    return True
