"""Results from elsewhere: references of recipes that are not registered, and proxy scores with their agreements.

Revision 0002, after 0001.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0002"
down_revision: str | Sequence[str] | None = "0001"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    with op.batch_alter_table("reference_results") as table:
        table.alter_column("recipe_id", existing_type=sa.String(length=48), nullable=True)
        table.add_column(sa.Column("recipe_name", sa.String(length=200), nullable=True))
        table.add_column(sa.Column("axis", sa.String(length=100), nullable=True))
        table.add_column(sa.Column("date", sa.Date(), nullable=True))
    op.execute(
        "UPDATE reference_results SET recipe_name ="
        " (SELECT name FROM recipes WHERE recipes.id = reference_results.recipe_id)"
    )
    with op.batch_alter_table("reference_results") as table:
        table.alter_column("recipe_name", existing_type=sa.String(length=200), nullable=False)
    op.create_table(
        "external_scores",
        sa.Column("id", sa.String(length=48), nullable=False),
        sa.Column("proxy_set", sa.String(length=100), nullable=False),
        sa.Column("recipe_id", sa.String(length=48), nullable=True),
        sa.Column("recipe_name", sa.String(length=200), nullable=False),
        sa.Column("axis", sa.String(length=100), nullable=True),
        sa.Column("metric", sa.String(length=100), nullable=False),
        sa.Column("direction", sa.String(length=6), nullable=False),
        sa.Column("unit", sa.String(length=40), nullable=False),
        sa.Column("value", sa.Double(), nullable=True),
        sa.Column("stopped_early", sa.Boolean(), nullable=False),
        sa.Column("learning_rate", sa.Double(), nullable=True),
        sa.Column("hyperparameters", sa.JSON(), nullable=False),
        sa.Column("seed", sa.Integer(), nullable=True),
        sa.Column("parameters", sa.BigInteger(), nullable=False),
        sa.Column("tokens", sa.BigInteger(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("date", sa.Date(), nullable=True),
        sa.Column("request_key", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["recipe_id"], ["recipes.id"], name=op.f("fk_external_scores_recipe_id_recipes")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_external_scores")),
        sa.UniqueConstraint("request_key", name=op.f("uq_external_scores_request_key")),
    )
    op.create_index(op.f("ix_external_scores_proxy_set"), "external_scores", ["proxy_set"], unique=False)
    op.create_index(op.f("ix_external_scores_recipe_id"), "external_scores", ["recipe_id"], unique=False)
    with op.batch_alter_table("agreements") as table:
        table.alter_column("protocol_id", existing_type=sa.String(length=48), nullable=True)
        table.alter_column("suite_id", existing_type=sa.String(length=48), nullable=True)
        table.add_column(sa.Column("proxy_set", sa.String(length=100), nullable=True))
    op.create_index("ix_agreements_external", "agreements", ["proxy_set", "reference_set", "created_at"])


def downgrade() -> None:
    """What the older schema cannot say is dropped."""
    op.execute("DELETE FROM agreements WHERE protocol_id IS NULL")
    op.drop_index("ix_agreements_external", table_name="agreements")
    with op.batch_alter_table("agreements") as table:
        table.drop_column("proxy_set")
        table.alter_column("suite_id", existing_type=sa.String(length=48), nullable=False)
        table.alter_column("protocol_id", existing_type=sa.String(length=48), nullable=False)
    op.drop_table("external_scores")
    op.execute("DELETE FROM reference_results WHERE recipe_id IS NULL")
    with op.batch_alter_table("reference_results") as table:
        table.drop_column("date")
        table.drop_column("axis")
        table.drop_column("recipe_name")
        table.alter_column("recipe_id", existing_type=sa.String(length=48), nullable=False)
