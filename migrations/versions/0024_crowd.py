"""A desk may let in so many people at once to choose a time; others wait in a line

Revision: 0024, after 0023
"""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

key = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    # Plain SQL: the batch mode would make the table anew on SQLite, and other tables point at its rows.
    rule = "CONSTRAINT ck_desk_crowd_size CHECK (crowd_size BETWEEN 0 AND 10000)"
    op.execute(f"ALTER TABLE desk ADD COLUMN crowd_size INTEGER DEFAULT 0 NOT NULL {rule}")
    op.create_table(
        "crowd_place",
        sa.Column("id", key, nullable=False),
        sa.Column("desk_id", key, nullable=False),
        sa.Column("address", sa.String(length=32), nullable=False),
        sa.Column("came_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("kept_until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("let_in_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("left_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["desk_id"], ["desk.id"], name="fk_crowd_place_desk_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_crowd_place"),
    )
    op.create_index("ix_crowd_place_desk_id_came_at", "crowd_place", ["desk_id", "came_at"])


def downgrade() -> None:
    op.drop_table("crowd_place")
    op.execute("ALTER TABLE desk DROP COLUMN crowd_size")
