"""The logo of before, to be shown again

Revision: 0033, after 0032
"""

import sqlalchemy as sa
from alembic import op

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("logo", sa.Column("former", sa.LargeBinary(), nullable=True))


def downgrade() -> None:
    op.execute("ALTER TABLE logo DROP COLUMN former")
