"""The answers to the questions of a service that ask for something to bring

Revision: 0029, after 0028
"""

from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Plain SQL: SQLite could name a check of an existing table only by making the table anew.
    op.execute("ALTER TABLE hold ADD COLUMN answers VARCHAR(40)")
    rule = "CONSTRAINT ck_booking_no_answers_when_forgotten CHECK (forgotten_at IS NULL OR answers IS NULL)"
    op.execute(f"ALTER TABLE booking ADD COLUMN answers VARCHAR(40) {rule}")


def downgrade() -> None:
    for table in ("booking", "hold"):
        op.execute(f"ALTER TABLE {table} DROP COLUMN answers")
