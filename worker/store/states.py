"""Life cycles. One enum for everything that is worked on, so that one reconciler and one page can read them all."""

from enum import StrEnum


class State(StrEnum):
    """queued → running → finished | failed | stopped | cancelled; running → queued when a lease runs out."""

    QUEUED = "queued"
    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    STOPPED = "stopped"  # a sweep's hopeless rate, given up early: final, and evidence
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        """Nothing follows it."""
        return self not in (State.QUEUED, State.RUNNING)


FINAL_STATES = tuple(state for state in State if state.is_final)
