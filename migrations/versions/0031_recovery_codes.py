"""Which recovery codes of a second factor were used

Revision: 0031, after 0030
"""

import sqlalchemy as sa
from alembic import op

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("staff", sa.Column("recovery_used", sa.Integer(), server_default="0", nullable=False))


def downgrade() -> None:
    # Plain SQL: the batch mode would make the table anew on SQLite, and other tables point at its rows.
    op.execute("ALTER TABLE staff DROP COLUMN recovery_used")
