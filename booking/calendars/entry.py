"""One appointment in a calendar: the VEVENT that the feed and the citizen's download share, and that download."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from flask_babel import force_locale, gettext
from icalendar import Calendar, Event, vCalAddress

from booking import spoken
from booking.appointments.models import Appointment
from booking.appointments.references import grouped
from booking.calendars.timezones import in_zone, vtimezone
from booking.townhall.models import Office

PRODID = "-//Balie//Appointments//EN"
KEPT_EVENTS = 20_000  # rendered, at about a kilobyte each; a town has some thousands in its window
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")


@dataclass(frozen=True)
class Entry:
    """An appointment as a calendar shows it, in one language. Its texts may hold anything: `event` cleans them.

    Raises ValueError for a moment without a zone: icalendar would write it as UTC, or as floating, without a word.
    """

    uid: str
    sequence: int
    is_cancelled: bool
    starts_at: datetime
    ends_at: datetime
    made_at: datetime
    changed_at: datetime  # when any of this last changed
    zone: str
    summary: str
    location: str
    description: str = ""
    organizer: str = ""  # an e-mail address
    url: str = ""

    def __post_init__(self) -> None:
        for moment in (self.starts_at, self.ends_at, self.made_at, self.changed_at):
            if moment.tzinfo is None:
                raise ValueError(f"{moment!r} has no time zone; a calendar needs an aware datetime.")


def event(entry: Entry) -> Event:
    """The VEVENT (RFC 5545 3.6.1), without ATTENDEE and alarms; the same entry always gives the same bytes.

    A cancelled one takes up no time. DTSTAMP and LAST-MODIFIED are when the entry last changed. All are CLASS:PRIVATE:
    who shares a calendar with others shares when, not what citizens come for.
    """
    starts_at, ends_at = in_zone(entry.zone, (entry.starts_at, entry.ends_at))
    made = Event()
    made.add("uid", one_line(entry.uid))
    made.add("sequence", entry.sequence)
    for name in ("dtstamp", "last-modified"):
        made.add(name, entry.changed_at.astimezone(UTC))
    made.add("created", entry.made_at.astimezone(UTC))
    made.add("dtstart", starts_at)
    made.add("dtend", ends_at)
    made.add("summary", one_line(entry.summary))
    made.add("location", one_line(entry.location))
    made.add("status", "CANCELLED" if entry.is_cancelled else "CONFIRMED")
    made.add("transp", "TRANSPARENT" if entry.is_cancelled else "OPAQUE")
    made.add("class", "PRIVATE")
    if entry.description:
        made.add("description", "\n".join(one_line(line) for line in entry.description.split("\n")))
    if entry.organizer:
        made.add("organizer", vCalAddress(f"mailto:{one_line(entry.organizer)}"))
    if entry.url:
        made.add("url", one_line(entry.url))
    return made


@lru_cache(maxsize=KEPT_EVENTS)
def event_lines(entry: Entry) -> bytes:
    """The VEVENT as bytes, with CRLF at its end; kept, so that only changed entries are rendered again."""
    lines: bytes = event(entry).to_ical()
    return lines


def new_calendar(zone: str) -> Calendar:
    """A VCALENDAR without METHOD, with the VTIMEZONE that the events of this zone need."""
    calendar = Calendar()
    calendar.add("version", "2.0")
    calendar.add("prodid", PRODID)
    calendar.add("calscale", "GREGORIAN")
    block = vtimezone(zone)
    if block is not None:
        calendar.add_component(block)
    return calendar


def citizen_calendar(appointments: Sequence[Appointment], language: str, find_url: str) -> bytes:
    """The file that a citizen downloads: METHOD:PUBLISH with an ORGANIZER and no ATTENDEE (RFC 5546 3.2.1).

    `appointments` are those of one booking, at least one. `find_url` is the public page that asks for reference and
    code, never a secret link: calendars are shared, and kept by companies.
    """
    calendar = new_calendar(appointments[0].counter.desk.office.municipality.zone)
    calendar.add("method", "PUBLISH")
    with force_locale(language):
        for appointment in appointments:
            calendar.add_component(event(_citizen_entry(appointment, language, find_url)))
    content: bytes = calendar.to_ical()
    return content


def cancelled_summary(what: str) -> str:
    """The SUMMARY of a cancelled appointment, for clients that do not show its STATUS. In the locale of the moment."""
    summary: str = gettext("Cancelled: %(what)s", what=what)
    return summary


def place(office: Office, counter_number: int, language: str) -> str:
    """Where to go: "Stadhuis, Marktplein 1, 1000 Testdorp, Loket 2". In the locale of the moment."""
    counter = gettext("Counter %(number)s", number=counter_number)
    return ", ".join((office.name(language), office.address, counter))


def one_line(text: str) -> str:
    """The text with every run of line breaks and other control characters, and of half characters, as one space."""
    return _UNPRINTABLE.sub(" ", text).strip()


def _citizen_entry(appointment: Appointment, language: str, find_url: str) -> Entry:
    counter, what = appointment.counter, _what(appointment, language)
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
    bring = [one_line(thing) for item in appointment.items for thing in item.service.text(language).bring]
    if bring and appointment.is_booked and not _is_sensitive(appointment):
        lines = [gettext("Please bring:"), *(f"- {thing}" for thing in dict.fromkeys(bring)), ""]
    if appointment.booking.reference:
        lines.append(gettext("Reference: %(reference)s", reference=grouped(appointment.booking.reference)))
    if appointment.is_booked:
        phone = spoken.phone(appointment.counter.desk.office.municipality.phone)
        lines.append(gettext("To change or cancel: %(url)s or %(phone)s", url=find_url, phone=phone))
    return lines


def _is_sensitive(appointment: Appointment) -> bool:
    return any(item.service.is_sensitive for item in appointment.items)
