"""An evaluation's seeds begin at one that may be chosen; those of before began at 0.

The column is added and dropped in place: SQLite would refuse to make anew a table that others refer to. So its default
stays in the database.

Revision 0012, after 0011.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0012"
down_revision: str | Sequence[str] | None = "0011"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("evaluations", sa.Column("first_seed", sa.Integer(), server_default="0", nullable=False))


def downgrade() -> None:
    """An evaluation of other seeds keeps its runs, which say their own."""
    op.drop_column("evaluations", "first_seed")
