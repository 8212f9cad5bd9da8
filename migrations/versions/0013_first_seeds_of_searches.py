"""A rate search's seeds begin at one that may be chosen; those of before began at 0.

As in 0012 the column is added and dropped in place, and its default stays in the database.

Revision 0013, after 0012.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0013"
down_revision: str | Sequence[str] | None = "0012"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("rate_searches", sa.Column("first_seed", sa.Integer(), server_default="0", nullable=False))


def downgrade() -> None:
    """A search of other seeds keeps its evaluations, which say their own."""
    op.drop_column("rate_searches", "first_seed")
