"""Which messages a change of an appointment causes, and when each is due."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from booking.appointments.models import Appointment
from booking.outbox.models import Kind, MessageChannel
from booking.outbox.queue import Notice, drop_queued, queue
from booking.townhall.models import Municipality, Service

LATE_NEWS = timedelta(days=2)  # a cancellation is still news for so long
USEFUL = timedelta(hours=1)  # before the appointment, so that a reminder still helps
EARLY = timedelta(minutes=15)  # before the quiet hours, so that thousands are out when they begin
OVERTAKEN = "overtaken by:"  # why a message that waited was dropped

Rule = Mapping[str, Any]


def announce(appointment: Appointment, municipality: Municipality, kind: Kind, now: datetime) -> None:
    """Drops what still waits about the appointment, and queues the news and the reminders that are now true."""
    drop_queued(appointment.id, f"{OVERTAKEN} {kind}", now)
    services = [item.service for item in appointment.items]
    found = notices(appointment, municipality, kind, now, services)
    queue(municipality.id, (appointment.id, appointment.sequence), found, now)


def notices(
    appointment: Appointment, municipality: Municipality, kind: Kind, now: datetime, services: Iterable[Service]
) -> list[Notice]:
    """The news of this kind and the reminders that are now true, by each channel that the citizen has."""
    rules = reminder_rules(municipality, services)
    return [_news(appointment, kind, channel, now) for channel in _channels(appointment)] + [
        Notice(Kind.REMINDER, rule["occasion"], channel, due, appointment.starts_at)
        for rule, channel, due in _reminders(appointment, municipality, rules, now)
    ]


def late_notices(appointment: Appointment, minutes: int, now: datetime) -> list[Notice]:
    """News that the counter runs so many minutes late: of use until the appointment would be over."""
    occasion = f"late-{minutes}-{now:%H%M}"
    return [Notice(Kind.LATE, occasion, channel, now, appointment.ends_at) for channel in _channels(appointment)]


def reminder_rules(municipality: Municipality, services: Iterable[Service]) -> list[Rule]:
    """The rules of these services, each its own or else the municipality's; of two with one name the first."""
    found: dict[str, Rule] = {}
    for service in services:
        for rule in municipality.reminders if service.reminders is None else service.reminders:
            found.setdefault(rule["occasion"], rule)
    return list(found.values())


def reminder_due(rule: Rule, start: datetime, zone: ZoneInfo) -> datetime:
    """When a reminder rule falls due: {"days": 1, "at": "18:00"} on the wall clock, or {"hours": 2} before."""
    if "hours" in rule:
        return start - timedelta(hours=rule["hours"])
    day = start.astimezone(zone).date() - timedelta(days=rule["days"])
    at = time.fromisoformat(rule["at"])
    return _wall(day, 60 * at.hour + at.minute, zone)


def considerate(due: datetime, start: datetime, municipality: Municipality) -> datetime:
    """The moment out of the quiet hours at which a reminder goes: after them, or before where it would be of no use."""
    quiet = quiet_hours(municipality, due)
    if quiet is None:
        return due
    began, ends = quiet
    return ends if ends <= start - USEFUL else began - EARLY


def quiet_hours(municipality: Municipality, at: datetime) -> tuple[datetime, datetime] | None:
    """The quiet hours that `at` lies in, from when to when; None at other times."""
    opens, closes, zone = municipality.quiet_from, municipality.quiet_until, ZoneInfo(municipality.zone)
    today = at.astimezone(zone).date()
    for day in (today - timedelta(days=1), today):
        began = _wall(day, opens, zone)
        ends = _wall(day if opens <= closes else day + timedelta(days=1), closes, zone)
        if began <= at < ends:
            return began, ends
    return None


def is_exempt(rule: Rule, channel: MessageChannel) -> bool:
    """A text message hours before the appointment is what somebody chose who wants to be told then."""
    return "hours" in rule and channel == MessageChannel.SMS


@lru_cache(maxsize=4096)  # of few days many ask
def _wall(day: date, minutes: int, zone: ZoneInfo) -> datetime:
    """So many minutes after midnight on the wall clock (1440 is the next midnight), as UTC."""
    days, minutes = divmod(minutes, 24 * 60)
    return datetime.combine(day + timedelta(days=days), time(minutes // 60, minutes % 60), zone).astimezone(UTC)


def _channels(appointment: Appointment) -> Iterator[MessageChannel]:
    if appointment.booking.email:
        yield MessageChannel.EMAIL
    if appointment.booking.phone:
        yield MessageChannel.SMS


def _news(appointment: Appointment, kind: Kind, channel: MessageChannel, now: datetime) -> Notice:
    """News of an appointment is of use until it is over; that it was cancelled, for some days more."""
    until = max(appointment.starts_at, now) + LATE_NEWS if kind == Kind.CANCELLATION else appointment.ends_at
    return Notice(kind, kind.value, channel, now, until)


def _reminders(
    appointment: Appointment, municipality: Municipality, rules: Iterable[Rule], now: datetime
) -> Iterator[tuple[Rule, MessageChannel, datetime]]:
    """The reminders still to come; one whose time is already past is not made up for."""
    if not appointment.is_booked:
        return
    start, zone = appointment.starts_at, ZoneInfo(municipality.zone)
    for rule in rules:
        due = reminder_due(rule, start, zone)
        for channel in _channels(appointment):
            at = due if is_exempt(rule, channel) else considerate(due, start, municipality)
            if channel in rule["channels"] and now < due < start and now < at:
                yield rule, channel, at
