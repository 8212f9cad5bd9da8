"""The fork server: `python -m worker.cohorts.fork_server FD`. Loads what every child needs once, and forks children.

Loading torch takes more than a second, which is most of what a small job takes. A forked child has it loaded, shares
its memory, and is as fresh as one that was executed: the server computes nothing, so no library has started a thread
or drawn a number. It forks on request (worker.cohorts.forking), tells how each child ended, and ends when whoever
started it does; children notice that by themselves.
"""

import gc
import importlib
import json
import os
import selectors
import signal
import socket
import sys
from dataclasses import dataclass, field
from typing import IO, NoReturn

LOADED = ("worker.cohorts.training", "worker.cohorts.chores", "worker.cohorts.child")
REQUEST_BYTES = 1 << 20
DESCRIPTORS = 4  # a child's input, output and errors, and where its end is told
ENVIRONMENT = "environment"
SPECIFICATION = "specification"
STARTED = "started"
ENDED = "ended"


@dataclass
class Server:
    """Children by their ids, each with the pipe on which its end is told."""

    requests: socket.socket
    ends: dict[int, IO[bytes]] = field(default_factory=dict)

    def serve(self) -> str | None:
        """Until nobody can ask any more: None. In a child that was forked: the path of its specification."""
        woken, waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
        with selectors.DefaultSelector() as selector:
            selector.register(self.requests, selectors.EVENT_READ)
            selector.register(woken, selectors.EVENT_READ)
            while True:
                ready = {key.fileobj for key, _ in selector.select()}
                if woken in ready:
                    os.read(woken, 1 << 12)
                    self._tell_ends()
                if self.requests in ready:
                    asked = self._receive()
                    if asked is None:
                        return None
                    if (path := self._fork(*asked)) is not None:
                        os.close(woken)
                        os.close(waker)
                        return path

    def _receive(self) -> tuple[dict[str, str], str, list[int]] | None:
        content, descriptors, _, _ = socket.recv_fds(self.requests, REQUEST_BYTES, DESCRIPTORS)
        if not content:
            return None
        told = json.loads(content)
        return told[ENVIRONMENT], told[SPECIFICATION], descriptors

    def _fork(self, environment: dict[str, str], path: str, descriptors: list[int]) -> str | None:
        """The path in the child, None in the server."""
        *streams, end = descriptors
        child = os.fork()
        if child == 0:
            self._become_child(environment, streams)
            with os.fdopen(end, "wb", buffering=0) as pipe:
                _tell(pipe, STARTED, os.getpid())
            return path
        for descriptor in streams:
            os.close(descriptor)
        self.ends[child] = os.fdopen(end, "wb", buffering=0)
        return None

    def _become_child(self, environment: dict[str, str], streams: list[int]) -> None:
        """Leads a process group, speaks where it was told to, and holds nothing of the server's."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        for number, descriptor in enumerate(streams):
            os.dup2(descriptor, number)
            os.close(descriptor)
        self.requests.close()
        for other in self.ends.values():
            other.close()
        os.environ.clear()
        os.environ.update(environment)

    def _tell_ends(self) -> None:
        for child in list(self.ends):
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                with self.ends.pop(child) as end:
                    _tell(end, ENDED, os.waitstatus_to_exitcode(status))


def _tell(pipe: IO[bytes], word: str, number: int) -> None:
    try:
        pipe.write(f"{word} {number}\n".encode())
    except BrokenPipeError:
        return  # nobody wants to know


def main(arguments: list[str]) -> None:
    """Serves on the socket whose descriptor is the argument. A child comes out of it as well, and does its work."""
    for module in LOADED:
        importlib.import_module(module)
    gc.collect()
    gc.freeze()  # a collection in a child would copy every page of what is shared
    path = Server(socket.socket(fileno=int(arguments[0]))).serve()
    if path is not None:
        _exit_at_once(path)


def _exit_at_once(path: str) -> NoReturn:
    """Does the work and ends without taking the interpreter apart, which takes a quarter of a second."""
    from worker.cohorts import child

    code: int | str | None = 0
    try:
        child.main([path])
    except SystemExit as ended:
        code = ended.code
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))


if __name__ == "__main__":
    main(sys.argv[1:])
