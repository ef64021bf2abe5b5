"""Files that are looked at before they are imported

Revision: 0023, after 0022
"""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

key = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "upload",
        sa.Column("id", key, nullable=False),
        sa.Column("municipality_id", key, nullable=False),
        sa.Column("staff_id", key, nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["municipality_id"], ["municipality.id"], name="fk_upload_municipality_id"),
        sa.ForeignKeyConstraint(["staff_id"], ["staff.id"], name="fk_upload_staff_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_upload"),
    )
    op.create_index("ix_upload_municipality_id", "upload", ["municipality_id"])


def downgrade() -> None:
    op.drop_table("upload")
