"""Sending what is due: claim, read again, build the bytes once, hand over outside any transaction, record."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from email.headerregistry import Address

from sqlalchemy.exc import OperationalError

from booking.appointments.limits import open_appointments
from booking.appointments.models import Appointment
from booking.config import Settings
from booking.db import begin_write, db
from booking.delivery.doors import SendError, send
from booking.delivery.email import Envelope, letter
from booking.delivery.wording import wording
from booking.outbox.models import Kind, Message, MessageChannel, MessageState
from booking.outbox.queue import claim, defer, due_ids, end

BATCH = 50

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Parcel:
    """A message ready to go: all that is needed once the transaction is closed."""

    channel: MessageChannel
    recipient: str
    content: bytes
    file_name: str


def send_due(settings: Settings, clock: Callable[[], datetime]) -> int:
    """Sends a batch of what is due; returns how many it tried. Commits after each step."""
    ids = due_ids(clock(), BATCH)
    db.session.rollback()
    return sum(send_one(settings, id, clock) for id in ids)


def send_one(settings: Settings, id: int, clock: Callable[[], datetime]) -> bool:
    """Sends one message if nobody else has claimed it; whether it was ours. Commits."""
    begin_write()
    if not claim(id, clock()):
        db.session.rollback()
        return False
    db.session.commit()
    try:
        parcel = _parcel(settings, id, clock())
        if parcel is not None:
            provider_id = send(settings, parcel.channel, parcel.recipient, parcel.content, parcel.file_name)
            _record_sent(id, provider_id, clock())
    except SendError as error:
        _record_refusal(id, error, clock())
    except OperationalError:
        raise  # the database is away: nothing can be recorded, and the claim runs out by itself
    except Exception as error:  # one letter that cannot be written must not keep the others
        _log.error("message %s: %s", id, type(error).__name__)
        db.session.rollback()
        _record_refusal(id, SendError(f"not written: {type(error).__name__}", is_permanent=True), clock())
    return True


def _parcel(settings: Settings, id: int, now: datetime) -> Parcel | None:
    """What to send, read again from the booking; None, with the reason recorded, if it should not go. Commits."""
    begin_write()
    message = db.session.get_one(Message, id)
    appointment = db.session.get_one(Appointment, message.subject_id)
    reason = _why_not(message, appointment)
    recipient = _recipient(message, appointment)
    if now >= message.expires_at:
        end(message, MessageState.EXPIRED, now, "too late")
    elif reason or recipient is None:
        end(message, MessageState.DROPPED, now, reason or "no contact")
    else:
        message.content = message.content or _content(settings, message, appointment, recipient, now)
        slug = appointment.counter.desk.office.municipality.slug
        ending = "eml" if message.channel == MessageChannel.EMAIL else "txt"
        parcel = Parcel(message.channel, recipient, message.content, f"{slug}/{message.id}.{ending}")
        db.session.commit()
        return parcel
    db.session.commit()
    return None


def _why_not(message: Message, appointment: Appointment) -> str | None:
    """Why what the message says is no longer true."""
    if appointment.sequence != message.sequence:
        return "the appointment was changed"
    if not appointment.is_booked and message.kind != Kind.CANCELLATION:
        return "the appointment was cancelled"
    return None


def _recipient(message: Message, appointment: Appointment) -> str | None:
    booking = appointment.booking
    return booking.email if message.channel == MessageChannel.EMAIL else booking.phone


def _content(settings: Settings, message: Message, appointment: Appointment, recipient: str, now: datetime) -> bytes:
    is_list = message.kind == Kind.LIST
    listed = open_appointments(appointment.booking, message.channel, now) if is_list else ()
    words = wording(message.kind, appointment, settings, listed)
    if message.channel == MessageChannel.SMS:
        return words.short.encode()
    desk = appointment.counter.desk
    name = desk.office.municipality.name(appointment.booking.language)
    sender = Address(name, addr_spec=settings.sender)
    return letter(words, Envelope(sender, recipient, desk.email, f"balie-{message.id}"), now)


def _record_sent(id: int, provider_id: str | None, now: datetime) -> None:
    begin_write()
    message = db.session.get_one(Message, id)
    message.provider_id = provider_id
    end(message, MessageState.SENT, now)
    db.session.commit()


def _record_refusal(id: int, error: SendError, now: datetime) -> None:
    begin_write()
    message = db.session.get_one(Message, id)
    if error.is_permanent:
        end(message, MessageState.FAILED, now, str(error))
    else:
        defer(message, str(error), now)
    db.session.commit()
