"""How people get into an office, and how they reach it

Revision: 0005, after 0004
"""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Plain SQL: the batch mode would make the table anew on SQLite, and other tables point at its rows.
    op.execute("ALTER TABLE office ADD COLUMN access JSON DEFAULT '[]' NOT NULL")
    op.execute("ALTER TABLE office ADD COLUMN phone VARCHAR(20)")
    op.execute("ALTER TABLE office ADD COLUMN email VARCHAR(254)")


def downgrade() -> None:
    for name in ("email", "phone", "access"):
        op.execute(f"ALTER TABLE office DROP COLUMN {name}")
