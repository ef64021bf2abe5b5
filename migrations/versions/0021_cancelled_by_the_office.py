"""Why the office cancelled an appointment

Revision: 0021, after 0020
"""

from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Plain SQL: the batch mode would make the table anew on SQLite, and other tables point at its rows.
    rule = "CONSTRAINT ck_adjustment_cause CHECK (cause IN ('illness', 'fault', 'closing', 'asked', 'other'))"
    op.execute(f"ALTER TABLE adjustment ADD COLUMN cause VARCHAR(20) {rule}")


def downgrade() -> None:
    op.execute("DELETE FROM hit WHERE adjustment_id IN (SELECT id FROM adjustment WHERE kind = 'cancelling')")
    op.execute("DELETE FROM adjustment WHERE kind = 'cancelling'")
    op.execute("ALTER TABLE adjustment DROP COLUMN cause")
