"""What logits in bf16 change about a score, and the job of a rate search that measures it.

Revision 0010, after 0009.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0010"
down_revision: str | Sequence[str] | None = "0009"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("run_scores", sa.Column("bf16_difference", sa.Double(), nullable=True))
    with op.batch_alter_table("rate_searches") as table:
        table.add_column(sa.Column("rescoring_id", sa.String(length=48), nullable=True))
        table.create_foreign_key(op.f("fk_rate_searches_rescoring_id_jobs"), "jobs", ["rescoring_id"], ["id"])


def downgrade() -> None:
    with op.batch_alter_table("rate_searches") as table:
        table.drop_constraint(op.f("fk_rate_searches_rescoring_id_jobs"), type_="foreignkey")
        table.drop_column("rescoring_id")
    with op.batch_alter_table("run_scores") as table:
        table.drop_column("bf16_difference")
