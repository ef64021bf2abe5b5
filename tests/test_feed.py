"""The feed of a desk: what stands in it, and when it changes."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from hashlib import sha256
from itertools import count

import pytest
from flask import Flask
from icalendar import Calendar, Event
from sqlalchemy import delete
from sqlalchemy import event as database_event

from booking import create_app
from booking.appointments.booking import Citizen, book, cancel, move
from booking.appointments.holds import hold
from booking.appointments.models import Appointment, AppointmentService, AppointmentState, Booking, Channel
from booking.appointments.offers import Demand
from booking.calendars.body import FeedBody, not_modified
from booking.calendars.entry import event_lines
from booking.calendars.feed import Cancelled, feed_body
from booking.calendars.models import Feed
from booking.calendars.subscriptions import Scope, feed_token, subscribed
from booking.config import ROOT, Settings
from booking.db import begin_write, db
from booking.privacy.forget import forget
from booking.staff.audit import citizen_of
from booking.townhall.models import Desk, Office, Service, ServiceText
from booking.townhall.revisions import raise_office
from booking.townhall.standing import Numbers, Standing, standing
from tests.conftest import KEYS, MONDAY, Clock
from tests.factories import Town, make_town

pytestmark = pytest.mark.calendars

TEN = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)  # Tuesday, ten o'clock in Brussels
ALICE = Citizen("Alice Peeters", "nl", email="alice@example.org", phone="+32470123456")
HOSTILE = 'A "quote", a; b\\c\r\nBEGIN:VEVENT\nATTENDEE:mailto:x@y\x0b\x85\u2028\x1b 🏛️ é'
# fmt: off
NAMES = frozenset([
    "BEGIN", "END", "VERSION", "PRODID", "CALSCALE", "METHOD", "NAME", "X-WR-CALNAME", "X-WR-TIMEZONE",
    "REFRESH-INTERVAL", "X-PUBLISHED-TTL", "TZID", "X-LIC-LOCATION", "TZOFFSETFROM", "TZOFFSETTO", "TZNAME",
    "RRULE", "DTSTART", "DTEND", "DTSTAMP", "LAST-MODIFIED", "CREATED", "UID", "SEQUENCE", "SUMMARY",
    "LOCATION", "DESCRIPTION", "STATUS", "TRANSP", "CLASS", "ORGANIZER", "ATTENDEE", "URL",
])
# fmt: on
numbers = count(1)


def make_feed(town: Town, **of: object) -> str:
    """A feed, of the town's desk where nothing else is said; its token."""
    of = of if any(name.endswith("_id") for name in of) else {"desk_id": town.desk_id, **of}
    feed = Feed(municipality_id=town.municipality_id, name="An", made_at=MONDAY, **of)
    db.session.add(feed)
    db.session.commit()
    return feed_token(KEYS, feed)


def add(town: Town, start: datetime = TEN, service_id: int = 0, people: int = 1) -> int:
    """An appointment of 15 minutes, committed, without asking whether it is free; its id."""
    number = next(numbers)
    booking = Booking(
        municipality_id=town.municipality_id, reference=f"{number:07d}", name=ALICE.name, email=ALICE.email,
        phone=ALICE.phone, language="fr", channel=Channel.WEB, made_at=MONDAY, first_free_at=None,
    )  # fmt: skip
    appointment = Appointment(
        booking=booking, counter_id=town.counter_ids[0], uid=f"{number}@balie", state=AppointmentState.BOOKED,
        starts_at=start, ends_at=start + timedelta(minutes=15), changed_at=MONDAY,
        items=[AppointmentService(service_id=service_id or town.passport_id, position=0, people=people)],
    )  # fmt: skip
    db.session.add(appointment)
    raise_office([town.office_id], MONDAY)
    db.session.commit()
    return appointment.id


def fresh() -> None:
    """A new writing transaction, as every POST begins."""
    db.session.rollback()
    begin_write()


def booked(town: Town, clock: Clock) -> int:
    fresh()
    office, service = db.session.get_one(Office, town.office_id), db.session.get_one(Service, town.passport_id)
    held = hold(office, Demand(service), TEN, clock())
    made = book(held, ALICE, Channel.WEB, citizen_of(town.municipality_id), clock())
    db.session.commit()
    return made.appointments[0].id


def cancelled(town: Town, appointment_id: int, clock: Clock) -> None:
    fresh()
    cancel(db.session.get_one(Appointment, appointment_id), citizen_of(town.municipality_id), clock())
    db.session.commit()


def fetch(town: Town, token: str, now: datetime, show: Cancelled = Cancelled.SHOWN) -> FeedBody:
    """As a request does it: in a session of its own."""
    db.session.remove()
    body = body_now(town, token, now, show)
    db.session.remove()
    return body


def body_now(town: Town, token: str, now: datetime, show: Cancelled = Cancelled.SHOWN) -> FeedBody:
    there, numbers = here(town)
    return feed_body(scope(there, token), there, numbers.activities, now, show)


def here(town: Town) -> tuple[Standing, Numbers]:
    found = standing(town.slug)
    assert found
    return found


def scope(there: Standing, token: str) -> Scope:
    return subscribed(KEYS, there, token, MONDAY.date())[1]


def events(content: bytes) -> list[Event]:
    return Calendar.from_ical(content).walk("VEVENT")


def unfolded(content: bytes) -> list[str]:
    return content.decode().replace("\r\n ", "").split("\r\n")[:-1]


def check_form(content: bytes, vevents: int) -> None:
    """RFC 5545 3.1 and no line that we did not write."""
    assert content.startswith(b"BEGIN:VCALENDAR\r\nVERSION:2.0\r\n")
    assert content.endswith(b"\r\nEND:VCALENDAR\r\n")
    assert content.count(b"\n") == content.count(b"\r\n") == content.count(b"\r")
    assert max(len(line) for line in content.split(b"\r\n")) <= 75
    assert not re.search("[\x00-\x09\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029]", content.decode())
    assert {line.replace(";", ":").split(":")[0] for line in unfolded(content)} <= NAMES
    assert [line for line in unfolded(content) if line == "BEGIN:VEVENT"] == ["BEGIN:VEVENT"] * vevents
    assert len(events(content)) == vevents


@contextmanager
def statements() -> Iterator[list[str]]:
    """What is read from the database meanwhile."""
    seen: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        seen.extend([statement] if statement.startswith("SELECT") else [])

    database_event.listen(db.engine, "before_cursor_execute", note)
    yield seen
    database_event.remove(db.engine, "before_cursor_execute", note)


def http_date(moment: datetime) -> str:
    return format_datetime(moment, usegmt=True)


def test_the_feed_of_a_desk_reads_like_this(context: Flask, town: Town, clock: Clock) -> None:
    appointment = db.session.get_one(Appointment, add(town, people=2))
    reference, uid = appointment.booking.reference or "", appointment.uid

    body = fetch(town, make_feed(town), clock())

    lines = unfolded(body.content)
    (place,) = (line for line in lines if line.startswith("LOCATION:"))
    assert re.fullmatch(r"LOCATION:Stadhuis\\, Marktplein 1\\, 1000 Testdorp\\, \w+ 1", place)
    assert lines[: lines.index("BEGIN:VTIMEZONE")] == [
        "BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//Balie//Appointments//EN", "CALSCALE:GREGORIAN",
        "NAME:Burgerzaken · Stadhuis", "X-WR-CALNAME:Burgerzaken · Stadhuis",
        "REFRESH-INTERVAL;VALUE=DURATION:PT1H", "X-PUBLISHED-TTL:PT1H", "X-WR-TIMEZONE:Europe/Brussels",
    ]  # fmt: skip
    assert sorted(lines[lines.index("BEGIN:VEVENT") : -1]) == sorted(
        [
            "BEGIN:VEVENT", f"UID:{uid}", "SEQUENCE:0", "DTSTAMP:20261123T080000Z", "LAST-MODIFIED:20261123T080000Z",
            "CREATED:20261123T080000Z", "DTSTART;TZID=Europe/Brussels:20261124T100000",
            "DTEND;TZID=Europe/Brussels:20261124T101500",
            f"SUMMARY:Passport (nl) ×2 · {reference[:2]} {reference[2:4]} {reference[4:]}",
            place, "STATUS:CONFIRMED", "TRANSP:OPAQUE", "CLASS:PRIVATE", "END:VEVENT",
        ]
    )  # fmt: skip
    check_form(body.content, 1)
    assert body.etag == f'"{sha256(body.content).hexdigest()}"'


def test_no_person_and_no_sensitive_service_stands_in_a_feed(context: Flask, town: Town, clock: Clock) -> None:
    add(town, service_id=town.wedding_id)
    token = make_feed(town)

    with statements() as seen:
        text = fetch(town, token, clock()).content.decode()

    summary = str(events(text.encode())[0]["summary"])
    assert summary.startswith("Burgerzaken · ")
    for secret in ("Alice", "Peeters", "alice@", "32470", "edding", "ATTENDEE", "ORGANIZER", "METHOD", "VALARM"):
        assert secret not in text
    assert not any("booking.name" in one or "booking.email" in one or "booking.phone" in one for one in seen)


def test_a_service_without_a_name_in_the_language_of_the_town_is_shown_as_the_desk(
    context: Flask, town: Town, clock: Clock
) -> None:
    add(town)
    db.session.execute(delete(ServiceText).where(ServiceText.language == "nl"))

    (shown,) = events(fetch(town, make_feed(town), clock()).content)

    assert str(shown["summary"]).startswith("Burgerzaken · ")


def test_a_forgotten_booking_keeps_its_event_and_loses_its_reference(context: Flask, town: Town, clock: Clock) -> None:
    appointment, token = add(town), make_feed(town)
    before = fetch(town, token, MONDAY)
    clock.advance(days=10)
    forget(db.session.get_one(Appointment, appointment).booking, clock())
    db.session.commit()

    body = fetch(town, token, clock() + timedelta(minutes=2))

    (shown,) = events(body.content)
    assert str(shown["summary"]) == "Passport (nl)"
    assert shown["last-modified"].dt == shown["dtstamp"].dt == clock()
    assert body.last_modified == clock() > before.last_modified


def test_the_same_rows_give_the_same_bytes_in_every_process(
    context: Flask, town: Town, clock: Clock, settings: Settings, database: str
) -> None:
    """A second application, and a fresh interpreter with -O, which takes assertions out of icalendar."""
    for start in (TEN + timedelta(days=2), TEN, TEN):
        add(town, start)
    poison(town)
    token = make_feed(town)
    body = fetch(town, token, clock())
    check_form(body.content, 3)
    order = [(one["dtstart"].dt, str(one["uid"])) for one in events(body.content)]
    assert order == sorted(order)

    event_lines.cache_clear()
    other = create_app(settings, clock=clock)
    with other.app_context():
        assert fetch(town, token, clock()).content == body.content
        db.engine.dispose()
    script = f"""
import sys
from datetime import datetime
from pathlib import Path
from booking import create_app
from booking.calendars.feed import feed_body
from booking.calendars.subscriptions import subscribed
from booking.config import Settings
from booking.townhall.standing import standing
app = create_app(Settings(database={database!r}, keys={KEYS!r}, instance=Path({str(settings.instance)!r})))
with app.app_context():
    now = datetime.fromisoformat({clock().isoformat()!r})
    there, numbers = standing({town.slug!r})
    feed, scope = subscribed({KEYS!r}, there, {token!r}, now.date())
    sys.stdout.buffer.write(feed_body(scope, there, numbers.activities, now).content)
"""
    run = subprocess.run([sys.executable, "-O", "-c", script], capture_output=True, check=True, cwd=ROOT)
    assert run.stdout == body.content


def poison(town: Town) -> None:
    """Names as nobody should give them."""
    desk, service = db.session.get_one(Desk, town.desk_id), db.session.get_one(Service, town.passport_id)
    desk.names = {"nl": HOSTILE}
    desk.office.names = {"nl": f"{HOSTILE} {'🏛️,' * 3_000}"}
    desk.office.address = f"{HOSTILE}\r\nX-EVIL:1"
    for text in service.texts:
        text.name = f"{HOSTILE}\r\n\r\nEND:VCALENDAR"
    db.session.commit()


def test_three_moves_and_a_cancellation_are_one_event_with_a_rising_sequence(
    context: Flask, town: Town, clock: Clock
) -> None:
    appointment, token = booked(town, clock), make_feed(town)
    seen = [fetch(town, token, clock())]
    for step in range(1, 4):
        clock.advance(minutes=1)
        fresh()
        moved, office = db.session.get_one(Appointment, appointment), db.session.get_one(Office, town.office_id)
        move(moved, office, TEN + timedelta(days=step), citizen_of(town.municipality_id), clock())
        db.session.commit()
        seen.append(fetch(town, token, clock()))
    clock.advance(minutes=1)
    cancelled(town, appointment, clock)
    seen.append(fetch(town, token, clock()))

    shown = [events(body.content) for body in seen]
    assert [[event["sequence"] for event in one] for one in shown] == [[0], [1], [2], [3], [4]]
    assert len({str(one[0]["uid"]) for one in shown}) == 1
    assert len({one[0]["dtstamp"].dt for one in shown}) == 5
    assert len({body.etag for body in seen}) == 5
    assert sorted(body.last_modified for body in seen) == [body.last_modified for body in seen]


def test_a_cancelled_appointment_stays_as_cancelled_until_its_day_is_over(
    context: Flask, town: Town, clock: Clock
) -> None:
    appointment, token = add(town, TEN + timedelta(days=7)), make_feed(town)
    end_of_day = datetime(2026, 12, 1, 23, 0, tzinfo=UTC)
    cancelled(town, appointment, clock)

    (shown,) = events(fetch(town, token, clock()).content)

    assert (shown["status"], shown["transp"], shown["sequence"]) == ("CANCELLED", "TRANSPARENT", 1)
    assert str(shown["summary"]) != "Passport (nl)"
    assert "Passport (nl)" in str(shown["summary"])
    assert len(events(fetch(town, token, end_of_day - timedelta(seconds=1)).content)) == 1
    assert events(fetch(town, token, end_of_day).content) == []
    assert events(fetch(town, token, clock(), Cancelled.HIDDEN).content) == []


def test_a_cancelled_appointment_stays_for_two_days_at_least_and_its_end_shows_in_last_modified(
    context: Flask, town: Town, clock: Clock
) -> None:
    appointment, token = add(town), make_feed(town)
    clock.now = TEN - timedelta(minutes=30)
    cancelled(town, appointment, clock)
    end = clock() + timedelta(hours=48)

    bodies = [fetch(town, token, end + timedelta(minutes=minutes)) for minutes in (-1, 0, 5)]

    assert [len(events(body.content)) for body in bodies] == [1, 0, 0]
    assert bodies[2].last_modified == end
    assert not not_modified(bodies[2], None, http_date(bodies[0].last_modified))


def test_cancelling_the_newest_booking_is_news_to_a_client_that_asks_by_date(
    context: Flask, town: Town, clock: Clock
) -> None:
    """Last-Modified as the newest row's moment would go back here, and Apple's calendar never fetch again."""
    add(town)
    newest, token = booked(town, clock), make_feed(town)
    before = fetch(town, token, clock())
    clock.advance(seconds=1)
    cancelled(town, newest, clock)

    after = fetch(town, token, clock())

    assert not not_modified(after, None, http_date(before.last_modified))
    assert not not_modified(after, before.etag, None)
    clock.advance(hours=3)
    assert fetch(town, token, clock()).last_modified == MONDAY + timedelta(seconds=1)


def test_a_change_in_the_second_of_the_last_fetch_is_not_lost(context: Flask, town: Town, clock: Clock) -> None:
    appointment, token = booked(town, clock), make_feed(town)
    before = fetch(town, token, clock())
    clock.advance(milliseconds=10)
    cancelled(town, appointment, clock)
    clock.advance(minutes=5)

    assert not not_modified(fetch(town, token, clock()), None, http_date(before.last_modified))


def test_last_modified_never_goes_back_and_moves_at_midnight(context: Flask, town: Town, clock: Clock) -> None:
    add(town)
    token = make_feed(town)
    told = [fetch(town, token, MONDAY + timedelta(hours=7 * n)).last_modified for n in range(40)]

    assert told == sorted(told)
    assert told[-1] == datetime(2026, 12, 3, 23, 0, tzinfo=UTC)


def test_a_feed_shows_its_own_desk_from_thirty_days_ago_to_a_day_past_the_horizon(
    context: Flask, town: Town, clock: Clock
) -> None:
    for days in (62, 61, 60, -31, -32):
        add(town, TEN + timedelta(days=days))
    add(make_town("elders"))

    body = fetch(town, make_feed(town), clock())

    assert [(one["dtstart"].dt.date() - MONDAY.date()).days for one in events(body.content)] == [-30, 61]


def test_the_number_of_queries_does_not_grow_and_an_unchanged_feed_costs_one(
    context: Flask, town: Town, clock: Clock
) -> None:
    token, counts = make_feed(town), []
    fetch(town, token, clock())
    for size in (3, 57):
        for n in range(size):
            add(town, TEN + timedelta(minutes=5 * n))
        with statements() as seen:
            fetch(town, token, clock())
        counts.append(len(seen))
    with statements() as again:
        assert len(events(fetch(town, token, clock()).content)) == 60

    assert counts == [4, 4]  # how the offices stand, when they last changed, what is there, what is new
    assert len(again) == 1


def test_what_a_transaction_has_not_committed_is_not_kept(context: Flask, town: Town, clock: Clock) -> None:
    appointment, token = add(town), make_feed(town)
    fresh()
    cancel(db.session.get_one(Appointment, appointment), citizen_of(town.municipality_id), clock())
    body_now(town, token, clock())
    fresh()
    raise_office([town.office_id], clock())
    db.session.commit()

    assert events(fetch(town, token, clock()).content)[0]["status"] == "CONFIRMED"
