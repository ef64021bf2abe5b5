"""The tables of appointments: bookings, appointments, holds, visits, and the ticks they occupy."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, UniqueConstraint, false
from sqlalchemy.orm import Mapped, mapped_column, relationship

from booking.db import Base, BigKey, choice, index_of_given, key
from booking.townhall.models import Counter, Service


class Channel(StrEnum):
    """How a booking came."""

    WEB = "web"
    PHONE = "phone"
    COUNTER = "counter"
    KIOSK = "kiosk"
    PARTNER = "partner"
    API = "api"


class AppointmentState(StrEnum):
    BOOKED = "booked"
    CANCELLED = "cancelled"


class Booking(Base):
    """What a citizen made in one go. The person stands here and nowhere else, until `forgotten_at`."""

    __tablename__ = "booking"
    __table_args__ = (
        UniqueConstraint("municipality_id", "reference"),
        CheckConstraint("(forgotten_at IS NULL) = (name IS NOT NULL)", name="named_until_forgotten"),
        CheckConstraint("(forgotten_at IS NULL) = (reference IS NOT NULL)", name="reference_until_forgotten"),
        CheckConstraint("forgotten_at IS NULL OR (email IS NULL AND phone IS NULL)", name="no_contact_when_forgotten"),
        CheckConstraint(
            "forgotten_at IS NULL OR (email_key IS NULL AND phone_key IS NULL)", name="no_pseudonym_when_forgotten"
        ),
        CheckConstraint("forgotten_at IS NULL OR needs IS NULL", name="no_needs_when_forgotten"),
        CheckConstraint("forgotten_at IS NULL OR answers IS NULL", name="no_answers_when_forgotten"),
        index_of_given("ix_booking_email_key", "email_key"),
        index_of_given("ix_booking_phone_key", "phone_key"),
    )

    id: Mapped[int] = key()
    municipality_id: Mapped[int] = mapped_column(ForeignKey("municipality.id"))
    reference: Mapped[str | None] = mapped_column(String(12))
    name: Mapped[str | None] = mapped_column(String(120))
    email: Mapped[str | None] = mapped_column(String(254))
    phone: Mapped[str | None] = mapped_column(String(20))  # E.164
    email_key: Mapped[str | None] = mapped_column(String(32))  # pseudonyms, to count what a contact has
    phone_key: Mapped[str | None] = mapped_column(String(32))
    language: Mapped[str] = mapped_column(String(2))
    channel: Mapped[Channel] = mapped_column(choice(Channel, "channel"))
    made_at: Mapped[datetime]
    first_free_at: Mapped[datetime | None]  # the first time that was then on offer, over all offices
    needs: Mapped[str | None] = mapped_column(String(80))  # words of needs.py; erased when its last appointment is over
    answers: Mapped[str | None] = mapped_column(String(40))  # to the questions, where they ask for papers; as its needs
    generation: Mapped[int] = mapped_column(default=1)  # of its secret link and its four-digit code
    forgotten_at: Mapped[datetime | None]

    appointments: Mapped[list[Appointment]] = relationship(back_populates="booking", order_by="Appointment.starts_at")


class Appointment(Base):
    """A slot that a booking took. Keeps its id and calendar `uid` for life, also when it is moved."""

    __tablename__ = "appointment"
    __table_args__ = (
        CheckConstraint("starts_at < ends_at", name="starts_before_ends"),
        CheckConstraint("sequence >= 0", name="sequence"),
        Index("ix_appointment_counter_id_starts_at", "counter_id", "starts_at"),
    )

    id: Mapped[int] = key()
    booking_id: Mapped[int] = mapped_column(ForeignKey("booking.id"), index=True)
    counter_id: Mapped[int] = mapped_column(ForeignKey("counter.id"), active_history=True)  # departures need it
    uid: Mapped[str] = mapped_column(String(120), unique=True)
    sequence: Mapped[int] = mapped_column(default=0)  # rises with every move and cancellation (RFC 5546 2.1.4)
    state: Mapped[AppointmentState] = mapped_column(choice(AppointmentState, "state"))
    starts_at: Mapped[datetime] = mapped_column(active_history=True)
    ends_at: Mapped[datetime] = mapped_column(active_history=True)  # of the visit, without the desk's buffer
    changed_at: Mapped[datetime]
    is_exception: Mapped[bool] = mapped_column(default=False)  # it stays, though outside the hours
    is_beyond_quota: Mapped[bool] = mapped_column(default=False)  # in time that is kept back for walk-ins

    booking: Mapped[Booking] = relationship(back_populates="appointments")
    counter: Mapped[Counter] = relationship()
    items: Mapped[list[AppointmentService]] = relationship(order_by="AppointmentService.position", lazy="selectin")
    visit: Mapped[Visit | None] = relationship(back_populates="appointment")

    @property
    def is_booked(self) -> bool:
        return self.state == AppointmentState.BOOKED

    @property
    def minutes(self) -> int:
        return int((self.ends_at - self.starts_at).total_seconds()) // 60

    @property
    def wanted(self) -> list[tuple[Service, int]]:
        """Its services in their order, each with the people it is for."""
        return [(item.service, item.people) for item in self.items]


class AppointmentService(Base):
    """A service of an appointment, for so many people."""

    __tablename__ = "appointment_service"
    __table_args__ = (CheckConstraint("people >= 1", name="people"),)

    appointment_id: Mapped[int] = mapped_column(ForeignKey("appointment.id"), primary_key=True)
    service_id: Mapped[int] = mapped_column(ForeignKey("service.id"), primary_key=True)
    position: Mapped[int]
    people: Mapped[int]

    service: Mapped[Service] = relationship()


class VisitState(StrEnum):
    """Where a visit stands. `arrived` waits for its turn; `cancelled` is said of its appointment, and never stored."""

    EXPECTED = "expected"
    ARRIVED = "arrived"
    CALLED = "called"
    SERVING = "serving"
    PARKED = "parked"
    SERVED = "served"
    MISSED = "missed"
    LEFT = "left"
    CANCELLED = "cancelled"


class Departure(Base):
    """An appointment was moved away from a counter: the feeds that no longer hold it show it there as cancelled.

    Written by departures.py, with the sequence that the move gave it.
    """

    __tablename__ = "departure"

    id: Mapped[int] = key()
    appointment_id: Mapped[int] = mapped_column(ForeignKey("appointment.id"))
    counter_id: Mapped[int] = mapped_column(ForeignKey("counter.id", ondelete="CASCADE"), index=True)
    sequence: Mapped[int]
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    left_at: Mapped[datetime]


class Visit(Base):
    """What happens on the day to one who comes: with an appointment or without. Its steps are in VisitStep.

    Two things the database refuses: a counter with two visits, and a number given twice on a day in one office.
    `version` is compared and set by each change, so that of two who change the same visit one fails.
    """

    __tablename__ = "visit"
    __table_args__ = (
        UniqueConstraint("office_id", "came_on", "number"),
        CheckConstraint("(state IN ('called', 'serving')) = (counter_id IS NOT NULL)", name="counter_while_called"),
        CheckConstraint("appointment_id IS NULL OR service_id IS NULL", name="appointment_or_service"),
        CheckConstraint("people >= 1", name="people"),
        Index("ix_visit_desk_id_came_on", "desk_id", "came_on"),
    )

    id: Mapped[int] = key()
    office_id: Mapped[int] = mapped_column(ForeignKey("office.id"))
    desk_id: Mapped[int] = mapped_column(ForeignKey("desk.id"))  # where it is now
    appointment_id: Mapped[int | None] = mapped_column(ForeignKey("appointment.id"), unique=True)
    service_id: Mapped[int | None] = mapped_column(ForeignKey("service.id"))  # of a walk-in; none: only a question
    people: Mapped[int] = mapped_column(default=1)  # of a walk-in
    state: Mapped[VisitState] = mapped_column(choice(VisitState, "state"))
    version: Mapped[int] = mapped_column()
    came_on: Mapped[date | None]  # the local date
    number: Mapped[int | None]  # what screens and tickets show, from 1 each day in each office
    note: Mapped[str | None] = mapped_column(String(500))  # erased with the person
    counter_id: Mapped[int | None] = mapped_column(ForeignKey("counter.id"), unique=True)  # where it is called to
    calls: Mapped[int] = mapped_column(default=0)
    arrived_at: Mapped[datetime | None]
    called_at: Mapped[datetime | None]  # the first call at this desk
    rung_at: Mapped[datetime | None]  # the last one
    began_at: Mapped[datetime | None]  # at the counter
    served_at: Mapped[datetime | None]
    missed_at: Mapped[datetime | None]
    left_at: Mapped[datetime | None]

    appointment: Mapped[Appointment | None] = relationship(back_populates="visit")
    service: Mapped[Service | None] = relationship()
    counter: Mapped[Counter | None] = relationship()
    steps: Mapped[list[VisitStep]] = relationship(order_by="VisitStep.id", viewonly=True)

    __mapper_args__ = {"version_id_col": version}

    @property
    def has_come(self) -> bool:
        """Whether it began: neither expected nor given up as missed."""
        return self.state not in (VisitState.EXPECTED, VisitState.MISSED)


class VisitStep(Base):
    """One step of a visit and how the visit stood before it: to take it back, and to count how long things took."""

    __tablename__ = "visit_step"

    id: Mapped[int] = key()
    visit_id: Mapped[int] = mapped_column(ForeignKey("visit.id", ondelete="CASCADE"), index=True)
    at: Mapped[datetime]
    step: Mapped[str] = mapped_column(String(20))
    desk_id: Mapped[int] = mapped_column(ForeignKey("desk.id"))
    counter_id: Mapped[int | None] = mapped_column(ForeignKey("counter.id"))
    staff_id: Mapped[int | None] = mapped_column(ForeignKey("staff.id"))
    before: Mapped[dict[str, Any]]  # ids, states and moments; never a note
    is_undone: Mapped[bool] = mapped_column(default=False)


class Hold(Base):
    """A slot kept while the citizen fills in the form; it ends when `expires_at` is past, whoever runs or not."""

    __tablename__ = "hold"
    __table_args__ = (
        CheckConstraint("people >= 1", name="people"),
        CheckConstraint("desks >= 1", name="desks"),
        index_of_given("ix_hold_first_id", "first_id"),
    )

    id: Mapped[int] = key()
    counter_id: Mapped[int] = mapped_column(ForeignKey("counter.id"))
    service_id: Mapped[int] = mapped_column(ForeignKey("service.id"))
    people: Mapped[int]
    others: Mapped[list[list[int]]] = mapped_column(default=list, server_default="[]")  # services: [[id, people], …]
    starts_at: Mapped[datetime]
    made_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    first_free_at: Mapped[datetime | None]  # the first time that was on offer when this one was chosen
    booking_id: Mapped[int | None] = mapped_column(ForeignKey("booking.id"))  # what it became: a second click finds it
    needs: Mapped[str | None] = mapped_column(String(80))  # those that change its length, or where it can be
    answers: Mapped[str | None] = mapped_column(String(40))  # as of the booking that it becomes
    desks: Mapped[int] = mapped_column(default=1, server_default="1")  # that this visit holds, each by a row of its own
    first_id: Mapped[int | None] = mapped_column(BigKey)  # the hold of its first desk; both go together
    browser: Mapped[str | None] = mapped_column(String(32), index=True)  # pseudonyms of who holds, to count;
    address: Mapped[str | None] = mapped_column(String(32), index=True)  # none for staff
    is_proven: Mapped[bool] = mapped_column(default=False, server_default=false())  # its browser did the proof of work

    counter: Mapped[Counter] = relationship()
    service: Mapped[Service] = relationship()


class CrowdPlace(Base):
    """A place in the line for the times of a desk, where a desk has one: no person, and the ids are the order.

    Whether it is let in follows from how many are before it; see crowd.py.
    """

    __tablename__ = "crowd_place"
    __table_args__ = (Index("ix_crowd_place_desk_id_came_at", "desk_id", "came_at"),)

    id: Mapped[int] = key()
    desk_id: Mapped[int] = mapped_column(ForeignKey("desk.id", ondelete="CASCADE"))
    address: Mapped[str] = mapped_column(String(32))  # a pseudonym, to count
    came_at: Mapped[datetime]
    kept_until: Mapped[datetime]  # unless somebody looks after it
    let_in_at: Mapped[datetime | None]  # when that was seen first
    left_at: Mapped[datetime | None]  # when its holder kept a time


class Occupancy(Base):
    """One tick of one counter is taken. The primary key is what makes a double booking impossible."""

    __tablename__ = "occupancy"
    __table_args__ = (
        CheckConstraint("(appointment_id IS NULL) = (expires_at IS NOT NULL)", name="booked_or_ends_by_itself"),
        CheckConstraint("appointment_id IS NULL OR hold_id IS NULL", name="one_taker"),
        index_of_given("ix_occupancy_appointment_id", "appointment_id"),
        index_of_given("ix_occupancy_hold_id", "hold_id"),
    )

    counter_id: Mapped[int] = mapped_column(ForeignKey("counter.id"), primary_key=True)
    tick: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    appointment_id: Mapped[int | None] = mapped_column(ForeignKey("appointment.id"))
    hold_id: Mapped[int | None] = mapped_column(ForeignKey("hold.id", ondelete="CASCADE"))
    expires_at: Mapped[datetime | None]


class RecountRun(Base):
    """What one night's recount of a municipality found; see recount.py."""

    __tablename__ = "recount_run"
    __table_args__ = (UniqueConstraint("municipality_id", "ran_on"),)

    id: Mapped[int] = key()
    municipality_id: Mapped[int] = mapped_column(ForeignKey("municipality.id"))
    ran_on: Mapped[date]  # the local date
    at: Mapped[datetime]
    appointments: Mapped[int]  # how many were counted
    ticks: Mapped[int]
    found: Mapped[int]  # how many findings there were; the first of them are kept
    findings: Mapped[list[dict[str, Any]]]
