"""Which kept file puts back what an import changed

Revision: 0032, after 0031
"""

import sqlalchemy as sa
from alembic import op

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("upload", sa.Column("is_way_back", sa.Boolean(), server_default=sa.false(), nullable=False))


def downgrade() -> None:
    op.execute("DELETE FROM upload WHERE is_way_back")
    op.execute("ALTER TABLE upload DROP COLUMN is_way_back")
