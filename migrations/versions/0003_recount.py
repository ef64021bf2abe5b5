"""What each night's recount found, and appointments that stay though they lie outside the hours

Revision: 0003, after 0002
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

key = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("appointment", sa.Column("is_exception", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.create_table(
        "recount_run",
        sa.Column("id", key, nullable=False),
        sa.Column("municipality_id", key, nullable=False),
        sa.Column("ran_on", sa.Date(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("appointments", sa.Integer(), nullable=False),
        sa.Column("ticks", sa.Integer(), nullable=False),
        sa.Column("found", sa.Integer(), nullable=False),
        sa.Column("findings", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["municipality_id"], ["municipality.id"], name="fk_recount_run_municipality_id"),
        sa.PrimaryKeyConstraint("id", name="pk_recount_run"),
        sa.UniqueConstraint("municipality_id", "ran_on", name="uq_recount_run_municipality_id_ran_on"),
    )


def downgrade() -> None:
    op.drop_table("recount_run")
    # Plain SQL: the batch mode would make the table anew on SQLite, and other tables point at its rows.
    op.execute("ALTER TABLE appointment DROP COLUMN is_exception")
