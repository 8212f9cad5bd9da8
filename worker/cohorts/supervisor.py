"""Watches one child: passes on what it says, keeps its leases alive, and ends it when it must.

No transaction is open while the child works. Whatever the child says becomes a short transaction of its own;
progress is written at most once a second for all its runs together.
"""

import logging
import time
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from sqlalchemy.exc import OperationalError

from worker.cohorts.messages import ChildSpec, CohortSpec, Line
from worker.cohorts.process import ChildProcess, running_child
from worker.settings import Settings

logger = logging.getLogger(__name__)

LISTEN_SECONDS = 0.2
PROGRESS_SECONDS = 1.0
STORE_TRIES = 5  # of an end, each as long as the database's own patience

Result = TypeVar("Result")


class Work(Protocol):
    """Leased rows in a child's hands. Every method is at most one short transaction."""

    @property
    def spec(self) -> ChildSpec:
        """What the child is told."""
        ...

    def pending(self) -> frozenset[str]:
        """Rows that have not ended yet."""
        ...

    def hear(self, line: Line) -> None:
        """Takes one message: progress is kept for later, an end is stored at once."""
        ...

    def show_progress(self) -> None:
        """Stores the progress heard since the last time."""
        ...

    def beat(self) -> frozenset[str]:
        """Extends the leases; the rows that were lost or cancelled, which are pending no more."""
        ...

    def give_back(self) -> None:
        """The worker stops: pending rows are queued again, not held against them."""
        ...

    def break_off(self, error: str) -> None:
        """The child died: pending rows are queued again, the attempt counted."""
        ...


def supervise(
    work: Work, settings: Settings, is_stopping: Callable[[], bool], program: Sequence[str] | None = None
) -> None:
    """Runs the child to its end, or to the end of our right to it. `program` gets the specification's path."""
    with running_child(work.spec, settings, program) as child:
        _watch(child, work, settings, is_stopping)
        if not work.pending():
            child.close()
            return
        if is_stopping():
            _let_it_keep_states(child, work, settings)
            child.kill()
            work.give_back()
            return
        work.break_off(child.describe_end())


def _let_it_keep_states(child: ChildProcess, work: Work, settings: Settings) -> None:
    """The leases are kept up meanwhile, so that nobody else begins these runs before their states are there."""
    if isinstance(work.spec, CohortSpec) and work.spec.checkpoint_seconds:
        deadline = time.monotonic() + settings.stop_seconds
        child.stop()
        _watch(child, work, settings, lambda: time.monotonic() >= deadline)


def _watch(child: ChildProcess, work: Work, settings: Settings, is_stopping: Callable[[], bool]) -> None:
    """Until the child ends, nothing is pending any more, or the worker is told to stop."""
    next_beat = next_progress = time.monotonic()
    while work.pending() and not is_stopping() and not child.has_ended():
        line = child.next_line(LISTEN_SECONDS)
        if line is not None:
            _hear(work, line)
        now = time.monotonic()
        if now >= next_beat:
            next_beat = now + settings.heartbeat_seconds
            for lost in _unless_busy(work.beat) or ():
                child.cancel(lost)
        if now >= next_progress:
            next_progress = now + PROGRESS_SECONDS
            _unless_busy(work.show_progress)


def _hear(work: Work, line: Line) -> None:
    """What a child says is said once: where the database is busy, it is stored again until it is."""
    for _ in range(STORE_TRIES - 1):
        try:
            work.hear(line)
        except OperationalError as error:
            logger.warning("the database is busy: %s", error)
        else:
            return
    work.hear(line)


def _unless_busy(write: Callable[[], Result]) -> Result | None:
    """A database that is busy for too long is asked again at the next turn: a lease outlives a few missed beats, and a
    training must not end because somebody else writes."""
    try:
        return write()
    except OperationalError as error:
        logger.warning("the database is busy: %s", error)
        return None
