"""A corpus may be retired: its copies are purged, its row says when and why.

Revision 0004, after 0003.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0004"
down_revision: str | Sequence[str] | None = "0003"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("corpora", sa.Column("retired_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("corpora", sa.Column("retired_reason", sa.Text(), nullable=True))


def downgrade() -> None:
    """Retired corpora are registered without their files again; what was purged stays purged."""
    with op.batch_alter_table("corpora") as table:
        table.drop_column("retired_reason")
        table.drop_column("retired_at")
