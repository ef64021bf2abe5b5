"""Questions before a visit, and the address where a service can be done online, with how often it was followed

Revision: 0017, after 0016
"""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

key = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("service_text", sa.Column("questions", sa.String(), server_default="", nullable=False))
    op.add_column("service", sa.Column("online_url", sa.String(length=300), nullable=True))
    op.create_table(
        "online_visit",
        sa.Column("service_id", key, nullable=False),
        sa.Column("followed_on", sa.Date(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["service_id"], ["service.id"], name="fk_online_visit_service_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("service_id", "followed_on", name="pk_online_visit"),
    )


def downgrade() -> None:
    op.drop_table("online_visit")
    # Plain SQL: the batch mode would make the tables anew on SQLite, and other tables point at their rows.
    op.execute("ALTER TABLE service DROP COLUMN online_url")
    op.execute("ALTER TABLE service_text DROP COLUMN questions")
