"""When the states of runs are kept, where, and which of them is gone on from.

A run's files lie in a folder of its own, each under a name of its own: attempt, step and claim. So an attempt that has
lost its run, and does not know it yet, never writes over the file of the one that follows it. A writer removes its own
older files and those that it found when it began; whoever stores the run's end removes the folder.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from proxy.lm.states import SavedRun, UnusableStateError, read_state, write_state


def never() -> bool:
    """Nobody asks to stop."""
    return False


def say_nothing(_: str, __: int) -> None:
    """Nobody listens."""


class StoppedError(Exception):
    """The process was told to stop, and has kept what it could."""


@dataclass(frozen=True, kw_only=True)
class Safe:
    """Where one run's states lie. `identity` names all that decides them; `attempt` and `claim`: who writes."""

    folder: Path
    identity: str
    attempt: int = 1
    claim: str = "alone"


@dataclass(frozen=True, kw_only=True)
class Saving:
    """A state is kept every `seconds` (0: never), and once more when the process `is_stopping`. `safes` by run id.

    Where keeping takes long, it is done less often: at most `most_share` of the time goes into it.

    `has_resumed` hears which run goes on from which step.
    """

    seconds: float = 0.0
    most_share: float = 0.02
    safes: Mapping[str, Safe] = field(default_factory=dict)
    is_stopping: Callable[[], bool] = never
    has_resumed: Callable[[str, int], None] = say_nothing


@dataclass(frozen=True, kw_only=True)
class Found:
    """What lay in a safe: the newest usable state, and why others were not used. `name`: of its file."""

    run: SavedRun | None
    problems: tuple[str, ...]
    attempt: int
    name: str = ""


class Saver:
    """Keeps the states of a cohort's runs by the clock. Its files: `ATTEMPT-STEP-CLAIM.safetensors`."""

    def __init__(self, saving: Saving, steps: int) -> None:
        self._saving, self._steps = saving, steps
        self._next = time.monotonic() + saving.seconds
        self._outdated: dict[str, list[Path]] = {}

    def is_due(self) -> bool:
        """True when states should be kept now; asked at every step, so it only looks at the clock."""
        return self._saving.seconds > 0 and (self._saving.is_stopping() or time.monotonic() >= self._next)

    def is_stopping(self) -> bool:
        """True once the process is to end when its states are kept."""
        return self._saving.seconds > 0 and self._saving.is_stopping()

    def wait_again(self, took_seconds: float) -> None:
        """The states are kept: the next ones in `seconds`, or later where these took long."""
        pause_seconds = took_seconds * (1 / self._saving.most_share - 1)
        self._next = time.monotonic() + max(self._saving.seconds, pause_seconds)

    def find(self, run_id: str, name: str | None = None) -> Found:
        """The state of the run that is furthest on. Whichever attempt wrote it, it is the same run.

        With a `name`, what that file holds and no other, nothing for an empty one.
        """
        safe = self._saving.safes.get(run_id)
        if safe is None:
            return Found(run=None, problems=(), attempt=1)
        paths = sorted(safe.folder.glob("*.safetensors"), key=_step_of, reverse=True)
        self._outdated[run_id] = [path for path in safe.folder.glob("*") if _number(path, 0) <= safe.attempt]
        problems = []
        for path in [path for path in paths if name in (None, path.name)]:
            try:
                found = read_state(path, safe.identity, self._steps)
            except UnusableStateError as error:
                problems.append(str(error))
            else:
                self._saving.has_resumed(run_id, found.state.step)
                return Found(run=found, problems=tuple(problems), attempt=safe.attempt, name=path.name)
        return Found(run=None, problems=tuple(problems), attempt=safe.attempt)

    def keep(self, run_id: str, run: SavedRun) -> None:
        """Writes the state, then removes the older files; OSError if it cannot be written."""
        safe = self._saving.safes.get(run_id)
        if safe is None:
            return
        path = safe.folder / f"{safe.attempt:04d}-{run.state.step:010d}-{safe.claim}.safetensors"
        write_state(path, run, safe.identity)
        for old in self._outdated.get(run_id, []):
            if old != path:
                old.unlink(missing_ok=True)
        self._outdated[run_id] = [path]


def _step_of(path: Path) -> tuple[int, str]:
    return _number(path, 1), path.name


def _number(path: Path, position: int) -> int:
    """Attempt (0) or step (1) of a file's name; −1 for a name that is none of ours."""
    parts = path.name.split("-")
    return int(parts[position]) if len(parts) > position and parts[position].isdigit() else -1
