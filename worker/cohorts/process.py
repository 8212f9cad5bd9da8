"""One child process: told by a specification file what to do, heard line by line, killed with everything it started.

It leads a process group of its own. Its standard input stays open as long as its supervisor lives; when that
closes, however the supervisor ended, the child exits. Its standard error goes to a file whose end explains a crash.
"""

import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import IO

from proxy.errors import OUT_OF_MEMORY, WHAT_HELPS
from worker.cohorts.forking import ForkedProcess, fork_child, may_be_forked
from worker.cohorts.launching import command_of, ranks_of, without_launcher
from worker.cohorts.messages import CANCEL, STOP, ChildSpec, Line, read_line
from worker.settings import Settings

EXIT_SECONDS = 5.0  # for a child that has said everything
LAST_WORDS = 2000  # characters of standard error kept with an error
RANK_KILLED = "Signal 9 (SIGKILL)"  # in torchrun's words about a rank
Start = Callable[[IO[bytes]], subprocess.Popen[bytes] | ForkedProcess]  # with its standard error
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS")


def child_environment(settings: Settings, ranks: int = 1) -> dict[str, str]:
    """The threads of each of the child's processes, set before any library starts its pool; compiled code is kept
    between children. Ranks talk to each other on this machine alone."""
    threads = str(settings.threads_a_rank(ranks))
    cache = settings.data_dir.resolve() / "cache" / "inductor"
    extra = dict.fromkeys(THREAD_VARIABLES, threads) | {"TORCHINDUCTOR_CACHE_DIR": str(cache)}
    # Threads that spin while they wait starve everybody else and, on a busy machine, themselves: with two other
    # processes on two cores a training step took 1,188 ms with OpenMP's default policy and 11 ms with this one.
    extra |= {"OMP_WAIT_POLICY": "PASSIVE"}
    extra |= {"TOKENIZERS_PARALLELISM": "true" if int(threads) > 1 else "false"}
    if ranks > 1 and sys.platform.startswith("linux"):
        extra |= {"GLOO_SOCKET_IFNAME": "lo"}
    return dict(os.environ) | extra


def kernel_kills() -> int:
    """Processes that the kernel has killed since its start because memory ran out; 0 where it does not say."""
    with suppress(OSError, ValueError):
        for line in Path("/proc/vmstat").read_text().splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    return 0


def execute(command: Sequence[str], environment: Mapping[str, str], errors: IO[bytes]) -> subprocess.Popen[bytes]:
    """A program in a process group of its own, with pipes for its input and output."""
    return subprocess.Popen(
        command,
        env=dict(environment),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors,
        start_new_session=True,
    )


class ChildProcess:
    """A running child. `next_line` never blocks longer than asked."""

    def __init__(self, start: Start, log: Path) -> None:
        self._log = log
        self._kernel_kills = kernel_kills()
        with log.open("wb") as errors:
            self._process = start(errors)
        self._lines: queue.Queue[bytes | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, name="child-lines", daemon=True)
        self._reader.start()
        self._is_drained = False

    @property
    def pid(self) -> int:
        """Also the id of its process group."""
        return self._process.pid

    def next_line(self, timeout_seconds: float) -> Line | None:
        """The next message, or None if none came in time or none will come any more."""
        try:
            line = self._lines.get(timeout=0 if self._is_drained else timeout_seconds)
        except queue.Empty:
            return None
        if line is None:
            self._is_drained = True
            return None
        return read_line(line)

    def has_ended(self) -> bool:
        """True once it is gone and all it said has been read."""
        return self._is_drained

    def cancel(self, run_id: str) -> None:
        """Asks it to leave one run and go on with the others."""
        with suppress(BrokenPipeError):  # it is gone already, so it does not train that run either
            self._stdin.write(f"{CANCEL} {run_id}\n".encode())
            self._stdin.flush()

    def stop(self) -> None:
        """Asks it to keep what it has and to end."""
        with suppress(BrokenPipeError):
            self._stdin.write(f"{STOP}\n".encode())
            self._stdin.flush()

    def describe_end(self) -> str:
        """How it ended, with its last words."""
        code = self._process.wait()
        if code is None:
            return self._describe_unknown_end()
        how = f"killed by signal {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
        words = without_launcher(self._log.read_text(errors="replace"))[-LAST_WORDS:].strip()
        said = f"the child process ended early ({how})" + (f":\n{words}" if words else "")
        if code != -signal.SIGKILL and RANK_KILLED not in words:
            return said
        if kernel_kills() > self._kernel_kills:
            return f"{OUT_OF_MEMORY}: the kernel has killed the training process for it; {WHAT_HELPS}\n{said}"
        return f"{said}; not by its worker: by hand, or by a limit of the machine"

    def _describe_unknown_end(self) -> str:
        assert isinstance(self._process, ForkedProcess)
        words = f"{self._log.read_text(errors='replace')[-LAST_WORDS:]}\n{self._process.last_words()}".strip()
        said = "the child process ended early, and so did the fork server, which alone knew how"
        return said + (f":\n{words}" if words else "")

    def close(self) -> None:
        """Tells a child that nothing more is wanted of it, and lets it exit."""
        with suppress(BrokenPipeError):
            self._stdin.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(EXIT_SECONDS)

    def kill(self) -> None:
        """Ends the child, everything in its group and its ranks, which end with it; safe to call at any time."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._reader.join()
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            with suppress(BrokenPipeError):
                stream.close()

    @property
    def _stdin(self) -> IO[bytes]:
        assert self._process.stdin is not None
        return self._process.stdin

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put(None)


@contextmanager
def running_child(spec: ChildSpec, settings: Settings, program: Sequence[str] | None = None) -> Iterator[ChildProcess]:
    """A child for the block; whatever happens in it, nothing of the child is left behind."""
    folder = settings.data_dir.resolve() / "children"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as place:
        path = Path(place) / "spec.json"
        path.write_text(spec.model_dump_json())
        environment = child_environment(settings, ranks_of(spec))
        if program is None and may_be_forked(spec):
            start: Start = partial(fork_child, path, environment)
        else:
            command = command_of(spec, path) if program is None else [*program, str(path)]
            start = partial(execute, command, environment)
        child = ChildProcess(start, Path(place) / "stderr.txt")
        try:
            yield child
        finally:
            child.kill()
