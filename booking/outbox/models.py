"""The outbox: one row for each message that is due, the providers that take them, and the worker's heartbeat."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import CheckConstraint, ForeignKey, Index, LargeBinary, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from booking.db import Base, choice, index_of_given, key


class Kind(StrEnum):
    CONFIRMATION = "confirmation"
    REMINDER = "reminder"
    MOVE = "move"
    CANCELLATION = "cancellation"
    LATE = "late"  # the counter runs late
    LIST = "list"  # what is still to come: for a contact whose limit was reached, for an office at six in the morning
    INVITATION = "invitation"  # to a member of staff: a link to choose a password
    FORGOTTEN = "forgotten"  # the same, because the old one is forgotten


TO_STAFF = frozenset({Kind.INVITATION, Kind.FORGOTTEN})


class MessageChannel(StrEnum):
    EMAIL = "email"
    SMS = "sms"

    @property
    def other(self) -> MessageChannel:
        return MessageChannel.SMS if self == MessageChannel.EMAIL else MessageChannel.EMAIL


class MessageState(StrEnum):
    """queued → sending → sent → delivered, or failed (for good), dropped (no longer true) or expired (too late)."""

    QUEUED = "queued"
    SENDING = "sending"
    SENT = "sent"
    DELIVERED = "delivered"
    FAILED = "failed"
    DROPPED = "dropped"
    EXPIRED = "expired"


ONCE = ("subject_kind", "subject_id", "sequence", "kind", "occasion", "channel")


class Message(Base):
    """One message about an appointment as it stood at `sequence`; queued in the transaction that caused it.

    It names nobody: who gets it and what it says is read when it is sent. `content` keeps the bytes for a
    retry and is purged soon after sending, because it holds live links. A member of staff is the subject of a letter
    with a link of theirs (`sequence` is the generation of their account), and of a message that they asked for to
    try it out (`sequence` is 0); an office of the list of its day.
    """

    __tablename__ = "message"
    __table_args__ = (
        UniqueConstraint(*ONCE, name="uq_message_once"),
        CheckConstraint("subject_kind IN ('appointment', 'staff', 'office')", name="subject_kind"),
        CheckConstraint("(state = 'sending') = (claimed_at IS NOT NULL)", name="claimed_while_sending"),
        CheckConstraint("called_at IS NULL OR to_call_at IS NOT NULL", name="called_when_to_call"),
        Index("ix_message_state_due_at", "state", "due_at"),
        index_of_given("ix_message_change", "change"),
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
    change: Mapped[str | None] = mapped_column(String(40))  # of an administrator: its messages wait
    segments: Mapped[int | None]  # parts that a text message is paid for
    to_call_at: Mapped[datetime | None]  # since when the citizen must be called, because nothing reached them
    called_at: Mapped[datetime | None]


class Provider(Base):
    """The mail server, or the text message service: when it was found away, and when it is asked again."""

    __tablename__ = "provider"

    channel: Mapped[MessageChannel] = mapped_column(choice(MessageChannel, "channel"), primary_key=True)
    away_since: Mapped[datetime | None]
    retry_at: Mapped[datetime | None]  # left alone until then
    failures: Mapped[int] = mapped_column(default=0)  # in a row
    reason: Mapped[str | None] = mapped_column(String(200))
    free_at: Mapped[datetime | None]  # when it may be given the next message, where a limit is set


class Heartbeat(Base):
    """When a step of the worker last ended."""

    __tablename__ = "heartbeat"

    step: Mapped[str] = mapped_column(String(40), primary_key=True)
    at: Mapped[datetime]
