"""One event of a calendar: the VEVENT that feeds, downloads and invitations share."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

from flask_babel import gettext
from icalendar import Calendar, Event, vCalAddress, vText

from booking.calendars.timezones import in_zone, vtimezone
from booking.townhall.models import Office

PRODID = "-//Balie//Appointments//EN"
KEPT_EVENTS = 20_000  # rendered, at about a kilobyte each; a town has some thousands in its window
_CONFIRMED, _CANCELLED = vText("CONFIRMED"), vText("CANCELLED")  # made once: it is the slow part of an event
_OPAQUE, _TRANSPARENT, _PUBLIC, _PRIVATE = (vText(word) for word in ("OPAQUE", "TRANSPARENT", "PUBLIC", "PRIVATE"))
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")


@dataclass(frozen=True)
class Entry:
    """What a calendar shows, in one language. Its texts may hold anything: `event` cleans them.

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
    is_notice: bool = False  # for everybody to read, and takes up nobody's time: when an office is open
    is_whole_days: bool = False  # from one local midnight to another

    def __post_init__(self) -> None:
        for moment in (self.starts_at, self.ends_at, self.made_at, self.changed_at):
            if moment.tzinfo is None:
                raise ValueError(f"{moment!r} has no time zone; a calendar needs an aware datetime.")


def event(entry: Entry) -> Event:
    """The VEVENT (RFC 5545 3.6.1), without ATTENDEE and alarms; the same entry always gives the same bytes.

    A cancelled one takes up no time. DTSTAMP and LAST-MODIFIED are when the entry last changed. Appointments are
    CLASS:PRIVATE: who shares a calendar with others shares when, not what citizens come for.
    """
    made = Event()
    made.add("uid", one_line(entry.uid))
    made.add("sequence", entry.sequence)
    made.add("dtstamp", entry.changed_at.astimezone(UTC))
    made["last-modified"] = made["dtstamp"]
    made.add("created", entry.made_at.astimezone(UTC))
    for name, moment in zip(("dtstart", "dtend"), _written(entry), strict=True):
        made.add(name, moment)
    made.add("summary", one_line(entry.summary))
    made.add("location", one_line(entry.location))
    made["status"] = _CANCELLED if entry.is_cancelled else _CONFIRMED
    made["transp"] = _TRANSPARENT if entry.is_cancelled or entry.is_notice else _OPAQUE
    made["class"] = _PUBLIC if entry.is_notice else _PRIVATE
    if entry.description:
        made.add("description", "\n".join(one_line(line) for line in entry.description.split("\n")))
    if entry.organizer:
        made.add("organizer", vCalAddress(f"mailto:{one_line(entry.organizer)}"))
    if entry.url:
        made.add("url", one_line(entry.url))
    return made


def _written(entry: Entry) -> Sequence[date]:
    """Start and end as they are written: on the zone's wall clock, in UTC, or or as dates."""
    moments = (entry.starts_at, entry.ends_at)
    if entry.is_whole_days:
        return [moment.astimezone(ZoneInfo(entry.zone)).date() for moment in moments]
    return in_zone(entry.zone, moments)


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
