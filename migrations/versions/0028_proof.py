"""A municipality may ask browsers for a proof of work

Revision: 0028, after 0027
"""

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("municipality", sa.Column("asks_proof", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column("hold", sa.Column("is_proven", sa.Boolean(), server_default=sa.false(), nullable=False))


def downgrade() -> None:
    op.execute("ALTER TABLE hold DROP COLUMN is_proven")
    op.execute("ALTER TABLE municipality DROP COLUMN asks_proof")
