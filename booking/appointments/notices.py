"""Which messages a change of an appointment causes, and when each is due."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from booking.appointments.models import Appointment
from booking.outbox.models import Kind, MessageChannel
from booking.outbox.queue import Notice, drop_queued, queue
from booking.townhall.models import Municipality

LATE_NEWS = timedelta(days=2)  # a cancellation is still news for so long


def announce(appointment: Appointment, municipality: Municipality, kind: Kind, now: datetime) -> None:
    """Drops what still waits about the appointment, and queues the news and the reminders that are now true."""
    drop_queued(appointment.id, f"overtaken by: {kind}", now)
    found = notices(appointment, municipality, kind, now)
    queue(municipality.id, (appointment.id, appointment.sequence), found, now)


def notices(appointment: Appointment, municipality: Municipality, kind: Kind, now: datetime) -> list[Notice]:
    """The news of this kind and the reminders that are now true, by each channel that the citizen has."""
    return [
        notice
        for channel in _channels(appointment)
        for notice in (_news(appointment, kind, channel, now), *_reminders(appointment, municipality, channel, now))
    ]


def reminder_due(rule: dict[str, Any], start: datetime, zone: ZoneInfo) -> datetime:
    """When a reminder rule falls due: {"days": 1, "at": "18:00"} on the wall clock, or {"hours": 2} before."""
    if "hours" in rule:
        return start - timedelta(hours=rule["hours"])
    day = start.astimezone(zone).date() - timedelta(days=rule["days"])
    return datetime.combine(day, time.fromisoformat(rule["at"]), zone)


def _channels(appointment: Appointment) -> Iterator[MessageChannel]:
    if appointment.booking.email:
        yield MessageChannel.EMAIL
    if appointment.booking.phone:
        yield MessageChannel.SMS


def _news(appointment: Appointment, kind: Kind, channel: MessageChannel, now: datetime) -> Notice:
    return Notice(kind, kind.value, channel, now, max(appointment.starts_at, now) + LATE_NEWS)


def _reminders(
    appointment: Appointment, municipality: Municipality, channel: MessageChannel, now: datetime
) -> Iterator[Notice]:
    """The reminders still to come; one whose time is already past is not made up for."""
    if not appointment.is_booked:
        return
    for rule in municipality.reminders:
        due = reminder_due(rule, appointment.starts_at, ZoneInfo(municipality.zone))
        if channel in rule["channels"] and now < due < appointment.starts_at:
            yield Notice(Kind.REMINDER, rule["occasion"], channel, due, appointment.starts_at)
