"""Invitations in e-mail: the chain of REQUEST and CANCEL, and the letter around it."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage, Message
from pathlib import Path

import pytest
from flask import Flask
from icalendar import Calendar, Event
from sqlalchemy import select

from booking.appointments.booking import Citizen, cancel, move
from booking.calendars.citizen import add_links
from booking.calendars.invitation import Mailbox, invitation
from booking.config import ROOT, SmtpServer
from booking.db import begin_write, db
from booking.outbox.models import Message as Row
from booking.staff.audit import citizen_of, member
from booking.staff.models import Role
from booking.townhall.models import Office
from tests.conftest import Clock
from tests.factories import Town, make_staff
from tests.providers import MailStub
from tests.test_feed import HOSTILE, check_form, poison
from tests.test_messages import ALICE, THURSDAY, booked, send, server

pytestmark = pytest.mark.calendars

__all__ = ["server"]  # the fixture
BETWEEN = (Mailbox("balie@example.org", "Testdorp"), Mailbox("alice@example.org"))
FIND = "http://localhost:8000/testdorp/nl/find"
INVITES = {"text/calendar", "application/ics"}
CLAIRE = Citizen("Claire", "nl", email="claire@example.org")


def parts(letter: Message) -> dict[str, Message]:
    return {part.get_content_type(): part for part in letter.walk()}


def invited(letter: EmailMessage) -> tuple[str, Event]:
    """METHOD and the one event of the invitation in a letter."""
    calendar = Calendar.from_ical(parts(letter)["text/calendar"].get_payload(decode=True))
    (event,) = calendar.walk("VEVENT")
    return str(calendar["method"]), event


def later(clock: Clock) -> None:
    clock.advance(minutes=1)
    db.session.rollback()
    begin_write()


def test_a_booking_three_moves_and_a_cancellation_are_one_chain(
    context: Flask, town: Town, clock: Clock, server: tuple[MailStub, SmtpServer]
) -> None:
    appointment, letters = booked(town, clock, CLAIRE), server[0].letters
    send(context, clock, server[1])
    actor, office_id = citizen_of(town.municipality_id), town.office_id
    for hour in (10, 13, 14):
        later(clock)
        move(appointment, db.session.get_one(Office, office_id), THURSDAY.replace(hour=hour), actor, clock())
        db.session.commit()
        send(context, clock, server[1])
    later(clock)
    cancel(appointment, actor, clock())
    db.session.commit()
    send(context, clock, server[1])

    chain = [invited(letter) for letter in letters]
    assert [method for method, _ in chain] == ["REQUEST"] * 4 + ["CANCEL"]
    assert [event["sequence"] for _, event in chain] == [0, 1, 2, 3, 4]
    assert {str(event["uid"]) for _, event in chain} == {appointment.uid}
    assert [str(event["status"]) for _, event in chain] == ["CONFIRMED"] * 4 + ["CANCELLED"]
    assert [event["dtstart"].dt.astimezone(UTC).hour for _, event in chain] == [9, 10, 13, 14, 14]
    stamps = [event["dtstamp"].dt for _, event in chain]
    assert stamps == sorted(set(stamps))
    collection: dict[str, Event] = {}
    for method, event in chain:  # what a calendar program does with them (RFC 5546 3.2.2, 3.2.5)
        known = collection.get(str(event["uid"]))
        assert known is None or known["sequence"] < event["sequence"]
        collection[str(event["uid"])] = event
        assert len(collection) == 1
        assert (method == "CANCEL") == (event["status"] == "CANCELLED")


def test_a_letter_holds_the_invitation_twice_with_the_same_bytes(
    context: Flask, town: Town, clock: Clock, server: tuple[MailStub, SmtpServer]
) -> None:
    booked(town, clock, CLAIRE)
    send(context, clock, server[1])

    letter = server[0].letters[0]
    assert [part.get_content_type() for part in letter.walk()] == [
        "multipart/mixed", "multipart/alternative", "text/plain", "text/html", "text/calendar", "application/ics",
    ]  # fmt: skip
    found = parts(letter)
    calendar, attached = found["text/calendar"], found["application/ics"]
    assert calendar.get_payload(decode=True) == attached.get_payload(decode=True)
    assert [part["Content-Transfer-Encoding"] for part in (calendar, attached)] == ["base64", "base64"]
    assert calendar.get_param("method") == invited(letter)[0] == "REQUEST"
    assert str(calendar.get_param("charset")).lower() == "utf-8"
    assert calendar.get_param("component") == "VEVENT"
    assert attached.get_filename() == attached.get_param("name") == "invite.ics"
    assert (letter["To"], letter["Cc"], letter["Bcc"]) == ("claire@example.org", None, None)
    assert letter["Auto-Submitted"] == "auto-generated" and letter["X-Auto-Response-Suppress"] == "All"
    check_form(calendar.get_payload(decode=True), 1)  # type: ignore[arg-type]


def test_an_invitation_says_who_invites_and_that_the_citizen_has_accepted(
    context: Flask, town: Town, clock: Clock, server: tuple[MailStub, SmtpServer]
) -> None:
    booked(town, clock, CLAIRE)
    send(context, clock, server[1])

    letter = server[0].letters[0]
    _method, event = invited(letter)
    sender = letter["From"].addresses[0].addr_spec
    assert event["organizer"] == f"mailto:{sender}" and event["organizer"].params["CN"] == "Testdorp"
    assert event["attendee"] == "mailto:claire@example.org"
    assert dict(event["attendee"].params) == {
        "CUTYPE": "INDIVIDUAL", "ROLE": "REQ-PARTICIPANT", "PARTSTAT": "ACCEPTED", "RSVP": "FALSE",
    }  # fmt: skip
    text = parts(letter)["text/calendar"].get_payload(decode=True)
    assert isinstance(text, bytes)
    assert event["url"] == FIND and b"/b/" not in text and b"Claire" not in text and b"VALARM" not in text


def test_a_reminder_invites_to_nothing_and_a_try_again_sends_the_same_invitation(
    context: Flask, town: Town, clock: Clock, server: tuple[MailStub, SmtpServer]
) -> None:
    booked(town, clock, CLAIRE)
    server[0].refusals.append("451 later")
    send(context, clock, server[1])
    kept = db.session.scalars(select(Row.content).where(Row.content.is_not(None))).one()
    clock.advance(minutes=2)
    send(context, clock, server[1])
    clock.now = THURSDAY - timedelta(hours=16)
    send(context, clock, server[1])

    first, reminder = server[0].letters
    before = message_from_bytes(kept or b"")
    assert all(parts(before)[kind].get_payload() == parts(first)[kind].get_payload() for kind in INVITES)
    assert invited(first)[1]["dtstamp"].dt == datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
    assert not INVITES & parts(reminder).keys()


def test_the_citizen_is_told_when_staff_cancel(
    context: Flask, town: Town, clock: Clock, server: tuple[MailStub, SmtpServer]
) -> None:
    appointment = booked(town, clock, CLAIRE)
    later(clock)
    staff = make_staff(town.municipality_id, "ann@testdorp.example.org", Role.ADMINISTRATOR)
    cancel(appointment, member(staff), clock())
    db.session.commit()
    send(context, clock, server[1])

    (letter,) = server[0].letters
    assert invited(letter)[0] == parts(letter)["text/calendar"].get_param("method") == "CANCEL"


def test_a_sensitive_service_is_not_named_and_links_to_web_calendars_tell_no_person(
    context: Flask, town: Town, clock: Clock
) -> None:
    appointment = booked(town, clock, ALICE, town.wedding_id)

    text = invitation(appointment, "nl", BETWEEN, FIND, clock()).content.decode()
    links = add_links(appointment, "nl", FIND)

    assert "edding" not in text
    for link in (links.google, links.outlook):
        assert "edding" not in link and "Alice" not in link and "alice" not in link and "%2Fb%2F" not in link
    assert "dates=20261126T090000Z%2F20261126T100000Z" in links.google
    assert "startdt=2026-11-26T09%3A00%3A00Z&enddt=2026-11-26T10%3A00%3A00Z" in links.outlook


def test_no_text_breaks_out_of_an_invitation_and_none_does_without_assertions(
    context: Flask, town: Town, clock: Clock, database: str, tmp_path: Path
) -> None:
    """In this process, and in one with -O, which takes assertions out of icalendar."""
    appointment_id = booked(town, clock, ALICE).id
    poison(town)
    name = f"{HOSTILE}{'é' * 10_000}"
    script = f"""
import sys
from datetime import datetime
from pathlib import Path
from booking import create_app
from booking.appointments.models import Appointment
from booking.calendars.citizen import citizen_calendar
from booking.calendars.invitation import Mailbox, invitation
from booking.config import Settings
from booking.db import db
app = create_app(Settings(database={database!r}, keys=(b"x" * 32,), instance=Path({str(tmp_path)!r})))
with app.app_context():
    one = db.session.get_one(Appointment, {appointment_id})
    between = (Mailbox({HOSTILE!r}, {name!r}), Mailbox({HOSTILE!r}, {name!r}))
    made = invitation(one, "nl", between, {HOSTILE!r}, datetime.fromisoformat({clock().isoformat()!r}))
    sys.stdout.buffer.write(made.content + b"\\0" + citizen_calendar([one], "nl", {HOSTILE!r}))
"""
    outputs = []
    for options in ([], ["-O"]):
        run = subprocess.run([sys.executable, *options, "-c", script], capture_output=True, check=True, cwd=ROOT)
        outputs.append(run.stdout)
        for content in run.stdout.split(b"\0"):
            check_form(content, 1)
    assert outputs[0] == outputs[1]
