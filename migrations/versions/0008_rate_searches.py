"""Searches for a protocol's reduced rate.

Revision 0008, after 0007.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0008"
down_revision: str | Sequence[str] | None = "0007"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "rate_searches",
        sa.Column("id", sa.String(length=48), nullable=False),
        sa.Column("request_key", sa.String(length=64), nullable=False),
        sa.Column("protocol_id", sa.String(length=48), nullable=False),
        sa.Column("suite_id", sa.String(length=48), nullable=False),
        sa.Column("anchors", sa.JSON(), nullable=False),
        sa.Column("rates", sa.JSON(), nullable=False),
        sa.Column("seeds", sa.Integer(), nullable=False),
        sa.Column("steps", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("estimate", sa.JSON(), nullable=False),
        sa.Column("points", sa.JSON(), nullable=False),
        sa.Column("report", sa.JSON(), nullable=True),
        sa.Column("found_id", sa.String(length=48), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["found_id"], ["protocols.id"], name=op.f("fk_rate_searches_found_id_protocols")),
        sa.ForeignKeyConstraint(["protocol_id"], ["protocols.id"], name=op.f("fk_rate_searches_protocol_id_protocols")),
        sa.ForeignKeyConstraint(["suite_id"], ["suites.id"], name=op.f("fk_rate_searches_suite_id_suites")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rate_searches")),
        sa.UniqueConstraint("request_key", name=op.f("uq_rate_searches_request_key")),
    )
    op.create_index(op.f("ix_rate_searches_state"), "rate_searches", ["state"], unique=False)


def downgrade() -> None:
    op.drop_index(op.f("ix_rate_searches_state"), table_name="rate_searches")
    op.drop_table("rate_searches")
