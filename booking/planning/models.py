"""The tables of planning: a change of hours or closures, and what became of each appointment that it hit."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from booking.appointments.models import Appointment
from booking.db import Base, choice, key


class Choice(StrEnum):
    """What becomes of an appointment that no longer lies in the hours."""

    KEEP = "keep"  # as an exception
    MOVE = "move"  # to a time that is proposed; the citizen accepts it or picks another
    CANCEL = "cancel"


class Cause(StrEnum):
    """Why the office cancels an appointment, as the citizen is told."""

    ILLNESS = "illness"
    FAULT = "fault"  # what the counter needs does not work
    CLOSING = "closing"  # it must close earlier
    ASKED = "asked"  # the citizen called
    OTHER = "other"


class Adjustment(Base):
    """A change of hours or closures, or one appointment that the office cancelled, as it was carried out.

    `delta` is what it took away and added of hours and closures, to be undone.
    """

    __tablename__ = "adjustment"

    id: Mapped[int] = key()
    municipality_id: Mapped[int] = mapped_column(ForeignKey("municipality.id"), index=True)
    staff_id: Mapped[int] = mapped_column(ForeignKey("staff.id"))
    kind: Mapped[str] = mapped_column(String(20))  # hours, closing, reopening, cancelling
    cause: Mapped[Cause | None] = mapped_column(choice(Cause, "cause"))  # of a cancelling
    made_at: Mapped[datetime]
    due_at: Mapped[datetime]  # until then its messages wait
    undone_at: Mapped[datetime | None]
    delta: Mapped[dict[str, Any]]

    hits: Mapped[list[Hit]] = relationship(back_populates="adjustment", order_by="Hit.starts_at")

    @property
    def name(self) -> str:
        """What its messages are known by."""
        return f"adjustment-{self.id}"


class Hit(Base):
    """An appointment that a change hit: where and when it was, and what was chosen for it."""

    __tablename__ = "hit"
    __table_args__ = (
        CheckConstraint("starts_at < ends_at", name="starts_before_ends"),
        Index("ix_hit_appointment_id", "appointment_id"),
    )

    id: Mapped[int] = key()
    adjustment_id: Mapped[int] = mapped_column(ForeignKey("adjustment.id", ondelete="CASCADE"), index=True)
    appointment_id: Mapped[int] = mapped_column(ForeignKey("appointment.id", ondelete="CASCADE"))
    choice: Mapped[Choice] = mapped_column(choice(Choice, "choice"))
    counter_id: Mapped[int] = mapped_column(ForeignKey("counter.id", ondelete="CASCADE"))
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    ticks: Mapped[int]  # how many it occupied, with the buffer
    sequence: Mapped[int]  # of the appointment after the change: another one, and somebody has changed it since
    answered_at: Mapped[datetime | None]  # when the citizen accepted the proposed time

    adjustment: Mapped[Adjustment] = relationship(back_populates="hits")
    appointment: Mapped[Appointment] = relationship()
