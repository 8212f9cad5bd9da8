"""The first tables.

Revision 0001, the first one.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0001"
down_revision: str | Sequence[str] | None = None
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "api_keys",
        sa.Column("id", sa.String(length=48), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
        sa.UniqueConstraint("digest", name=op.f("uq_api_keys_digest")),
    )
    op.create_table(
        "jobs",
        sa.Column("id", sa.String(length=48), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("payload", sa.JSON(), nullable=False),
        sa.Column("result", sa.JSON(), nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("lease_owner", sa.String(length=100), nullable=True),
        sa.Column("lease_expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("progress", sa.JSON(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_jobs")),
    )
    op.create_index(op.f("ix_jobs_state"), "jobs", ["state"], unique=False)
    op.create_table(
        "protocols",
        sa.Column("id", sa.String(length=48), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("cohort_key", sa.String(length=64), nullable=False),
        sa.Column("learning_rate", sa.Double(), nullable=False),
        sa.Column("spec", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_protocols")),
        sa.UniqueConstraint("name", "version", name=op.f("uq_protocols_name")),
    )
    op.create_index(op.f("ix_protocols_fingerprint"), "protocols", ["fingerprint"], unique=False)
    op.create_index(op.f("ix_protocols_name"), "protocols", ["name"], unique=False)
    op.create_table(
        "recipes",
        sa.Column("id", sa.String(length=48), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("spec", sa.JSON(), nullable=False),
        sa.Column("corpora", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_recipes")),
        sa.UniqueConstraint("fingerprint", name=op.f("uq_recipes_fingerprint")),
    )
    op.create_index(op.f("ix_recipes_name"), "recipes", ["name"], unique=False)
    op.create_table(
        "schedules",
        sa.Column("id", sa.String(length=48), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("cron", sa.String(length=100), nullable=False),
        sa.Column("protocol", sa.String(length=100), nullable=False),
        sa.Column("suite", sa.String(length=100), nullable=False),
        sa.Column("seeds", sa.Integer(), nullable=False),
        sa.Column("tags", sa.JSON(), nullable=False),
        sa.Column("is_enabled", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_schedules")),
        sa.UniqueConstraint("name", name=op.f("uq_schedules_name")),
    )
    op.create_table(
        "suites",
        sa.Column("id", sa.String(length=48), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("spec", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_suites")),
        sa.UniqueConstraint("name", "version", name=op.f("uq_suites_name")),
    )
    op.create_index(op.f("ix_suites_fingerprint"), "suites", ["fingerprint"], unique=False)
    op.create_index(op.f("ix_suites_name"), "suites", ["name"], unique=False)
    op.create_table(
        "agreements",
        sa.Column("id", sa.String(length=48), nullable=False),
        sa.Column("protocol_id", sa.String(length=48), nullable=False),
        sa.Column("suite_id", sa.String(length=48), nullable=False),
        sa.Column("reference_set", sa.String(length=100), nullable=False),
        sa.Column("evidence", sa.String(length=64), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["protocol_id"], ["protocols.id"], name=op.f("fk_agreements_protocol_id_protocols")),
        sa.ForeignKeyConstraint(["suite_id"], ["suites.id"], name=op.f("fk_agreements_suite_id_suites")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_agreements")),
    )
    op.create_index(
        "ix_agreements_newest",
        "agreements",
        ["protocol_id", "suite_id", "reference_set", "created_at"],
        unique=False,
    )
    op.create_table(
        "corpora",
        sa.Column("id", sa.String(length=48), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("uri", sa.Text(), nullable=False),
        sa.Column("text_field", sa.String(length=100), nullable=False),
        sa.Column("fields", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("fingerprint", sa.String(length=64), nullable=True),
        sa.Column("documents", sa.BigInteger(), nullable=True),
        sa.Column("characters", sa.BigInteger(), nullable=True),
        sa.Column("text_bytes", sa.BigInteger(), nullable=True),
        sa.Column("job_id", sa.String(length=48), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_corpora_job_id_jobs")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_corpora")),
        sa.UniqueConstraint("name", "revision", name=op.f("uq_corpora_name")),
    )
    op.create_index(op.f("ix_corpora_fingerprint"), "corpora", ["fingerprint"], unique=False)
    op.create_index(op.f("ix_corpora_name"), "corpora", ["name"], unique=False)
    op.create_table(
        "evaluations",
        sa.Column("id", sa.String(length=48), nullable=False),
        sa.Column("kind", sa.String(length=12), nullable=False),
        sa.Column("recipe_id", sa.String(length=48), nullable=False),
        sa.Column("protocol_id", sa.String(length=48), nullable=False),
        sa.Column("suite_id", sa.String(length=48), nullable=False),
        sa.Column("seeds", sa.Integer(), nullable=False),
        sa.Column("learning_rates", sa.JSON(), nullable=False),
        sa.Column("replicate", sa.Integer(), nullable=False),
        sa.Column("request_key", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["protocol_id"], ["protocols.id"], name=op.f("fk_evaluations_protocol_id_protocols")),
        sa.ForeignKeyConstraint(["recipe_id"], ["recipes.id"], name=op.f("fk_evaluations_recipe_id_recipes")),
        sa.ForeignKeyConstraint(["suite_id"], ["suites.id"], name=op.f("fk_evaluations_suite_id_suites")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_evaluations")),
        sa.UniqueConstraint("request_key", name=op.f("uq_evaluations_request_key")),
    )
    op.create_index(op.f("ix_evaluations_protocol_id"), "evaluations", ["protocol_id"], unique=False)
    op.create_index(op.f("ix_evaluations_recipe_id"), "evaluations", ["recipe_id"], unique=False)
    op.create_index(op.f("ix_evaluations_state"), "evaluations", ["state"], unique=False)
    op.create_index(op.f("ix_evaluations_suite_id"), "evaluations", ["suite_id"], unique=False)
    op.create_table(
        "leaderboards",
        sa.Column("id", sa.String(length=48), nullable=False),
        sa.Column("protocol_id", sa.String(length=48), nullable=False),
        sa.Column("suite_id", sa.String(length=48), nullable=False),
        sa.Column("evidence", sa.String(length=64), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["protocol_id"], ["protocols.id"], name=op.f("fk_leaderboards_protocol_id_protocols")),
        sa.ForeignKeyConstraint(["suite_id"], ["suites.id"], name=op.f("fk_leaderboards_suite_id_suites")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_leaderboards")),
    )
    op.create_index("ix_leaderboards_newest", "leaderboards", ["protocol_id", "suite_id", "created_at"], unique=False)
    op.create_table(
        "runs",
        sa.Column("id", sa.String(length=48), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("recipe_id", sa.String(length=48), nullable=False),
        sa.Column("protocol_id", sa.String(length=48), nullable=False),
        sa.Column("cohort_key", sa.String(length=64), nullable=False),
        sa.Column("sweep", sa.String(length=64), nullable=True),
        sa.Column("learning_rate", sa.Double(), nullable=False),
        sa.Column("seed", sa.Integer(), nullable=False),
        sa.Column("replicate", sa.Integer(), nullable=False),
        sa.Column("result", sa.JSON(), nullable=True),
        sa.Column("checkpoint", sa.Text(), nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("lease_owner", sa.String(length=100), nullable=True),
        sa.Column("lease_expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("progress", sa.JSON(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["protocol_id"], ["protocols.id"], name=op.f("fk_runs_protocol_id_protocols")),
        sa.ForeignKeyConstraint(["recipe_id"], ["recipes.id"], name=op.f("fk_runs_recipe_id_recipes")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_runs")),
        sa.UniqueConstraint("fingerprint", name=op.f("uq_runs_fingerprint")),
    )
    op.create_index("ix_runs_claim", "runs", ["state", "cohort_key"], unique=False)
    op.create_index(op.f("ix_runs_protocol_id"), "runs", ["protocol_id"], unique=False)
    op.create_index(op.f("ix_runs_recipe_id"), "runs", ["recipe_id"], unique=False)
    op.create_index(op.f("ix_runs_state"), "runs", ["state"], unique=False)
    op.create_index(op.f("ix_runs_sweep"), "runs", ["sweep"], unique=False)
    op.create_table(
        "schedule_slots",
        sa.Column("id", sa.String(length=48), nullable=False),
        sa.Column("schedule_id", sa.String(length=48), nullable=False),
        sa.Column("slot", sa.String(length=60), nullable=False),
        sa.Column("submitted", sa.JSON(), nullable=False),
        sa.Column("reused", sa.JSON(), nullable=False),
        sa.Column("refused", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["schedule_id"],
            ["schedules.id"],
            name=op.f("fk_schedule_slots_schedule_id_schedules"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_schedule_slots")),
        sa.UniqueConstraint("schedule_id", "slot", name=op.f("uq_schedule_slots_schedule_id")),
    )
    op.create_table(
        "tokenizers",
        sa.Column("id", sa.String(length=48), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("fingerprint", sa.String(length=64), nullable=True),
        sa.Column("vocabulary", sa.Integer(), nullable=True),
        sa.Column("job_id", sa.String(length=48), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_tokenizers_job_id_jobs")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tokenizers")),
    )
    op.create_index(op.f("ix_tokenizers_fingerprint"), "tokenizers", ["fingerprint"], unique=False)
    op.create_index(op.f("ix_tokenizers_name"), "tokenizers", ["name"], unique=False)
    op.create_table(
        "evaluation_runs",
        sa.Column("evaluation_id", sa.String(length=48), nullable=False),
        sa.Column("run_id", sa.String(length=48), nullable=False),
        sa.ForeignKeyConstraint(
            ["evaluation_id"],
            ["evaluations.id"],
            name=op.f("fk_evaluation_runs_evaluation_id_evaluations"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_evaluation_runs_run_id_runs")),
        sa.PrimaryKeyConstraint("evaluation_id", "run_id", name=op.f("pk_evaluation_runs")),
    )
    op.create_index(op.f("ix_evaluation_runs_run_id"), "evaluation_runs", ["run_id"], unique=False)
    op.create_table(
        "reference_results",
        sa.Column("id", sa.String(length=48), nullable=False),
        sa.Column("reference_set", sa.String(length=100), nullable=False),
        sa.Column("recipe_id", sa.String(length=48), nullable=False),
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
        sa.Column("evaluation_id", sa.String(length=48), nullable=True),
        sa.Column("request_key", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["evaluation_id"], ["evaluations.id"], name=op.f("fk_reference_results_evaluation_id_evaluations")
        ),
        sa.ForeignKeyConstraint(["recipe_id"], ["recipes.id"], name=op.f("fk_reference_results_recipe_id_recipes")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reference_results")),
        sa.UniqueConstraint("request_key", name=op.f("uq_reference_results_request_key")),
    )
    op.create_index(op.f("ix_reference_results_recipe_id"), "reference_results", ["recipe_id"], unique=False)
    op.create_index(op.f("ix_reference_results_reference_set"), "reference_results", ["reference_set"], unique=False)
    op.create_table(
        "run_scores",
        sa.Column("run_id", sa.String(length=48), nullable=False),
        sa.Column("suite_id", sa.String(length=48), nullable=False),
        sa.Column("score", sa.Double(), nullable=False),
        sa.Column("sets", sa.JSON(), nullable=False),
        sa.Column("gates", sa.JSON(), nullable=False),
        sa.Column("artifact", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_run_scores_run_id_runs")),
        sa.ForeignKeyConstraint(["suite_id"], ["suites.id"], name=op.f("fk_run_scores_suite_id_suites")),
        sa.PrimaryKeyConstraint("run_id", "suite_id", name=op.f("pk_run_scores")),
    )


def downgrade() -> None:
    op.drop_table("run_scores")
    op.drop_index(op.f("ix_reference_results_reference_set"), table_name="reference_results")
    op.drop_index(op.f("ix_reference_results_recipe_id"), table_name="reference_results")
    op.drop_table("reference_results")
    op.drop_index(op.f("ix_evaluation_runs_run_id"), table_name="evaluation_runs")
    op.drop_table("evaluation_runs")
    op.drop_index(op.f("ix_tokenizers_name"), table_name="tokenizers")
    op.drop_index(op.f("ix_tokenizers_fingerprint"), table_name="tokenizers")
    op.drop_table("tokenizers")
    op.drop_table("schedule_slots")
    op.drop_index(op.f("ix_runs_sweep"), table_name="runs")
    op.drop_index(op.f("ix_runs_state"), table_name="runs")
    op.drop_index(op.f("ix_runs_recipe_id"), table_name="runs")
    op.drop_index(op.f("ix_runs_protocol_id"), table_name="runs")
    op.drop_index("ix_runs_claim", table_name="runs")
    op.drop_table("runs")
    op.drop_index("ix_leaderboards_newest", table_name="leaderboards")
    op.drop_table("leaderboards")
    op.drop_index(op.f("ix_evaluations_suite_id"), table_name="evaluations")
    op.drop_index(op.f("ix_evaluations_state"), table_name="evaluations")
    op.drop_index(op.f("ix_evaluations_recipe_id"), table_name="evaluations")
    op.drop_index(op.f("ix_evaluations_protocol_id"), table_name="evaluations")
    op.drop_table("evaluations")
    op.drop_index(op.f("ix_corpora_name"), table_name="corpora")
    op.drop_index(op.f("ix_corpora_fingerprint"), table_name="corpora")
    op.drop_table("corpora")
    op.drop_index("ix_agreements_newest", table_name="agreements")
    op.drop_table("agreements")
    op.drop_index(op.f("ix_suites_name"), table_name="suites")
    op.drop_index(op.f("ix_suites_fingerprint"), table_name="suites")
    op.drop_table("suites")
    op.drop_table("schedules")
    op.drop_index(op.f("ix_recipes_name"), table_name="recipes")
    op.drop_table("recipes")
    op.drop_index(op.f("ix_protocols_name"), table_name="protocols")
    op.drop_index(op.f("ix_protocols_fingerprint"), table_name="protocols")
    op.drop_table("protocols")
    op.drop_index(op.f("ix_jobs_state"), table_name="jobs")
    op.drop_table("jobs")
    op.drop_table("api_keys")
