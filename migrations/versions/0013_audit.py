"""The audit log says from where, and nobody can change a line of it, not even with a connection to the database

Revision: 0013, after 0012
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

REFUSAL = "a line of the audit log cannot be changed"


def upgrade() -> None:
    op.add_column("audit_line", sa.Column("origin", sa.String(length=45), nullable=True))
    if op.get_bind().dialect.name == "sqlite":
        for change in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER audit_line_no_{change.lower()} BEFORE {change} ON audit_line"
                f" BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END"
            )
        return
    op.execute(
        "CREATE FUNCTION refuse_change_of_audit_line() RETURNS trigger LANGUAGE plpgsql AS"
        f" $$ BEGIN RAISE EXCEPTION '{REFUSAL}' USING ERRCODE = 'integrity_constraint_violation'; END $$"
    )
    for change, each in (("UPDATE OR DELETE", "ROW"), ("TRUNCATE", "STATEMENT")):
        op.execute(
            f"CREATE TRIGGER audit_line_no_{change.split()[0].lower()} BEFORE {change} ON audit_line"
            f" FOR EACH {each} EXECUTE FUNCTION refuse_change_of_audit_line()"
        )


def downgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        for change in ("update", "delete"):
            op.execute(f"DROP TRIGGER audit_line_no_{change}")
    else:
        for change in ("update", "truncate"):
            op.execute(f"DROP TRIGGER audit_line_no_{change} ON audit_line")
        op.execute("DROP FUNCTION refuse_change_of_audit_line")
    op.execute("ALTER TABLE audit_line DROP COLUMN origin")
