"""The feeds that calendar clients subscribe to."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum

from sqlalchemy import CheckConstraint, ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from booking.db import Base, choice, key


class Detail(StrEnum):
    """How much a feed says of an appointment; each says what the one before it says, and never a contact."""

    BUSY = "busy"
    SERVICE = "service"  # and the reference
    INITIALS = "initials"


SUBJECTS = ("counter_id", "desk_id", "office_id", "service_id", "staff_id")


class Feed(Base):
    """Appointments for one subscriber: of a counter, a desk, an office, a service, or of somebody's own desks.

    Its address is derived; raising `generation` gives it another one. A feed that was revoked, or whose last day is
    over, has none any more (410).
    """

    __tablename__ = "feed"
    __table_args__ = (
        CheckConstraint(
            " + ".join(f"CASE WHEN {name} IS NULL THEN 0 ELSE 1 END" for name in SUBJECTS) + " = 1", name="one_subject"
        ),
    )

    id: Mapped[int] = key()
    municipality_id: Mapped[int] = mapped_column(ForeignKey("municipality.id"), index=True)
    counter_id: Mapped[int | None] = mapped_column(ForeignKey("counter.id", ondelete="CASCADE"))
    desk_id: Mapped[int | None] = mapped_column(ForeignKey("desk.id", ondelete="CASCADE"))
    office_id: Mapped[int | None] = mapped_column(ForeignKey("office.id", ondelete="CASCADE"))
    service_id: Mapped[int | None] = mapped_column(ForeignKey("service.id", ondelete="CASCADE"))
    staff_id: Mapped[int | None] = mapped_column(ForeignKey("staff.id", ondelete="CASCADE"))
    detail: Mapped[Detail] = mapped_column(choice(Detail, "detail"), default=Detail.SERVICE)
    name: Mapped[str] = mapped_column(String(120))  # who subscribes, or where
    generation: Mapped[int] = mapped_column(default=1)
    made_at: Mapped[datetime]
    last_on: Mapped[date | None]  # the last local day on which it is answered
    revoked_at: Mapped[datetime | None]
    fetched_at: Mapped[datetime | None]
    fetched_by: Mapped[str | None] = mapped_column(String(40))  # the program that fetched it last
    fetches: Mapped[int] = mapped_column(default=0)
