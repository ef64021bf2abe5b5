"""What citizens know of their appointments, kept beside the database by reading their letters.

Where something is not as they know it any more, a message that says so must wait in the outbox; of those who left no
contact, staff must be told.
"""

from __future__ import annotations

import email
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from email.policy import default

from icalendar import Calendar
from sqlalchemy import select

from booking.appointments.models import Appointment, Booking
from booking.db import db
from booking.outbox.models import Kind, Message, MessageChannel, MessageState
from booking.planning.impact import open_proposal, unreachable
from booking.planning.models import Adjustment, Hit

NEWS = (Kind.CONFIRMATION, Kind.MOVE, Kind.CANCELLATION)
A_VISIT = timedelta(hours=2)  # longer nobody waits between two desks
ON_THE_WAY = (MessageState.QUEUED, MessageState.SENDING)


@dataclass(frozen=True)
class Known:
    """When the appointment begins (None: it is cancelled), and whether another time may still be chosen first."""

    start: datetime | None
    is_proposed: bool = False

    def covers(self, true: Known) -> bool:
        """Whether nothing was taken away from what is known."""
        return self.start == true.start and (true.is_proposed or not self.is_proposed)


def truth(one: Appointment) -> Known:
    return Known(one.starts_at, open_proposal(one) is not None) if one.is_booked else Known(None)


class Promises:
    """What everybody knows, by appointment."""

    def __init__(self, municipality_id: int) -> None:
        self.municipality_id = municipality_id
        self.known: dict[int, Known] = {}
        self._read: set[int] = set()

    def agreed(self, one: Appointment) -> None:
        """The citizen has it as it now is: they did it themselves, or somebody told them by hand."""
        self.known[one.id] = Known(truth(one).start)

    def read_letters(self) -> None:
        """The citizens read what was sent since they last did, right after it was sent."""
        sent = select(Message).where(Message.municipality_id == self.municipality_id, Message.kind.in_(NEWS))
        for message in db.session.scalars(sent.where(Message.state == MessageState.SENT).order_by(Message.id)):
            if message.id not in self._read:
                self._read.add(message.id)
                self.known.update(_told(message))

    def are_kept(self, now: datetime) -> None:
        for id, known in self.known.items():
            one = db.session.get_one(Appointment, id)
            true = truth(one)
            is_over = true.start is not None and true.start <= now
            if not is_over and not known.covers(true):
                assert _is_being_told(one, now), f"{known} is known, but {true} is so, and nobody says it: {_said(one)}"


def _told(message: Message) -> Iterator[tuple[int, Known]]:
    """What the message says of each appointment: a letter of all that are in its calendar files, a text of a visit.

    A text has room for the time at which the visit begins; what follows that at once is meant with it.
    """
    about = db.session.get_one(Appointment, message.subject_id)
    if message.channel == MessageChannel.SMS:
        ends = about.starts_at
        for one in sorted(about.booking.appointments, key=lambda one: one.starts_at):
            if one.is_booked == about.is_booked and about.starts_at <= one.starts_at <= ends + A_VISIT:
                yield one.id, truth(one)
                ends = one.ends_at
        return
    ids = {one.uid: one for one in about.booking.appointments}
    for part in email.message_from_bytes(message.content or b"", policy=default).walk():
        if part.get_content_type() == "application/ics":
            for event in Calendar.from_ical(part.get_content()).walk("VEVENT"):
                one = ids[event["UID"]]
                start = None if event.get("STATUS") == "CANCELLED" else event["DTSTART"].dt
                yield one.id, replace(truth(one), start=start)


def _is_being_told(one: Appointment, now: datetime) -> bool:
    booking: Booking = one.booking
    if not (booking.email or booking.phone):
        standing = select(Hit).join(Hit.adjustment).where(Hit.appointment_id == one.id, Adjustment.undone_at.is_(None))
        return bool(unreachable(db.session.scalars(standing)))
    kinds = [Kind.CONFIRMATION, Kind.MOVE] if one.is_booked else [Kind.CANCELLATION]
    mine = select(Message.id).where(Message.subject_kind == "appointment", Message.subject_id == one.id)
    mine = mine.where(Message.sequence == one.sequence, Message.kind.in_(kinds), Message.expires_at > now)
    return db.session.scalar(mine.where(Message.state.in_(ON_THE_WAY))) is not None


def _said(one: Appointment) -> list[tuple[object, ...]]:
    """All messages about the appointment, for who reads why a test fails."""
    columns = (Message.kind, Message.sequence, Message.state, Message.reason, Message.change, Message.due_at)
    mine = select(*columns).where(Message.subject_kind == "appointment", Message.subject_id == one.id)
    return [(one.sequence, one.booking.email, one.booking.phone), *map(tuple, db.session.execute(mine))]
