"""Appointments of one visit share their messages: the earliest of them carries the message for all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import select

from booking.appointments.models import Appointment
from booking.db import db
from booking.outbox.models import Kind, Message, MessageChannel, MessageState

NOT_TOLD = (MessageState.FAILED, MessageState.EXPIRED)
THE_WAY = timedelta(hours=1)  # between two desks takes no longer

Told = tuple[Appointment, MessageState]


@dataclass(frozen=True)
class Together:
    """Appointments that one message tells of, earliest first, the one whose message it is, and how that stands."""

    told: Sequence[Appointment]
    carrier: Appointment
    state: MessageState


def told_together(message: Message, appointment: Appointment) -> Together:
    """The appointments that belong into this message.

    They are of one booking and the same is to be said about each: by one change, or as a reminder of one day. One that
    was changed since is told of by itself, and so is one whose companions' message failed or came too late. A text
    message names the time at which a visit begins: it tells of what follows then, not of what is hours or days away.
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
    if message.channel == MessageChannel.SMS:
        found = _in_one_go(found, appointment)
    carriers = [(one, state) for one, state in found if one is appointment or state != MessageState.DROPPED]
    carrier, state = carriers[0] if carriers else (appointment, message.state)
    return Together([one for one, _state in found] or [appointment], carrier, state)


def _in_one_go(found: Sequence[Told], appointment: Appointment) -> list[Told]:
    """Those that are seen with the appointment without a long break between two of them."""
    town = appointment.counter.desk.office.municipality
    longest = timedelta(minutes=town.longest_wait_minutes) + THE_WAY
    runs: list[list[Told]] = []
    for one, state in found:
        if runs and one.starts_at <= runs[-1][-1][0].ends_at + longest:
            runs[-1].append((one, state))
        else:
            runs.append([(one, state)])
    return next((run for run in runs if any(one is appointment for one, _state in run)), [])


def _belongs(message: Message, one: Appointment, appointment: Appointment, *, is_of_the_change: bool) -> bool:
    if message.kind == Kind.REMINDER:
        zone = ZoneInfo(appointment.counter.desk.office.municipality.zone)
        days = {each.starts_at.astimezone(zone).date() for each in (one, appointment)}
        return one.is_booked and len(days) == 1
    return is_of_the_change and one.is_booked != (message.kind == Kind.CANCELLATION)
