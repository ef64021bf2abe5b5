"""Appointments in time that is kept back for walk-ins are marked

Revision: 0010, after 0009
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("appointment", sa.Column("is_beyond_quota", sa.Boolean(), server_default=sa.false(), nullable=False))


def downgrade() -> None:
    # Plain SQL: the batch mode would make the table anew on SQLite, and other tables point at its rows.
    op.execute("ALTER TABLE appointment DROP COLUMN is_beyond_quota")
