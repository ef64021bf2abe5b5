"""Invitations and second factors of staff

Revision: 0019, after 0018
"""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("staff", sa.Column("invited_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("staff", sa.Column("has_totp", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column("staff", sa.Column("totp_generation", sa.Integer(), server_default="1", nullable=False))
    op.add_column("staff", sa.Column("totp_step", sa.Integer(), nullable=True))


def downgrade() -> None:
    # Plain SQL: the batch mode would make the table anew on SQLite, and other tables point at its rows.
    for name in ("totp_step", "totp_generation", "has_totp", "invited_at"):
        op.execute(f"ALTER TABLE staff DROP COLUMN {name}")
