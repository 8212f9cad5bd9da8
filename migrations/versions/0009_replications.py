"""Races for the best recipes, in which seeds are given out look by look.

Revision 0009, after 0008.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0009"
down_revision: str | Sequence[str] | None = "0008"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "replications",
        sa.Column("id", sa.String(length=48), nullable=False),
        sa.Column("request_key", sa.String(length=64), nullable=False),
        sa.Column("protocol_id", sa.String(length=48), nullable=False),
        sa.Column("suite_id", sa.String(length=48), nullable=False),
        sa.Column("recipes", sa.JSON(), nullable=False),
        sa.Column("resolve", sa.String(length=20), nullable=False),
        sa.Column("error_rate", sa.Double(), nullable=False),
        sa.Column("most_seeds", sa.Integer(), nullable=False),
        sa.Column("budget", sa.String(length=60), nullable=True),
        sa.Column("budget_seconds", sa.Double(), nullable=True),
        sa.Column("max_runs", sa.Integer(), nullable=True),
        sa.Column("budget_runs", sa.Integer(), nullable=True),
        sa.Column("seconds_per_run", sa.Double(), nullable=True),
        sa.Column("runs_used", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("outcome", sa.String(length=20), nullable=True),
        sa.Column("estimate", sa.JSON(), nullable=False),
        sa.Column("points", sa.JSON(), nullable=False),
        sa.Column("failed", sa.JSON(), nullable=False),
        sa.Column("looks", sa.JSON(), nullable=False),
        sa.Column("report", sa.JSON(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["protocol_id"], ["protocols.id"], name=op.f("fk_replications_protocol_id_protocols")),
        sa.ForeignKeyConstraint(["suite_id"], ["suites.id"], name=op.f("fk_replications_suite_id_suites")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_replications")),
        sa.UniqueConstraint("request_key", name=op.f("uq_replications_request_key")),
    )
    op.create_index(op.f("ix_replications_state"), "replications", ["state"], unique=False)


def downgrade() -> None:
    op.drop_index(op.f("ix_replications_state"), table_name="replications")
    op.drop_table("replications")
