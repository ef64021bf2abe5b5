"""Staff sign in with the town's OpenID Connect provider

Revision: 0022, after 0021
"""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

key = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "sign_in_provider",
        sa.Column("municipality_id", key, autoincrement=False, nullable=False),
        sa.Column("name", sa.String(length=60), nullable=False),
        sa.Column("issuer", sa.String(length=300), nullable=False),
        sa.Column("client_id", sa.String(length=200), nullable=False),
        sa.Column("secret", sa.String(length=1000), nullable=True),
        sa.Column("has_second_factor", sa.Boolean(), nullable=False),
        sa.Column("allows_passwords", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["municipality_id"], ["municipality.id"], name=op.f("fk_sign_in_provider_municipality_id")
        ),
        sa.PrimaryKeyConstraint("municipality_id", name=op.f("pk_sign_in_provider")),
    )
    op.create_table(
        "identity",
        sa.Column("staff_id", key, autoincrement=False, nullable=False),
        sa.Column("municipality_id", key, nullable=False),
        sa.Column("issuer", sa.String(length=300), nullable=False),
        sa.Column("subject", sa.String(length=255), nullable=False),
        sa.ForeignKeyConstraint(["municipality_id"], ["municipality.id"], name=op.f("fk_identity_municipality_id")),
        sa.ForeignKeyConstraint(["staff_id"], ["staff.id"], name=op.f("fk_identity_staff_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("staff_id", name=op.f("pk_identity")),
        sa.UniqueConstraint(
            "municipality_id", "issuer", "subject", name=op.f("uq_identity_municipality_id_issuer_subject")
        ),
    )


def downgrade() -> None:
    op.drop_table("identity")
    op.drop_table("sign_in_provider")
