"""A role may hold in a whole office

Revision: 0026, after 0025
"""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

key = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
ROLES = "role IN ('clerk', 'lead', 'manager', 'administrator')"
ONE_PLACE = "office_id IS NULL OR desk_id IS NULL"


def upgrade() -> None:
    with op.batch_alter_table("staff_role", copy_from=_roles(), recreate="auto") as batch:
        batch.add_column(sa.Column("office_id", key, nullable=True))
        batch.create_foreign_key("fk_staff_role_office_id", "office", ["office_id"], ["id"], ondelete="CASCADE")
        batch.create_check_constraint(op.f("ck_staff_role_one_place"), ONE_PLACE)
    op.create_index("ix_staff_role_staff_id_office_id", "staff_role", ["staff_id", "office_id"], unique=True)


def downgrade() -> None:
    op.drop_index("ix_staff_role_staff_id_office_id", "staff_role")
    op.execute("DELETE FROM staff_role WHERE office_id IS NOT NULL")  # else they would hold everywhere
    office = (
        sa.Column("office_id", key, nullable=True),
        sa.ForeignKeyConstraint(["office_id"], ["office.id"], name="fk_staff_role_office_id", ondelete="CASCADE"),
        sa.CheckConstraint(ONE_PLACE, name=op.f("ck_staff_role_one_place")),
    )
    with op.batch_alter_table("staff_role", copy_from=_roles(*office), recreate="auto") as batch:
        batch.drop_constraint(op.f("ck_staff_role_one_place"), type_="check")
        batch.drop_constraint("fk_staff_role_office_id", type_="foreignkey")
        batch.drop_column("office_id")


def _roles(*more: sa.Column | sa.Constraint) -> sa.Table:
    """The table as 0001 made it: SQLite does not tell all of it."""
    return sa.Table(
        "staff_role",
        sa.MetaData(),
        sa.Column("id", key, nullable=False),
        sa.Column("staff_id", key, nullable=False),
        sa.Column("desk_id", key, nullable=True),
        sa.Column("role", sa.String(length=20), nullable=False),
        *more,
        sa.CheckConstraint(ROLES, name=op.f("ck_staff_role_role")),
        sa.ForeignKeyConstraint(["desk_id"], ["desk.id"], name="fk_staff_role_desk_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["staff_id"], ["staff.id"], name="fk_staff_role_staff_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_staff_role"),
        sa.UniqueConstraint("staff_id", "desk_id", name="uq_staff_role_staff_id_desk_id"),
    )
