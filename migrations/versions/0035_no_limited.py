"""No rows for those whose limits are counted: they are locked by a number, which nobody stores

Revision: 0035, after 0034
"""

import sqlalchemy as sa
from alembic import op

revision = "0035"
down_revision = "0034"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_table("limited")


def downgrade() -> None:
    op.create_table(
        "limited",
        sa.Column("subject", sa.String(32), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("subject", name="pk_limited"),
    )
