"""The invitation that a message about an appointment carries (iTIP, RFC 5546): the citizen's calendar follows it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime

from icalendar import vCalAddress, vText

from booking.appointments.models import Appointment
from booking.calendars.citizen import citizen_entry
from booking.calendars.entry import event, new_calendar, one_line

ACCEPTED = {"CUTYPE": "INDIVIDUAL", "ROLE": "REQ-PARTICIPANT", "PARTSTAT": "ACCEPTED", "RSVP": "FALSE"}


@dataclass(frozen=True)
class Mailbox:
    """A name and an e-mail address in ASCII; a citizen's name is left out."""

    address: str
    name: str = ""


@dataclass(frozen=True)
class Invitation:
    """The bytes of a calendar with one VEVENT, and its METHOD, which the mail must repeat (RFC 6047 2.4)."""

    method: str
    content: bytes


def invitation(
    appointment: Appointment, language: str, between: tuple[Mailbox, Mailbox], find_url: str, now: datetime
) -> Invitation:
    """REQUEST for an appointment as it stands, CANCEL for a cancelled one: one chain with one UID for life.

    `between` are the organizer, which must be the mailbox in From, and the citizen, who has accepted already: nobody
    is asked again and no answer comes. DTSTAMP is now, so that of two mails with one SEQUENCE the later one counts;
    whoever tries again must send the same bytes. No alarm: reminders are messages. `find_url` asks for reference and
    code.
    """
    organizer, citizen = between
    entry = replace(citizen_entry(appointment, language, find_url), organizer="")
    method = "CANCEL" if entry.is_cancelled else "REQUEST"
    made = event(entry)
    del made["dtstamp"]
    made.add("dtstamp", now.astimezone(UTC))
    made.add("organizer", _address(organizer))
    made.add("attendee", _address(citizen, **ACCEPTED))
    calendar = new_calendar(entry.zone)
    calendar.add("method", method)
    calendar.add_component(made)
    content: bytes = calendar.to_ical()
    return Invitation(method, content)


def _address(mailbox: Mailbox, **says: str) -> vCalAddress:
    found = vCalAddress(f"mailto:{one_line(mailbox.address)}", params=says)
    if mailbox.name:
        found.params["CN"] = vText(one_line(mailbox.name))
    return found
