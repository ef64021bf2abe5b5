"""Limits on holds and contacts, the delay of freed slots, and the lines by which memory follows an office

Revision: 0002, after 0001
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

key = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

# Column, value for the towns there are, and its check. Added by plain ALTER TABLE, which both databases understand:
# SQLite could name a check of an existing table only by making the table anew.
SETTINGS = (
    ("revision", 1, None),
    ("freed_minutes", 30, "BETWEEN 0 AND 240"),
    ("holds_per_browser", 3, ">= 1"),
    ("holds_per_address", 60, ">= 1"),
    ("held_percent", 50, "BETWEEN 1 AND 100"),
    ("open_per_contact", 5, ">= 1"),
    ("made_per_contact", 10, ">= 1"),
)
PSEUDONYMS = (("hold", "browser"), ("hold", "address"), ("booking", "email_key"), ("booking", "phone_key"))
KINDS = ("confirmation", "reminder", "move", "cancellation")


def upgrade() -> None:
    for name, value, check in SETTINGS:
        rule = f" CONSTRAINT ck_municipality_{name} CHECK ({name} {check})" if check else ""
        op.execute(f"ALTER TABLE municipality ADD COLUMN {name} INTEGER DEFAULT {value} NOT NULL{rule}")
    for table, name in PSEUDONYMS:
        rule = " CONSTRAINT ck_booking_no_pseudonym_when_forgotten CHECK " if name == "phone_key" else ""
        rule += "(forgotten_at IS NULL OR (email_key IS NULL AND phone_key IS NULL))" if rule else ""
        op.execute(f"ALTER TABLE {table} ADD COLUMN {name} VARCHAR(32){rule}")
        op.create_index(f"ix_{table}_{name}", table, [name], unique=False)
    op.create_table(
        "limited",
        sa.Column("subject", sa.String(length=32), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("subject", name="pk_limited"),
    )
    op.create_table(
        "change",
        sa.Column("id", key, nullable=False),
        sa.Column("office_id", key, nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("counter_id", key, nullable=False),
        sa.Column("first_tick", sa.Integer(), nullable=False),
        sa.Column("end_tick", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("first_tick < end_tick", name=op.f("ck_change_first_before_end")),
        sa.ForeignKeyConstraint(["counter_id"], ["counter.id"], name="fk_change_counter_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["office_id"], ["office.id"], name="fk_change_office_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_change"),
    )
    op.create_index("ix_change_office_id_revision", "change", ["office_id", "revision"], unique=False)
    _allow_kinds((*KINDS, "list"))


def downgrade() -> None:
    op.execute("DELETE FROM message WHERE kind = 'list'")
    _allow_kinds(KINDS)
    op.drop_index("ix_change_office_id_revision", "change")
    op.drop_table("change")
    op.drop_table("limited")
    for table, name in reversed(PSEUDONYMS):
        op.drop_index(f"ix_{table}_{name}", table)
        op.execute(f"ALTER TABLE {table} DROP COLUMN {name}")
    for name, _value, _check in reversed(SETTINGS):
        op.execute(f"ALTER TABLE municipality DROP COLUMN {name}")


def _allow_kinds(kinds: tuple[str, ...]) -> None:
    """The words that message.kind may hold. SQLite gets the table made anew, with all that is in it."""
    with op.batch_alter_table("message", copy_from=_messages(), recreate="auto") as batch:
        batch.drop_constraint(op.f("ck_message_kind"), type_="check")
        words = ", ".join(f"'{kind}'" for kind in kinds)
        batch.create_check_constraint(op.f("ck_message_kind"), f"kind IN ({words})")


def _messages() -> sa.Table:
    """The table as 0001 made it: SQLite does not tell all of it."""
    words = {"kind": ("confirmation", "reminder", "move", "cancellation"), "channel": ("email", "sms")}
    words["state"] = ("queued", "sending", "sent", "failed", "dropped", "expired")
    checks = {name: f"{name} IN ({', '.join(repr(word) for word in of)})" for name, of in words.items()}
    checks["subject_kind"] = "subject_kind IN ('appointment')"
    checks["claimed_while_sending"] = "(state = 'sending') = (claimed_at IS NOT NULL)"
    texts = (("subject_kind", 20), ("kind", 20), ("occasion", 40), ("channel", 20), ("state", 20))
    moments = (("made_at", False), ("due_at", False), ("expires_at", False), ("claimed_at", True), ("ended_at", True))
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
        *(sa.CheckConstraint(check, name=op.f(f"ck_message_{name}")) for name, check in checks.items()),
        sa.ForeignKeyConstraint(["municipality_id"], ["municipality.id"], name="fk_message_municipality_id"),
        sa.PrimaryKeyConstraint("id", name="pk_message"),
        sa.UniqueConstraint(
            "subject_kind", "subject_id", "sequence", "kind", "occasion", "channel", name="uq_message_once"
        ),
        sa.Index("ix_message_state_due_at", "state", "due_at"),
    )
