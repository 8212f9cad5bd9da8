"""The child process: `python -m worker.cohorts.child SPEC.json`. No database, no broker, nothing but the work.

It exits at once when its standard input closes, because then nobody would hear it. What libraries print goes to
standard error: standard output carries messages only.

Where torchrun has started several, they train together (proxy.lm.ranks), and the first alone listens and speaks.
"""

import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import IO

from proxy.errors import ForetasteError
from worker.cohorts.launching import LaunchedRank, end_with_parent, launched_rank, own_gpu
from worker.cohorts.messages import (
    CANCEL,
    STOP,
    CohortSpec,
    JobEnded,
    JobProgress,
    JobSpec,
    Line,
    read_spec,
    write_line,
)

ORPHANED = 75  # exit status of a child whose supervisor has gone (EX_TEMPFAIL)
STOPPED = 143  # of one that was told to stop, as a shell reports SIGTERM
Say = Callable[[Line], None]


class Ears(threading.Thread):
    """Listens on standard input: which runs are cancelled, whether to stop, whether the supervisor is still there.

    A stop ends the process at once, until `keep_states` is called: from then on the training is asked to keep its
    states and to end by itself.

    The source is unbuffered: a daemon thread must not hold a buffer's lock when the interpreter ends.
    """

    def __init__(self, source: IO[bytes]) -> None:
        super().__init__(name="ears", daemon=True)
        self._source = source
        self._cancelled: set[str] = set()
        self._is_stopping = False
        self._keeps_states = False

    def run(self) -> None:
        """Until the input ends, and the process with it."""
        for line in self._source:
            word, _, run_id = line.decode().strip().partition(" ")
            if word == CANCEL:
                self._cancelled.add(run_id)
            elif word == STOP:
                self.stop()
        os._exit(ORPHANED)

    def has_cancelled(self, run_id: str) -> bool:
        """True once the supervisor wants the run no more."""
        return run_id in self._cancelled

    def stop(self) -> None:
        """The end is near: by itself where there is something to keep, else now."""
        self._is_stopping = True
        if not self._keeps_states:
            os._exit(STOPPED)

    def is_stopping(self) -> bool:
        """True once the process is to end."""
        return self._is_stopping

    def keep_states(self) -> None:
        """Somebody asks `is_stopping` from now on."""
        self._keeps_states = True


def mouth() -> Say:
    """Keeps standard output for messages and sends everything else that is printed to standard error."""
    messages = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    lock = threading.Lock()

    def say(line: Line) -> None:
        with lock:
            messages.write(write_line(line))
            messages.flush()

    return say


def say_nothing(_: Line) -> None:
    """What a rank says that is not the first."""


def do_job(spec: JobSpec, say: Say) -> JobEnded:
    """Runs the job; its error is part of the answer, with another attempt only if the fault may be the machine's."""
    from worker.cohorts.chores import do

    def tell(**progress: object) -> None:
        say(JobProgress(job=spec.job, progress=progress))

    try:
        return JobEnded(job=spec.job, result=do(spec, tell))
    except ForetasteError as error:
        return JobEnded(job=spec.job, error=str(error), is_retryable=error.is_retryable)
    except (OSError, MemoryError) as error:
        traceback.print_exc()
        return JobEnded(job=spec.job, error=f"{type(error).__name__}: {error}", is_retryable=True)


def train(spec: CohortSpec, launched: LaunchedRank, say: Say, ears: Ears) -> None:
    """Trains the cohort, with the other ranks if there are any."""
    if launched.count > 1 and spec.protocol.device_class == "cuda":
        os.environ["CUDA_VISIBLE_DEVICES"] = own_gpu(launched, os.environ.get("CUDA_VISIBLE_DEVICES"))
    from proxy.lm.ranks import join, leave
    from worker.cohorts.training import StoppedError, train_runs

    ranks = join(
        rank=launched.rank,
        count=launched.count,
        meeting_point=launched.meeting_point,
        device_class=spec.protocol.device_class,
    )
    try:
        for ended in train_runs(spec, say, ears, ranks):
            say(ended)
    except StoppedError:
        leave(ranks)
        sys.exit(STOPPED)
    leave(ranks)


def main(arguments: list[str]) -> None:
    """Does what the specification file says."""
    launched = launched_rank(os.environ)
    if launched.count > 1:
        end_with_parent()
    say = mouth()
    spec = read_spec(Path(arguments[0]).read_bytes())
    ears = Ears(os.fdopen(os.dup(0), "rb", buffering=0))
    if launched.rank == 0:
        ears.start()
    else:
        say = say_nothing
    signal.signal(signal.SIGTERM, lambda *_: ears.stop())
    if isinstance(spec, CohortSpec):
        train(spec, launched, say, ears)
    else:
        say(do_job(spec, say))


if __name__ == "__main__":
    main(sys.argv[1:])
