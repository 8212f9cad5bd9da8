"""A corpus may come in as tokens: which tokenizer made them, how many they are, and what such a corpus cannot do.

Revision 0005, after 0004.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0005"
down_revision: str | Sequence[str] | None = "0004"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("corpora", sa.Column("tokenizer", sa.String(length=64), nullable=True))
    op.add_column("corpora", sa.Column("tokens", sa.BigInteger(), nullable=True))
    op.add_column("corpora", sa.Column("lost", sa.JSON(), nullable=True))


def downgrade() -> None:
    """Imported corpora stay as rows that nothing can read."""
    with op.batch_alter_table("corpora") as table:
        for name in ("lost", "tokens", "tokenizer"):
            table.drop_column(name)
