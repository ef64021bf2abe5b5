"""The colour of a municipality

Revision: 0020, after 0019
"""

from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Plain SQL: the batch mode would make the table anew on SQLite, and other tables point at its rows.
    op.execute("ALTER TABLE municipality ADD COLUMN accent VARCHAR(7)")


def downgrade() -> None:
    op.execute("ALTER TABLE municipality DROP COLUMN accent")
