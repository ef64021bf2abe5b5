"""A citizen's appointments for their own calendar: the file, the feed behind their secret, and links that add them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from urllib.parse import urlencode

from flask_babel import force_locale, gettext

from booking import links, spoken
from booking.appointments.models import Appointment, Booking
from booking.appointments.papers import to_bring
from booking.appointments.references import grouped
from booking.calendars.body import FeedBody, body_of, calendar_of
from booking.calendars.entry import Entry, cancelled_summary, event, event_lines, new_calendar, one_line, place
from booking.calendars.subscriptions import FeedRevoked, FeedUnknown
from booking.db import db

PURPOSE = "own feed"  # not that of the booking's page: who holds a calendar's address can change nothing with it
GOOGLE = "https://calendar.google.com/calendar/render"
OUTLOOK = "https://outlook.live.com/calendar/0/action/compose"


@dataclass(frozen=True)
class AddLinks:
    """Addresses of web calendars that open with the appointment filled in, for those whose mail does not add it."""

    google: str
    outlook: str


def citizen_calendar(appointments: Sequence[Appointment], language: str, find_url: str) -> bytes:
    """The file that a citizen downloads: METHOD:PUBLISH with an ORGANIZER and no ATTENDEE (RFC 5546 3.2.1).

    `appointments` are those of one booking, at least one. `find_url` is the public page that asks for reference and
    code, never a secret link: calendars are shared, and kept by companies.
    """
    calendar = new_calendar(appointments[0].counter.desk.office.municipality.zone)
    calendar.add("method", "PUBLISH")
    for appointment in appointments:
        calendar.add_component(event(citizen_entry(appointment, language, find_url)))
    content: bytes = calendar.to_ical()
    return content


def own_feed_token(keys: links.Keys, booking: Booking) -> str:
    """The secret part of the address of the booking's own feed; it opens nothing else."""
    return links.token(keys, PURPOSE, booking.id, booking.generation)


def own_booking(keys: links.Keys, municipality_id: int, token: str) -> Booking:
    """The booking whose feed this token opens. Raises FeedUnknown, or FeedRevoked when it was erased or replaced."""
    claimed = links.claim(keys, PURPOSE, token)
    booking = db.session.get(Booking, claimed.id) if claimed else None
    if claimed is None or booking is None or booking.municipality_id != municipality_id:
        raise FeedUnknown
    if booking.generation != claimed.generation:
        raise FeedRevoked
    return booking


def own_feed_body(booking: Booking, find_url: str, now: datetime) -> FeedBody:
    """The booking's appointments, cancelled ones too, until they are erased."""
    appointments, language = booking.appointments, booking.language
    town = appointments[0].counter.desk.office.municipality
    with force_locale(spoken.locale_of(language)):
        title = gettext("Appointments") + f" · {town.name(language)}"
    entries = [replace(citizen_entry(one, language, find_url), organizer="") for one in appointments]
    offices = [one.counter.desk.office for one in appointments]
    changed_at = max(*(one.changed_at for one in appointments), *(office.activity_at for office in offices))
    return body_of(calendar_of(title, town.zone, map(event_lines, entries)), changed_at, now)


def add_links(appointment: Appointment, language: str, find_url: str) -> AddLinks:
    """The links that add the appointment to a web calendar. They tell it no name, no contact and no code."""
    entry = citizen_entry(appointment, language, find_url)
    starts_at, ends_at = (at.astimezone(UTC) for at in (entry.starts_at, entry.ends_at))
    google = {"action": "TEMPLATE", "text": entry.summary, "details": entry.description, "location": entry.location}
    google["dates"] = f"{starts_at:%Y%m%dT%H%M%SZ}/{ends_at:%Y%m%dT%H%M%SZ}"
    outlook = {"rru": "addevent", "subject": entry.summary, "body": entry.description, "location": entry.location}
    outlook |= {"startdt": f"{starts_at:%Y-%m-%dT%H:%M:%SZ}", "enddt": f"{ends_at:%Y-%m-%dT%H:%M:%SZ}"}
    return AddLinks(f"{GOOGLE}?{urlencode(google)}", f"{OUTLOOK}?{urlencode(outlook)}")


def citizen_entry(appointment: Appointment, language: str, find_url: str) -> Entry:
    """The appointment as its citizen sees it, in the given language."""
    counter = appointment.counter
    with force_locale(spoken.locale_of(language)):
        what = _what(appointment, language)
        return Entry(
            uid=appointment.uid,
            sequence=appointment.sequence,
            is_cancelled=not appointment.is_booked,
            starts_at=appointment.starts_at,
            ends_at=appointment.ends_at,
            made_at=appointment.booking.made_at,
            changed_at=appointment.changed_at,
            zone=counter.desk.office.municipality.zone,
            summary=what if appointment.is_booked else cancelled_summary(what),
            location=place(counter.desk.office, counter.number, language),
            description="\n".join(_notes(appointment, language, find_url)),
            organizer=counter.desk.email,
            url=find_url,
        )


def _what(appointment: Appointment, language: str) -> str:
    """The services; for a sensitive one only where: others see this calendar too."""
    if _is_sensitive(appointment):
        town = appointment.counter.desk.office.municipality.name(language)
        what: str = gettext("Appointment at the town hall")
        return f"{what}, {town}"
    return " + ".join(item.service.text(language).name for item in appointment.items)


def _notes(appointment: Appointment, language: str, find_url: str) -> list[str]:
    """What to bring, the reference, and how to change it."""
    lines = []
    bring = [one_line(thing) for thing in to_bring([appointment], language)]
    if bring and appointment.is_booked and not _is_sensitive(appointment):
        lines = [gettext("Please bring:"), *(f"- {thing}" for thing in bring), ""]
    if appointment.booking.reference:
        lines.append(gettext("Reference: %(reference)s", reference=grouped(appointment.booking.reference)))
    if appointment.is_booked:
        phone = spoken.phone(appointment.counter.desk.office.municipality.phone)
        lines.append(gettext("To change or cancel: %(url)s or %(phone)s", url=find_url, phone=phone))
    return lines


def _is_sensitive(appointment: Appointment) -> bool:
    return any(item.service.is_sensitive for item in appointment.items)
