"""What people need to be able to come

Revision: 0016, after 0015
"""

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Plain SQL: SQLite could name a check of an existing table only by making the table anew.
    rule = "CONSTRAINT ck_municipality_extra_minutes CHECK (extra_minutes BETWEEN 0 AND 120 AND extra_minutes % 5 = 0)"
    op.execute(f"ALTER TABLE municipality ADD COLUMN extra_minutes INTEGER DEFAULT 10 NOT NULL {rule}")
    op.execute("ALTER TABLE hold ADD COLUMN needs VARCHAR(80)")
    rule = "CONSTRAINT ck_booking_no_needs_when_forgotten CHECK (forgotten_at IS NULL OR needs IS NULL)"
    op.execute(f"ALTER TABLE booking ADD COLUMN needs VARCHAR(80) {rule}")


def downgrade() -> None:
    for table, name in (("booking", "needs"), ("hold", "needs"), ("municipality", "extra_minutes")):
        op.execute(f"ALTER TABLE {table} DROP COLUMN {name}")
