"""The outbox: one row for each message that is due, and the worker's heartbeat."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import CheckConstraint, ForeignKey, Index, LargeBinary, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from booking.db import Base, choice, key


class Kind(StrEnum):
    CONFIRMATION = "confirmation"
    REMINDER = "reminder"
    MOVE = "move"
    CANCELLATION = "cancellation"
    LIST = "list"  # what is still to come, for a contact whose limit was reached


class MessageChannel(StrEnum):
    EMAIL = "email"
    SMS = "sms"


class MessageState(StrEnum):
    """queued → sending → sent, or failed (for good), dropped (no longer true) or expired (too late)."""

    QUEUED = "queued"
    SENDING = "sending"
    SENT = "sent"
    FAILED = "failed"
    DROPPED = "dropped"
    EXPIRED = "expired"


ONCE = ("subject_kind", "subject_id", "sequence", "kind", "occasion", "channel")


class Message(Base):
    """One message about an appointment as it stood at `sequence`; queued in the transaction that caused it.

    It names nobody: who gets it and what it says is read when it is sent. `content` keeps the bytes for a
    retry and is purged soon after sending, because it holds live links.
    """

    __tablename__ = "message"
    __table_args__ = (
        UniqueConstraint(*ONCE, name="uq_message_once"),
        CheckConstraint("subject_kind IN ('appointment')", name="subject_kind"),
        CheckConstraint("(state = 'sending') = (claimed_at IS NOT NULL)", name="claimed_while_sending"),
        Index("ix_message_state_due_at", "state", "due_at"),
    )

    id: Mapped[int] = key()
    municipality_id: Mapped[int] = mapped_column(ForeignKey("municipality.id"))
    subject_kind: Mapped[str] = mapped_column(String(20))
    subject_id: Mapped[int]
    sequence: Mapped[int]
    kind: Mapped[Kind] = mapped_column(choice(Kind, "kind"))
    occasion: Mapped[str] = mapped_column(String(40))  # the reminder rule, or the kind itself
    channel: Mapped[MessageChannel] = mapped_column(choice(MessageChannel, "channel"))
    state: Mapped[MessageState] = mapped_column(choice(MessageState, "state"), default=MessageState.QUEUED)
    made_at: Mapped[datetime]
    due_at: Mapped[datetime]
    expires_at: Mapped[datetime]  # never sent at or after this moment
    attempts: Mapped[int] = mapped_column(default=0)
    claimed_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]  # when it was sent, failed, dropped or expired
    reason: Mapped[str | None] = mapped_column(String(200))
    provider_id: Mapped[str | None] = mapped_column(String(80))
    content: Mapped[bytes | None] = mapped_column(LargeBinary)


class Heartbeat(Base):
    """When a step of the worker last ended."""

    __tablename__ = "heartbeat"

    step: Mapped[str] = mapped_column(String(40), primary_key=True)
    at: Mapped[datetime]
