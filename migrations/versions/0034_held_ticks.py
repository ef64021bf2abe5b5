"""An index of the ticks that a hold has, and not of all the others

Revision: 0034, after 0033
"""

import sqlalchemy as sa
from alembic import op

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None


def upgrade() -> None:
    is_held = sa.text("hold_id IS NOT NULL")
    op.drop_index("ix_occupancy_hold_id", "occupancy")
    op.create_index("ix_occupancy_hold_id", "occupancy", ["hold_id"], postgresql_where=is_held, sqlite_where=is_held)


def downgrade() -> None:
    op.drop_index("ix_occupancy_hold_id", "occupancy")
    op.create_index("ix_occupancy_hold_id", "occupancy", ["hold_id"])
