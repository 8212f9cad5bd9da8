"""Engines, sessions and the two kinds of transaction: short writes and reads.

SQLite: write-ahead log, foreign keys, and `BEGIN IMMEDIATE` for every transaction that may write, so that two
writers queue up (at most `BUSY_SECONDS`) instead of failing half-way. Reads begin deferred and block nobody.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.pool import ConnectionPoolEntry

BUSY_SECONDS = 30
READS_ONLY = "foretaste_reads_only"

Sessions = sessionmaker[Session]


def make_engine(url: str) -> Engine:
    """An engine for SQLite or PostgreSQL; a bare `postgresql://` URL means the psycopg driver."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return _make_sqlite_engine(url)
    if parsed.drivername in ("postgresql", "postgres"):
        parsed = parsed.set(drivername="postgresql+psycopg")
    return create_engine(parsed, pool_pre_ping=True)


def make_sessions(engine: Engine) -> Sessions:
    """Sessions whose objects stay readable after the commit."""
    return sessionmaker(engine, expire_on_commit=False)


@contextmanager
def session_scope(sessions: Sessions) -> Iterator[Session]:
    """One transaction that may write: committed at the end of the block, rolled back if it raises."""
    with sessions() as session, session.begin():
        yield session


@contextmanager
def read_scope(sessions: Sessions) -> Iterator[Session]:
    """One transaction that only reads, and so never waits for a writer on SQLite. Always rolled back."""
    with sessions() as session:
        session.connection(execution_options={READS_ONLY: True})
        yield session


def _make_sqlite_engine(url: str) -> Engine:
    engine = create_engine(url, connect_args={"timeout": BUSY_SECONDS})
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    assert isinstance(connection, sqlite3.Connection)
    connection.isolation_level = None  # the driver begins nothing by itself: _begin_sqlite does
    for pragma in ("journal_mode=WAL", "foreign_keys=ON", "synchronous=NORMAL"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    reads_only = connection.get_execution_options().get(READS_ONLY, False)
    connection.exec_driver_sql("BEGIN" if reads_only else "BEGIN IMMEDIATE")
