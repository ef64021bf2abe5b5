"""Appointments of one visit share their messages: the earliest of them carries the message for all."""

from __future__ import annotations

from collections.abc import Sequence
from zoneinfo import ZoneInfo

from sqlalchemy import select

from booking.appointments.models import Appointment
from booking.db import db
from booking.outbox.models import Kind, Message, MessageState

NOT_TOLD = (MessageState.FAILED, MessageState.EXPIRED)


def told_together(message: Message, appointment: Appointment) -> tuple[Sequence[Appointment], Appointment]:
    """The appointments that belong into this message, earliest first, and the one whose message carries them all.

    They are of one booking and the same is to be said about each: by one change, or as a reminder of one day. One that
    was changed since is told of by itself, and so is one whose companions' message failed or came too late.
    """
    query = (
        select(Appointment, Message.state, Message.made_at)
        .join(Message, Message.subject_id == Appointment.id)
        .where(Appointment.booking_id == appointment.booking_id, Message.subject_kind == "appointment")
        .where(Message.kind == message.kind, Message.occasion == message.occasion, Message.channel == message.channel)
        .where(Message.sequence == Appointment.sequence, Message.state.not_in(NOT_TOLD))
        .order_by(Appointment.starts_at, Appointment.id)
    )
    found = [
        (one, state)
        for one, state, made_at in db.session.execute(query)
        if one is appointment or _belongs(message, one, appointment, is_of_the_change=made_at == message.made_at)
    ]
    carriers = [one for one, state in found if one is appointment or state != MessageState.DROPPED]
    return [one for one, _state in found] or [appointment], carriers[0] if carriers else appointment


def _belongs(message: Message, one: Appointment, appointment: Appointment, *, is_of_the_change: bool) -> bool:
    if message.kind == Kind.REMINDER:
        zone = ZoneInfo(appointment.counter.desk.office.municipality.zone)
        days = {each.starts_at.astimezone(zone).date() for each in (one, appointment)}
        return one.is_booked and len(days) == 1
    return is_of_the_change and one.is_booked != (message.kind == Kind.CANCELLATION)
