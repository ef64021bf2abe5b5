"""How late a citizen can move or cancel, by service

Revision: 0011, after 0010
"""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Plain SQL: SQLite could name a check of an existing table only by making the table anew.
    for name in ("move_hours", "cancel_hours"):
        rule = f"CONSTRAINT ck_service_{name} CHECK ({name} BETWEEN 0 AND 1000)"
        op.execute(f"ALTER TABLE service ADD COLUMN {name} INTEGER DEFAULT 0 NOT NULL {rule}")


def downgrade() -> None:
    for name in ("cancel_hours", "move_hours"):
        op.execute(f"ALTER TABLE service DROP COLUMN {name}")
