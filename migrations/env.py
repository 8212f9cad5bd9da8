"""How Alembic reaches the database: the URL it was given, or the one in the settings.

The whole upgrade is one transaction on SQLite (`BEGIN IMMEDIATE`) and on PostgreSQL (with an advisory lock), so
two processes that start together upgrade once.
"""

from collections.abc import MutableMapping
from typing import Any, Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext
from sqlalchemy import Connection, text

from worker.settings import get_settings
from worker.store.models import Base, StateWord, UtcDateTime
from worker.store.sessions import make_engine

UPGRADE_LOCK = 0x0F02E7A57E  # any number that no other application of the same database uses


def render_item(kind: str, item: Any, _: AutogenContext) -> str | Literal[False]:
    """New scripts name plain SQLAlchemy types: they must not change when ours do."""
    if kind == "type" and isinstance(item, UtcDateTime):
        return "sa.DateTime(timezone=True)"
    if kind == "type" and isinstance(item, StateWord):
        return "sa.String(length=16)"
    return False


def database_url() -> str:
    """From `worker.store.migrate`, or from the environment when the `alembic` command runs."""
    return str(context.config.attributes.get("database_url") or get_settings().resolved_database_url)


def options(**extra: Any) -> MutableMapping[str, Any]:
    """What online and offline runs share."""
    return {"target_metadata": Base.metadata, "render_item": render_item, "transactional_ddl": True, **extra}


def migrate(connection: Connection) -> None:
    """All missing scripts in one transaction."""
    context.configure(connection=connection, **options())
    with context.begin_transaction():
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": UPGRADE_LOCK})
        context.run_migrations()


def run_online() -> None:
    """Against a database."""
    engine = make_engine(database_url())
    try:
        with engine.connect() as connection:
            migrate(connection)
    finally:
        engine.dispose()


def run_offline() -> None:
    """As SQL text (`alembic upgrade head --sql`)."""
    context.configure(url=database_url(), literal_binds=True, **options())
    with context.begin_transaction():
        context.run_migrations()


if context.is_offline_mode():
    run_offline()
else:
    run_online()
