"""Studies: recipes at every rate of a ladder against swept references.

Revision 0011, after 0010.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0011"
down_revision: str | Sequence[str] | None = "0010"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "studies",
        sa.Column("id", sa.String(length=48), nullable=False),
        sa.Column("request_key", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("spec", sa.JSON(), nullable=False),
        sa.Column("protocols", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("estimate", sa.JSON(), nullable=False),
        sa.Column("points", sa.JSON(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_studies")),
        sa.UniqueConstraint("request_key", name=op.f("uq_studies_request_key")),
    )
    op.create_index(op.f("ix_studies_name"), "studies", ["name"], unique=False)
    op.create_index(op.f("ix_studies_state"), "studies", ["state"], unique=False)


def downgrade() -> None:
    op.drop_index(op.f("ix_studies_state"), table_name="studies")
    op.drop_index(op.f("ix_studies_name"), table_name="studies")
    op.drop_table("studies")
