"""Visits of several desks: their order, the ways between, the longest wait, and holds that belong together

Revision: 0009, after 0008
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

key = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

# Added by plain ALTER TABLE, which both databases understand: SQLite could name a check of an existing table only by
# making the table anew.
SETTINGS = (
    ("municipality", "longest_wait_minutes", 45, "BETWEEN 0 AND 240"),
    ("office", "walk_minutes", 5, "BETWEEN 0 AND 60"),
)


def upgrade() -> None:
    for table, name, value, check in SETTINGS:
        rule = f"CONSTRAINT ck_{table}_{name} CHECK ({name} {check})"
        op.execute(f"ALTER TABLE {table} ADD COLUMN {name} INTEGER DEFAULT {value} NOT NULL {rule}")
    op.create_table(
        "way",
        sa.Column("one_id", key, nullable=False),
        sa.Column("other_id", key, nullable=False),
        sa.Column("minutes", sa.Integer(), nullable=False),
        sa.CheckConstraint("one_id < other_id", name=op.f("ck_way_one_before_other")),
        sa.CheckConstraint("minutes BETWEEN 0 AND 120", name=op.f("ck_way_minutes")),
        sa.ForeignKeyConstraint(["one_id"], ["office.id"], name="fk_way_one_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["other_id"], ["office.id"], name="fk_way_other_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("one_id", "other_id", name="pk_way"),
    )
    op.add_column("service", sa.Column("comes_after", sa.JSON(), server_default="[]", nullable=False))
    op.execute(
        "ALTER TABLE hold ADD COLUMN desks INTEGER DEFAULT 1 NOT NULL CONSTRAINT ck_hold_desks CHECK (desks >= 1)"
    )
    op.add_column("hold", sa.Column("first_id", key, nullable=True))
    op.create_index("ix_hold_first_id", "hold", ["first_id"], unique=False)


def downgrade() -> None:
    # Plain SQL: the batch mode would make the tables anew on SQLite, and other tables point at their rows.
    op.drop_index("ix_hold_first_id", "hold")
    op.execute("ALTER TABLE hold DROP COLUMN first_id")
    op.execute("ALTER TABLE hold DROP COLUMN desks")
    op.execute("ALTER TABLE service DROP COLUMN comes_after")
    op.drop_table("way")
    for table, name, _value, _check in reversed(SETTINGS):
        op.execute(f"ALTER TABLE {table} DROP COLUMN {name}")
