"""Feeds of counters, offices, services and staff, and what was moved away from a counter

Revision: 0007, after 0006
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

key = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

SUBJECTS = ("counter_id", "office_id", "service_id", "staff_id")
ALL = ("counter_id", "desk_id", "office_id", "service_id", "staff_id")
DETAILS = "detail IN ('busy', 'service', 'initials')"


def upgrade() -> None:
    with op.batch_alter_table("feed", recreate="auto") as feed:
        for name in SUBJECTS:
            feed.add_column(sa.Column(name, key, nullable=True))
        feed.add_column(sa.Column("detail", sa.String(length=20), server_default="service", nullable=False))
        feed.add_column(sa.Column("last_on", sa.Date(), nullable=True))
        feed.add_column(sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True))
        feed.add_column(sa.Column("fetched_by", sa.String(length=40), nullable=True))
        feed.alter_column("desk_id", existing_type=key, nullable=True)
        feed.drop_constraint("fk_feed_desk_id", type_="foreignkey")
        for name in ALL:
            feed.create_foreign_key(f"fk_feed_{name}", name.removesuffix("_id"), [name], ["id"], ondelete="CASCADE")
        feed.create_check_constraint(op.f("ck_feed_detail"), DETAILS)
        one = " + ".join(f"CASE WHEN {name} IS NULL THEN 0 ELSE 1 END" for name in ALL) + " = 1"
        feed.create_check_constraint(op.f("ck_feed_one_subject"), one)
    op.create_table(
        "departure",
        sa.Column("id", key, nullable=False),
        sa.Column("appointment_id", key, nullable=False),
        sa.Column("counter_id", key, nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("left_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["appointment_id"], ["appointment.id"], name="fk_departure_appointment_id"),
        sa.ForeignKeyConstraint(["counter_id"], ["counter.id"], name="fk_departure_counter_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_departure"),
    )
    op.create_index("ix_departure_counter_id", "departure", ["counter_id"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_departure_counter_id", "departure")
    op.drop_table("departure")
    op.execute("DELETE FROM feed WHERE desk_id IS NULL OR revoked_at IS NOT NULL")
    with op.batch_alter_table("feed", recreate="auto") as feed:
        feed.drop_constraint(op.f("ck_feed_one_subject"), type_="check")
        feed.drop_constraint(op.f("ck_feed_detail"), type_="check")
        for name in ALL:
            feed.drop_constraint(f"fk_feed_{name}", type_="foreignkey")
        feed.create_foreign_key("fk_feed_desk_id", "desk", ["desk_id"], ["id"])
        feed.alter_column("desk_id", existing_type=key, nullable=False)
        for name in (*SUBJECTS, "detail", "last_on", "revoked_at", "fetched_by"):
            feed.drop_column(name)
