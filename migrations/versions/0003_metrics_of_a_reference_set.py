"""A reference set may hold several metrics: an agreement is with one of them.

Revision 0003, after 0002.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0003"
down_revision: str | Sequence[str] | None = "0002"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

OF_SQLITE, OF_POSTGRESQL = "json_extract(body, '$.metric')", "body ->> 'metric'"


def upgrade() -> None:
    op.add_column("agreements", sa.Column("metric", sa.String(length=100), nullable=True))
    is_sqlite = op.get_context().dialect.name == "sqlite"
    op.execute(f"UPDATE agreements SET metric = {OF_SQLITE if is_sqlite else OF_POSTGRESQL}")  # noqa: S608 - two constants of this file
    with op.batch_alter_table("agreements") as table:
        table.alter_column("metric", existing_type=sa.String(length=100), nullable=False)


def downgrade() -> None:
    with op.batch_alter_table("agreements") as table:
        table.drop_column("metric")
