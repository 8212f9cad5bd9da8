"""Whether this worker was told to stop, known in every process of it.

Celery tells its main process only, and a warm shutdown waits for the task that the pool process works on. So the
main process raises a flag in memory that the pool process inherited when it was forked; a process that receives
SIGTERM itself while it works raises the same flag.
"""

import mmap
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_flag = mmap.mmap(-1, 1)  # anonymous and shared: one byte, written in a signal handler without a lock


def request_stop() -> None:
    """Tells every process of this worker to put its work back."""
    _flag[0] = 1


def forget_stop() -> None:
    """Takes the request back (a new worker in the same process)."""
    _flag[0] = 0


def is_stopping() -> bool:
    """True once the worker was told to stop."""
    return _flag[0] == 1


@contextmanager
def stopping_on_sigterm() -> Iterator[None]:
    """While the block runs, SIGTERM to this very process asks it to stop instead of ending it at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.signal(signal.SIGTERM, lambda number, frame: _stop(number, frame))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def _stop(_: int, __: FrameType | None) -> None:
    request_stop()
