"""Services that are dealt with in one appointment, and holds of several services

Revision: 0008, after 0007
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("service", sa.Column("combines", sa.String(length=40), nullable=True))
    op.add_column("hold", sa.Column("others", sa.JSON(), server_default="[]", nullable=False))


def downgrade() -> None:
    # Plain SQL: the batch mode would make the tables anew on SQLite, and other tables point at their rows.
    op.execute("ALTER TABLE hold DROP COLUMN others")
    op.execute("ALTER TABLE service DROP COLUMN combines")
