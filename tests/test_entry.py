"""Single appointments in a calendar: no text breaks out of its line, and the file that a citizen downloads."""

from __future__ import annotations

import pytest
from flask import Flask
from hypothesis import example, given
from hypothesis import strategies as st
from icalendar import Calendar

from booking.appointments.models import Appointment
from booking.calendars.citizen import citizen_calendar
from booking.calendars.entry import Entry, event, event_lines
from booking.db import db
from tests.conftest import MONDAY, Clock
from tests.factories import Town
from tests.test_feed import ALICE, HOSTILE, TEN, add, cancelled, check_form, events

pytestmark = pytest.mark.calendars

FIND = "https://balie.example.org/testdorp/fr/find"


@given(st.text(), st.text(max_size=20))
@example(HOSTILE * 100, HOSTILE)
@example("x" * 10_000, "\x00")
@example("\ud800", "\r")
def test_no_text_makes_a_line_of_its_own(text: str, uid: str) -> None:
    entry = Entry(
        uid=uid, sequence=0, is_cancelled=False, starts_at=TEN, ends_at=TEN, made_at=TEN, changed_at=TEN,
        zone="UTC", summary=text, location=text, description=text, organizer=text, url=text,
    )  # fmt: skip

    content = b"BEGIN:VCALENDAR\r\nVERSION:2.0\r\n" + event_lines(entry) + b"END:VCALENDAR\r\n"

    check_form(content, 1)


def test_a_citizen_gets_a_file_with_all_that_is_needed_and_no_secret(context: Flask, town: Town, clock: Clock) -> None:
    appointment = db.session.get_one(Appointment, add(town, people=2))

    content = citizen_calendar([appointment], "fr", FIND)

    (shown,) = events(content)
    check_form(content, 1)
    assert Calendar.from_ical(content)["method"] == "PUBLISH"
    assert shown["organizer"] == "mailto:burgerzaken@testdorp.example.org"
    assert (shown["summary"], shown["status"], shown["sequence"]) == ("Passport (fr)", "CONFIRMED", 0)
    assert "- identity card" in shown["description"]
    assert FIND in shown["description"]
    assert shown["url"] == FIND
    assert shown["dtstamp"].dt == shown["last-modified"].dt == MONDAY
    assert shown["location"].startswith("Stadhuis, Marktplein 1, 1000 Testdorp, ")
    assert "attendee" not in shown
    assert ALICE.name not in content.decode()
    assert citizen_calendar([appointment], "fr", FIND) == citizen_calendar([appointment], "fr", FIND)
    assert "+32 15 00 00 00" in events(citizen_calendar([appointment], "fr", FIND))[0]["description"]


def test_the_file_of_a_sensitive_or_cancelled_appointment_says_no_more_than_it_must(
    context: Flask, town: Town, clock: Clock
) -> None:
    ids = [add(town, service_id=town.wedding_id) for _ in range(2)]
    cancelled(town, ids[0], clock)

    appointments = [db.session.get_one(Appointment, id) for id in ids]
    first, second = events(citizen_calendar(appointments, "en", FIND))

    assert first["status"] == "CANCELLED"
    assert str(first["summary"]) == "Cancelled: Appointment at the town hall, Testdorp"
    assert str(second["summary"]) == "Appointment at the town hall, Testdorp"
    assert "edding" not in first.to_ical().decode() + second.to_ical().decode()
    assert "identity card" not in second["description"]


def test_a_moment_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        event(Entry("a", 0, False, TEN.replace(tzinfo=None), TEN, TEN, TEN, "UTC", "", ""))
