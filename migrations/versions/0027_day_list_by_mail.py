"""The list of the day goes to a mailbox of the office

Revision: 0027, after 0026
"""

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None

key = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
SUBJECTS = ("appointment", "staff")


def upgrade() -> None:
    op.execute("ALTER TABLE office ADD COLUMN day_list_email VARCHAR(254)")
    _allow(SUBJECTS, (*SUBJECTS, "office"))


def downgrade() -> None:
    op.execute("DELETE FROM message WHERE subject_kind = 'office'")
    _allow((*SUBJECTS, "office"), SUBJECTS)
    op.execute("ALTER TABLE office DROP COLUMN day_list_email")


def _allow(before: tuple[str, ...], after: tuple[str, ...]) -> None:
    """What messages may be about. SQLite gets the table made anew, with all that is in it."""
    with op.batch_alter_table("message", copy_from=_messages(before), recreate="auto") as batch:
        batch.drop_constraint(op.f("ck_message_subject_kind"), type_="check")
        batch.create_check_constraint(op.f("ck_message_subject_kind"), f"subject_kind IN ({_quoted(after)})")


def _quoted(words: tuple[str, ...]) -> str:
    return ", ".join(f"'{word}'" for word in words)


def _messages(subjects: tuple[str, ...]) -> sa.Table:
    """The table as 0025 left it: SQLite does not tell all of it."""
    words = {"channel": ("email", "sms"), "subject_kind": subjects}
    words["kind"] = ("confirmation", "reminder", "move", "cancellation", "list", "late", "invitation", "forgotten")
    words["state"] = ("queued", "sending", "sent", "failed", "dropped", "expired", "delivered")
    checks = {name: f"{name} IN ({_quoted(of)})" for name, of in words.items()}
    checks["claimed_while_sending"] = "(state = 'sending') = (claimed_at IS NOT NULL)"
    checks["called_when_to_call"] = "called_at IS NULL OR to_call_at IS NOT NULL"
    texts = (("subject_kind", 20), ("kind", 20), ("occasion", 40), ("channel", 20), ("state", 20))
    needed, perhaps = ("made_at", "due_at", "expires_at"), ("claimed_at", "ended_at", "to_call_at", "called_at")
    return sa.Table(
        "message",
        sa.MetaData(),
        sa.Column("id", key, nullable=False),
        sa.Column("municipality_id", key, nullable=False),
        *(sa.Column(name, sa.String(length), nullable=False) for name, length in texts),
        *(sa.Column(name, sa.Integer(), nullable=False) for name in ("subject_id", "sequence", "attempts")),
        *(sa.Column(name, sa.DateTime(timezone=True), nullable=False) for name in needed),
        *(sa.Column(name, sa.DateTime(timezone=True), nullable=True) for name in perhaps),
        sa.Column("reason", sa.String(length=200), nullable=True),
        sa.Column("provider_id", sa.String(length=80), nullable=True),
        sa.Column("content", sa.LargeBinary(), nullable=True),
        sa.Column("change", sa.String(length=40), nullable=True),
        sa.Column("segments", sa.Integer(), nullable=True),
        *(sa.CheckConstraint(check, name=op.f(f"ck_message_{name}")) for name, check in checks.items()),
        sa.ForeignKeyConstraint(["municipality_id"], ["municipality.id"], name="fk_message_municipality_id"),
        sa.PrimaryKeyConstraint("id", name="pk_message"),
        sa.UniqueConstraint(
            "subject_kind", "subject_id", "sequence", "kind", "occasion", "channel", name="uq_message_once"
        ),
        sa.Index("ix_message_state_due_at", "state", "due_at"),
        sa.Index("ix_message_subject", "subject_kind", "subject_id"),
        sa.Index("ix_message_change", "change"),
    )
