"""Receipts, call list and held-back messages, providers that are away, quiet hours, and reminders of a service

Revision: 0004, after 0003
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

key = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

# Column, type, value for the rows there are, and its check. Added by plain ALTER TABLE, which both databases understand.
SETTINGS = (
    ("wait_minutes", "INTEGER", "10", "BETWEEN 0 AND 240"),
    ("quiet_from", "INTEGER", "1230", "BETWEEN 0 AND 1440"),
    ("quiet_until", "INTEGER", "480", "BETWEEN 0 AND 1440"),
    ("speaks", "VARCHAR(20)", "'citizen'", "IN ('citizen', 'authoritative')"),
)
STATES = ("queued", "sending", "sent", "failed", "dropped", "expired")
MOMENTS = ("to_call_at", "called_at")


def upgrade() -> None:
    for name, kind, value, check in SETTINGS:
        rule = f"CONSTRAINT ck_municipality_{name} CHECK ({name} {check})"
        op.execute(f"ALTER TABLE municipality ADD COLUMN {name} {kind} DEFAULT {value} NOT NULL {rule}")
    op.add_column("service", sa.Column("reminders", sa.JSON(), nullable=True))
    op.create_table(
        "provider",
        sa.Column("channel", sa.String(length=20), nullable=False),
        sa.Column("away_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("retry_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("reason", sa.String(length=200), nullable=True),
        sa.Column("free_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("channel IN ('email', 'sms')", name=op.f("ck_provider_channel")),
        sa.PrimaryKeyConstraint("channel", name="pk_provider"),
    )
    with op.batch_alter_table("message", copy_from=_messages(), recreate="auto") as batch:
        batch.add_column(sa.Column("change", sa.String(length=40), nullable=True))
        batch.add_column(sa.Column("segments", sa.Integer(), nullable=True))
        for name in MOMENTS:
            batch.add_column(sa.Column(name, sa.DateTime(timezone=True), nullable=True))
        _allow(batch, (*STATES, "delivered"), ("appointment", "staff"))
        batch.create_check_constraint(
            op.f("ck_message_called_when_to_call"), "called_at IS NULL OR to_call_at IS NOT NULL"
        )
    op.create_index("ix_message_change", "message", ["change"], unique=False)
    op.create_index("ix_message_subject", "message", ["subject_kind", "subject_id"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_message_subject", "message")
    op.drop_index("ix_message_change", "message")
    op.execute("DELETE FROM message WHERE subject_kind = 'staff'")
    op.execute("UPDATE message SET state = 'sent' WHERE state = 'delivered'")
    with op.batch_alter_table("message", copy_from=_messages(with_new=True), recreate="auto") as batch:
        batch.drop_constraint(op.f("ck_message_called_when_to_call"), type_="check")
        _allow(batch, STATES, ("appointment",))
        for name in ("change", "segments", *MOMENTS):
            batch.drop_column(name)
    op.drop_table("provider")
    op.execute("ALTER TABLE service DROP COLUMN reminders")
    for name, *_ in reversed(SETTINGS):
        op.execute(f"ALTER TABLE municipality DROP COLUMN {name}")


def _allow(batch: object, states: tuple[str, ...], subjects: tuple[str, ...]) -> None:
    """The words that message.state and message.subject_kind may hold."""
    for name, words in (("state", states), ("subject_kind", subjects)):
        batch.drop_constraint(op.f(f"ck_message_{name}"), type_="check")
        batch.create_check_constraint(op.f(f"ck_message_{name}"), f"{name} IN ({_quoted(words)})")


def _quoted(words: tuple[str, ...]) -> str:
    return ", ".join(f"'{word}'" for word in words)


def _messages(with_new: bool = False) -> sa.Table:
    """The table as it is before or after: SQLite does not tell all of it."""
    words = {"kind": ("confirmation", "reminder", "move", "cancellation", "list"), "channel": ("email", "sms")}
    words["state"] = (*STATES, "delivered") if with_new else STATES
    words["subject_kind"] = ("appointment", "staff") if with_new else ("appointment",)
    checks = {name: f"{name} IN ({_quoted(of)})" for name, of in words.items()}
    checks["claimed_while_sending"] = "(state = 'sending') = (claimed_at IS NOT NULL)"
    texts = (("subject_kind", 20), ("kind", 20), ("occasion", 40), ("channel", 20), ("state", 20))
    moments = (("made_at", False), ("due_at", False), ("expires_at", False), ("claimed_at", True), ("ended_at", True))
    new = []
    if with_new:
        checks["called_when_to_call"] = "called_at IS NULL OR to_call_at IS NOT NULL"
        new = [sa.Column("change", sa.String(length=40)), sa.Column("segments", sa.Integer())]
        new += [sa.Column(name, sa.DateTime(timezone=True)) for name in MOMENTS]
    return sa.Table(
        "message",
        sa.MetaData(),
        sa.Column("id", key, nullable=False),
        sa.Column("municipality_id", key, nullable=False),
        *(sa.Column(name, sa.String(length), nullable=False) for name, length in texts),
        *(sa.Column(name, sa.Integer(), nullable=False) for name in ("subject_id", "sequence", "attempts")),
        *(sa.Column(name, sa.DateTime(timezone=True), nullable=is_null) for name, is_null in moments),
        sa.Column("reason", sa.String(length=200), nullable=True),
        sa.Column("provider_id", sa.String(length=80), nullable=True),
        sa.Column("content", sa.LargeBinary(), nullable=True),
        *new,
        *(sa.CheckConstraint(check, name=op.f(f"ck_message_{name}")) for name, check in checks.items()),
        sa.ForeignKeyConstraint(["municipality_id"], ["municipality.id"], name="fk_message_municipality_id"),
        sa.PrimaryKeyConstraint("id", name="pk_message"),
        sa.UniqueConstraint(
            "subject_kind", "subject_id", "sequence", "kind", "occasion", "channel", name="uq_message_once"
        ),
        sa.Index("ix_message_state_due_at", "state", "due_at"),
    )
