"""A child that a fork server made, to be treated like one of `subprocess.Popen`.

A process has one server at most. It is started with the first child, and again where it is gone or the next child wants
other threads; it ends with its process.
"""

import atexit
import json
import os
import select
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from worker.cohorts.fork_server import ENDED, ENVIRONMENT, SPECIFICATION, STARTED
from worker.cohorts.launching import ranks_of
from worker.cohorts.messages import ChildSpec, ProtocolSpec

SERVER_MODULE = "worker.cohorts.fork_server"
CLOSE_SECONDS = 5.0  # for a server, which ends as soon as nobody can ask it
START_SECONDS = 60.0  # for a server to load its libraries and fork, asked for where a child must be killed
LAST_WORDS = 2000  # characters
WITHOUT_THREADS = {"OPENBLAS_NUM_THREADS": "1"}  # numpy's starts them when it is loaded, and they do not outlive a fork
READ_AT_START = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OMP_WAIT_POLICY")


def may_be_forked(spec: ChildSpec) -> bool:
    """Not several ranks, which torchrun starts, nor work of a GPU, whose library must be loaded and used in one
    process. Only on Linux: other systems' libraries do not outlive a fork."""
    is_gpu = isinstance(spec, ProtocolSpec) and spec.protocol.device_class != "cpu"
    return sys.platform == "linux" and not is_gpu and ranks_of(spec) == 1


class ForkedProcess:
    """The part of `subprocess.Popen` that a supervisor needs. It is there before the child is, so that nobody waits for
    a server that has still to load its libraries."""

    def __init__(self, stdin: IO[bytes], stdout: IO[bytes], told: IO[bytes], server: "ForkServer") -> None:
        self.stdin = stdin
        self.stdout = stdout
        self._told = told
        self._server = server
        self._pid: int | None = None
        self._code: int | None = None

    @property
    def pid(self) -> int:
        """Waits until the child is there. ProcessLookupError where none came of it."""
        if self._pid is None and not self._told.closed:
            try:
                self._hear(START_SECONDS)
            except subprocess.TimeoutExpired:
                self._server.kill()
                self._hear(None)
        if self._pid is None:
            raise ProcessLookupError("the fork server ended before it made a child")
        return self._pid

    def wait(self, timeout: float | None = None) -> int | None:
        """Its exit status, or the negative number of the signal that ended it; None if the server ended before it, and
        nobody knows. subprocess.TimeoutExpired."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while not self._told.closed:
            self._hear(None if deadline is None else max(0.0, deadline - time.monotonic()))
        return self._code

    def last_words(self) -> str:
        """What the server said before it ended."""
        return self._server.last_words()

    def _hear(self, timeout: float | None) -> None:
        """The next that is told: that the child has started, that it has ended, or nothing any more."""
        poll = select.poll()
        poll.register(self._told, select.POLLIN)
        if not poll.poll(None if timeout is None else timeout * 1000):
            raise subprocess.TimeoutExpired(SERVER_MODULE, timeout or 0)
        word, _, number = self._told.readline().decode().partition(" ")
        if word == STARTED:
            self._pid = int(number)
            return
        self._code = int(number) if word == ENDED else None
        self._told.close()


class ForkServer:
    """A running server and the socket on which it is asked."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.reads = read_at_start(environment)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - read when the server has ended
        self._words = ""
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", SERVER_MODULE, str(theirs.fileno())],
                env=dict(environment) | WITHOUT_THREADS,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._log,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        self._socket = ours
        self.owner = os.getpid()

    def fork(self, path: Path, environment: Mapping[str, str], log: IO[bytes]) -> ForkedProcess:
        """A child for the specification at `path`. OSError if the server is gone."""
        pipes = [os.pipe() for _ in range(3)]
        (input_, stdin), (stdout, output), (ended, end) = pipes
        request = json.dumps({SPECIFICATION: str(path), ENVIRONMENT: dict(environment)}).encode()
        try:
            socket.send_fds(self._socket, [request], [input_, output, log.fileno(), end])
        except OSError:
            for descriptor in (stdin, stdout, ended):
                os.close(descriptor)
            raise
        finally:
            for descriptor in (input_, output, end):
                os.close(descriptor)
        told = os.fdopen(ended, "rb", buffering=0)
        return ForkedProcess(os.fdopen(stdin, "wb"), os.fdopen(stdout, "rb"), told, self)

    def is_good_for(self, environment: Mapping[str, str]) -> bool:
        """True for the process that started it, if its libraries were loaded as this child wants them."""
        return self.owner == os.getpid() and self.reads == read_at_start(environment) and self._process.poll() is None

    def kill(self) -> None:
        """Children that work go on."""
        self._process.kill()

    def last_words(self) -> str:
        """The end of its standard error."""
        if not self._log.closed:
            self._log.seek(0)
            self._words = self._log.read().decode(errors="replace")[-LAST_WORDS:].strip()
        return self._words

    def close(self) -> None:
        """Children that work go on."""
        self._socket.close()
        if self.owner == os.getpid():
            try:
                self._process.wait(CLOSE_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self.last_words()
        self._log.close()


_lock = threading.Lock()
_server: ForkServer | None = None


def read_at_start(environment: Mapping[str, str]) -> tuple[str | None, ...]:
    """What libraries read of the environment while they are loaded."""
    return tuple(environment.get(name) for name in READ_AT_START)


def fork_child(path: Path, environment: Mapping[str, str], log: IO[bytes]) -> ForkedProcess:
    """A child for the specification at `path`, its standard error in `log`."""
    with _lock:
        try:
            return _server_for(environment).fork(path, environment, log)
        except OSError:
            return _server_for(environment, is_new=True).fork(path, environment, log)


def _server_for(environment: Mapping[str, str], *, is_new: bool = False) -> ForkServer:
    global _server
    if _server is not None and (is_new or not _server.is_good_for(environment)):
        _server.close()
        _server = None
    if _server is None:
        _server = ForkServer(environment)
    return _server


@atexit.register
def _close_server() -> None:
    if _server is not None:
        _server.close()
