"""Hours every n weeks, and changes of hours with what they hit

Revision: 0014, after 0013
"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

key = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    rule = "CONSTRAINT ck_opening_hours_every_weeks CHECK (every_weeks BETWEEN 1 AND 8)"
    op.execute(f"ALTER TABLE opening_hours ADD COLUMN every_weeks INTEGER DEFAULT 1 NOT NULL {rule}")
    op.create_table(
        "adjustment",
        sa.Column("id", key, nullable=False),
        sa.Column("municipality_id", key, nullable=False),
        sa.Column("staff_id", key, nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("undone_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("delta", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["municipality_id"], ["municipality.id"], name="fk_adjustment_municipality_id"),
        sa.ForeignKeyConstraint(["staff_id"], ["staff.id"], name="fk_adjustment_staff_id"),
        sa.PrimaryKeyConstraint("id", name="pk_adjustment"),
    )
    op.create_index("ix_adjustment_municipality_id", "adjustment", ["municipality_id"], unique=False)
    op.create_table(
        "hit",
        sa.Column("id", key, nullable=False),
        sa.Column("adjustment_id", key, nullable=False),
        sa.Column("appointment_id", key, nullable=False),
        sa.Column("choice", sa.String(length=20), nullable=False),
        sa.Column("counter_id", key, nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ticks", sa.Integer(), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("choice IN ('keep', 'move', 'cancel')", name=op.f("ck_hit_choice")),
        sa.CheckConstraint("starts_at < ends_at", name=op.f("ck_hit_starts_before_ends")),
        sa.ForeignKeyConstraint(["adjustment_id"], ["adjustment.id"], name="fk_hit_adjustment_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["appointment_id"], ["appointment.id"], name="fk_hit_appointment_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["counter_id"], ["counter.id"], name="fk_hit_counter_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_hit"),
    )
    op.create_index("ix_hit_adjustment_id", "hit", ["adjustment_id"], unique=False)
    op.create_index("ix_hit_appointment_id", "hit", ["appointment_id"], unique=False)


def downgrade() -> None:
    op.drop_table("hit")
    op.drop_table("adjustment")
    op.execute("ALTER TABLE opening_hours DROP COLUMN every_weeks")
