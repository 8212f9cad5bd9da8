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
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from proxy.errors import ForetasteError
from worker.cohorts.fork_server import ENDED, ENVIRONMENT, SPECIFICATION, STARTED
from worker.cohorts.launching import ranks_of
from worker.cohorts.messages import ChildSpec, ProtocolSpec

SERVER_MODULE = "worker.cohorts.fork_server"
CLOSE_SECONDS = 5.0  # for a server, which ends as soon as nobody can ask it
UNKNOWN_END = -9  # of a child whose server is gone: it is taken for killed, as the server was
READ_AT_START = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OMP_WAIT_POLICY")


class ForkServerError(ForetasteError):
    """The server does not start children."""

    title = "No child process"
    is_retryable = True


def may_be_forked(spec: ChildSpec) -> bool:
    """Not several ranks, which torchrun starts, nor work of a GPU, whose library must be loaded and used in one
    process. Only on Linux: other systems' libraries do not outlive a fork."""
    is_gpu = isinstance(spec, ProtocolSpec) and spec.protocol.device_class != "cpu"
    return sys.platform == "linux" and not is_gpu and ranks_of(spec) == 1


class ForkedProcess:
    """The part of `subprocess.Popen` that a supervisor needs."""

    def __init__(self, stdin: IO[bytes], stdout: IO[bytes], told: IO[bytes]) -> None:
        """ForkServerError if no child came of it."""
        self.stdin = stdin
        self.stdout = stdout
        self._told = told
        self._code: int | None = None
        word, number = self._hear()
        if word != STARTED:
            self._close()
            raise ForkServerError("the fork server ended before it made a child; its standard error says why")
        self.pid = number

    def wait(self, timeout: float | None = None) -> int:
        """Its exit status, or the negative number of the signal that ended it. subprocess.TimeoutExpired."""
        if self._code is None:
            poll = select.poll()
            poll.register(self._told, select.POLLIN)
            if not poll.poll(None if timeout is None else timeout * 1000):
                raise subprocess.TimeoutExpired(SERVER_MODULE, timeout or 0)
            self._code = self._hear()[1]
            self._told.close()
        return self._code

    def _hear(self) -> tuple[str, int]:
        word, _, number = self._told.readline().decode().partition(" ")
        return (word, int(number)) if word else (ENDED, UNKNOWN_END)

    def _close(self) -> None:
        for stream in (self.stdin, self.stdout, self._told):
            stream.close()


class ForkServer:
    """A running server and the socket on which it is asked."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.reads = read_at_start(environment)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", SERVER_MODULE, str(theirs.fileno())],
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        self._socket = ours
        self.owner = os.getpid()

    def fork(self, path: Path, environment: Mapping[str, str], log: IO[bytes]) -> ForkedProcess:
        """A child for the specification at `path`. OSError, ForkServerError if the server is gone."""
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
        return ForkedProcess(os.fdopen(stdin, "wb"), os.fdopen(stdout, "rb"), os.fdopen(ended, "rb", buffering=0))

    def is_good_for(self, environment: Mapping[str, str]) -> bool:
        """True for the process that started it, if its libraries were loaded as this child wants them."""
        return self.owner == os.getpid() and self.reads == read_at_start(environment) and self._process.poll() is None

    def close(self) -> None:
        """Children that work go on."""
        self._socket.close()
        if self.owner == os.getpid():
            try:
                self._process.wait(CLOSE_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()


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
        except (OSError, ForkServerError):
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
