"""When a message did not reach the citizen: the other channel at once, and if there is none, a call by staff."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select

from booking.appointments.models import Appointment
from booking.db import db
from booking.outbox.models import Kind, Message, MessageChannel, MessageState
from booking.outbox.queue import Notice, end, queue_once

OVER = (MessageState.FAILED, MessageState.DROPPED, MessageState.EXPIRED)


def give_up(message: Message, reason: str, now: datetime) -> None:
    """Ends the message as failed, and sees to it that the citizen hears of it in another way. Flushes."""
    end(message, MessageState.FAILED, now, reason)
    db.session.flush()
    if message.subject_kind != "appointment" or message.kind == Kind.LIST:
        return  # the list was not asked for by who gets it, and staff see their own
    appointment = db.session.get_one(Appointment, message.subject_id)
    if appointment.sequence == message.sequence and not _goes_the_other_way(message, appointment, now):
        message.to_call_at = now
    db.session.flush()


def _goes_the_other_way(message: Message, appointment: Appointment, now: datetime) -> bool:
    other = message.channel.other
    if recipient(appointment, other) is None or now >= message.expires_at:
        return False
    notice = Notice(message.kind, message.occasion, other, now, message.expires_at)
    about = (message.subject_id, message.sequence)
    if queue_once(message.municipality_id, about, notice, now):
        return True
    same = select(Message.state).where(
        Message.subject_kind == message.subject_kind,
        Message.subject_id == message.subject_id,
        Message.sequence == message.sequence,
        Message.kind == message.kind,
        Message.occasion == message.occasion,
        Message.channel == other,
    )
    return db.session.scalars(same).one() not in OVER


def recipient(appointment: Appointment, channel: MessageChannel) -> str | None:
    """Where the citizen is reached by this channel, if at all."""
    return appointment.booking.email if channel == MessageChannel.EMAIL else appointment.booking.phone
