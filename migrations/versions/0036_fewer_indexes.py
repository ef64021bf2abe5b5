"""Indexes only of rows that have a value, and none that another begins with

Revision: 0036, after 0035
"""

import sqlalchemy as sa
from alembic import op

revision = "0036"
down_revision = "0035"
branch_labels = None
depends_on = None

OFTEN_EMPTY = (
    ("booking", "email_key"),
    ("booking", "phone_key"),
    ("hold", "first_id"),
    ("message", "change"),
    ("occupancy", "appointment_id"),
)


def upgrade() -> None:
    for table, column in OFTEN_EMPTY:
        is_given = sa.text(f"{column} IS NOT NULL")
        op.drop_index(f"ix_{table}_{column}", table)
        op.create_index(f"ix_{table}_{column}", table, [column], postgresql_where=is_given, sqlite_where=is_given)
    op.drop_index("ix_message_subject", "message")  # uq_message_once begins with the same columns


def downgrade() -> None:
    op.create_index("ix_message_subject", "message", ["subject_kind", "subject_id"])
    for table, column in OFTEN_EMPTY:
        op.drop_index(f"ix_{table}_{column}", table)
        op.create_index(f"ix_{table}_{column}", table, [column])
