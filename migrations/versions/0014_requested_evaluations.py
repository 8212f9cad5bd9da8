"""An evaluation says whether somebody asked for it by itself: it is then not cancelled with a rate search, replication
or study. Of those of before it is not known.

The column is added and dropped in place, as in 0012, so its default stays in the database.

Revision 0014, after 0013.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0014"
down_revision: str | Sequence[str] | None = "0013"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("evaluations", sa.Column("is_requested", sa.Boolean(), server_default=sa.false(), nullable=False))


def downgrade() -> None:
    op.drop_column("evaluations", "is_requested")
