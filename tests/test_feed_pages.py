"""Feeds as clients fetch them over HTTP, and the pages on which staff make, find and end them."""

from __future__ import annotations

import gzip
from datetime import timedelta
from html import unescape
from urllib.parse import quote

import pytest
from flask import Flask
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from booking.appointments.models import Appointment
from booking.calendars.citizen import own_feed_token
from booking.calendars.clients import program
from booking.calendars.models import Feed
from booking.calendars.subscriptions import feed_token
from booking.db import db
from booking.privacy.forget import forget
from booking.staff.models import AuditLine, Role, Staff
from booking.townhall.models import Closure, Office
from tests.conftest import KEYS, MONDAY, Clock
from tests.factories import PASSWORD, Town, make_staff
from tests.pages import Page, Visitor
from tests.test_feed import TEN, add, booked, cancelled, events, make_feed

pytestmark = pytest.mark.calendars

FEEDS = "/testdorp/staff/feeds"


@pytest.fixture
def people(app: Flask, town: Town) -> None:
    """Alice is a clerk at the desk, Bob leads it, Ann administers the town hall."""
    with app.app_context():
        make_staff(town.municipality_id, "alice@testdorp.example.org", Role.CLERK, town.desk_id)
        make_staff(town.municipality_id, "bob@testdorp.example.org", Role.LEAD, town.desk_id)
        make_staff(town.municipality_id, "ann@testdorp.example.org", Role.ADMINISTRATOR)
        for staff in db.session.scalars(select(Staff)):
            staff.language = "en"
        db.session.commit()


def signed_in(app: Flask, who: str) -> Visitor:
    visitor = Visitor(app)
    assert visitor.sign_in("testdorp", f"{who}@testdorp.example.org", PASSWORD).status == 303
    return visitor


def address(page: Page) -> str:
    """The path of the secret address on a calendar's page."""
    found = next(one for one in page.response.text.split('"') if "/feeds/" in one and one.endswith(".ics"))
    return unescape(found).split("localhost:8000", 1)[1]


def made(visitor: Visitor, **typed: str) -> Page:
    form = visitor.get(f"{FEEDS}/new").form("/feeds/new")
    return visitor.follow(visitor.send(form, **{"name": "A phone", "subject": "own", **typed}))


def path_of(app: Flask, town: Town, **of: object) -> str:
    with app.app_context():
        return f"/testdorp/feeds/{make_feed(town, **of)}.ics"


def test_a_client_gets_the_feed_its_head_its_packed_form_and_nothing_twice(app: Flask, town: Town) -> None:
    with app.app_context():
        for n in range(5):
            add(town, TEN + timedelta(minutes=15 * n))
    path, client = path_of(app, town), app.test_client()

    plain, head = client.get(path), client.head(path)
    packed = client.get(path, headers={"Accept-Encoding": "br, gzip;q=0.5"})

    assert (plain.status_code, plain.content_type) == (200, "text/calendar; charset=utf-8")
    assert plain.headers["Content-Disposition"] == 'inline; filename="agenda.ics"'
    assert plain.headers["Vary"] == "Accept-Encoding"  # and not the cookie: nobody looked into it
    assert b"METHOD" not in plain.data
    assert (head.status_code, head.data) == (200, b"")
    assert {**head.headers} == {**plain.headers}
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.data) == plain.data
    assert len(packed.data) == int(packed.headers["Content-Length"]) < len(plain.data) / 3
    assert packed.headers["ETag"] != plain.headers["ETag"]
    assert packed.headers["Last-Modified"] == plain.headers["Last-Modified"]
    for answer in (plain, packed):
        for wish in ({}, {"Accept-Encoding": "gzip"}):
            again = client.get(path, headers={"If-None-Match": answer.headers["ETag"], **wish})
            assert (again.status_code, again.data) == (304, b"")
            assert again.headers["ETag"] in (plain.headers["ETag"], packed.headers["ETag"])
    assert client.get(path, headers={"If-Modified-Since": plain.headers["Last-Modified"]}).status_code == 304
    wishes = {"If-None-Match": '"other"', "If-Modified-Since": plain.headers["Last-Modified"]}
    assert client.get(path, headers=wishes).status_code == 200
    assert client.get(path, headers={"Accept-Encoding": "gzip;q=0"}).headers.get("Content-Encoding") is None
    assert not {name for name, _ in plain.headers} & {"Set-Cookie", "Location", "WWW-Authenticate"}


def test_a_client_may_ask_to_be_spared_cancelled_appointments(app: Flask, town: Town, clock: Clock) -> None:
    with app.app_context():
        cancelled(town, booked(town, clock), clock)
    path, client = path_of(app, town), app.test_client()

    assert [one["status"] for one in events(client.get(path).data)] == ["CANCELLED"]
    assert events(client.get(f"{path}?cancelled=hide").data) == []


header = st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=60)
NAMES = ["If-None-Match", "If-Modified-Since", "Accept-Encoding", "Accept-Language", "User-Agent", "Range", "Cookie"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(headers=st.dictionaries(st.sampled_from([*NAMES, "Accept", "If-Match", "Authorization"]), header))
@example(headers={"Accept-Encoding": "gzip;q=nan", "If-None-Match": 'W/"', "Cookie": "balie=.x.y"})
@example(headers={"User-Agent": "\x7f" * 60, "If-Modified-Since": "0 Jan 0 0:0:0 -2359"})
def test_no_request_header_breaks_a_feed(app: Flask, town: Town, headers: dict[str, str]) -> None:
    with app.app_context():
        feed = db.session.scalar(select(Feed)) or Feed(
            municipality_id=town.municipality_id, desk_id=town.desk_id, name="An", made_at=MONDAY
        )
        db.session.add(feed)
        db.session.commit()
        path = f"/testdorp/feeds/{feed_token(KEYS, feed)}.ics"
    for method in ("GET", "HEAD"):
        with app.test_client().open(path, method=method, headers=headers) as answer:
            assert answer.status_code in (200, 304), headers
            assert "Set-Cookie" not in answer.headers


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(token=st.text(min_size=1) | st.from_regex(r"\d{1,20}-\d{1,20}-[a-z2-7]{32}", fullmatch=True))
@example(token="1-1-" + "a" * 5_000)
@example(token="own/1-1-" + "a" * 32)
@example(token="opening/99999999999999999999999-nl")
def test_no_token_breaks_a_feed(app: Flask, town: Town, token: str) -> None:
    for place in ("", "own/", "opening/"):
        answer = app.test_client().get(f"/testdorp/feeds/{place}{quote(token, safe='/')}.ics?cancelled=hide")
        assert answer.status_code in (404, 400, 308), token


def test_who_fetched_a_feed_last_stands_on_its_page(app: Flask, town: Town, people: None, clock: Clock) -> None:
    bob = signed_in(app, "bob")
    page = made(bob, subject=f"desk-{town.desk_id}")
    assert "never fetched" in page.text
    agent = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Thunderbird/140.4.0"}

    for minutes in (0, 0.5, 2):
        clock.advance(minutes=minutes)
        with app.test_client().get(address(page), headers=agent):
            pass

    page = bob.get(page.response.request.path)
    assert "Thunderbird (3 times so far)" in page.text
    assert "by Thunderbird" in bob.get(FEEDS).text


@pytest.mark.parametrize(
    ("user_agent", "name"),
    [
        ("Google-Calendar-Importer", "Google"),
        ("iOS/18.1 (22B83) dataaccessd/1.0", "Apple (iPhone, iPad)"),
        ("macOS/15.1 (24B83) CalendarAgent/1000", "Apple (Mac)"),
        ("Microsoft.Exchange/15.20 (Microsoft.Exchange.Calendar)", "Outlook"),
        ("vdirsyncer/0.21.0", "vdirsyncer"),
        ("<script>alert(1)</script>" * 9, "scriptalert(1)"),
        ("", ""),
    ],
)
def test_programs_are_called_as_people_call_them(user_agent: str, name: str) -> None:
    assert program(user_agent) == name


def test_a_clerk_makes_a_calendar_of_their_own_desks_and_nobody_else_sees_it(
    app: Flask, town: Town, people: None
) -> None:
    alice, bob = signed_in(app, "alice"), signed_in(app, "bob")
    page = made(alice, name="Alice's phone")

    assert "The calendar is made" in page.text
    assert alice.get(address(page)).status == 200
    assert "webcal://localhost:8000" + address(page) in page.links
    assert any(one.startswith("https://calendar.google.com/calendar/r?cid=webcal%3A%2F%2F") for one in page.links)
    assert 'src="data:image/svg+xml' in page.response.text
    assert "Alice's phone" in alice.get(FEEDS).text
    assert "Alice's phone" not in bob.get(FEEDS).text
    assert bob.get(page.response.request.path).status == 404


def test_only_a_lead_makes_calendars_of_a_desk_and_only_who_leads_everywhere_of_a_service(
    app: Flask, town: Town, people: None
) -> None:
    offered = {who: signed_in(app, who).get(f"{FEEDS}/new").response.text for who in ("alice", "bob", "ann")}
    for subject, allowed in (
        ("own", {"alice", "bob", "ann"}),
        (f"desk-{town.desk_id}", {"bob", "ann"}),
        (f"counter-{town.counter_ids[1]}", {"bob", "ann"}),
        (f"office-{town.office_id}", {"bob", "ann"}),
        (f"service-{town.passport_id}", {"ann"}),
        (f"service-{town.wedding_id}", set()),
        ("desk-99", set()),
    ):
        assert {who for who, page in offered.items() if f'value="{subject}"' in page} == allowed
        for who in ("alice", "bob", "ann"):
            visitor = signed_in(app, who)
            form = visitor.get(f"{FEEDS}/new").form("/feeds/new")
            assert visitor.send(form, subject=subject, name="x").status == (303 if who in allowed else 422)


def test_a_clerk_sees_the_calendar_of_the_desk_and_only_a_lead_changes_it(
    app: Flask, town: Town, people: None, clock: Clock
) -> None:
    alice, bob = signed_in(app, "alice"), signed_in(app, "bob")
    page = made(bob, subject=f"desk-{town.desk_id}", name="Hall", detail="busy")
    path, old = page.response.request.path, address(page)
    assert address(alice.get(path)) == old
    token = {"csrf_token": alice.get(path).forms[0].values["csrf_token"]}
    for step in ("change", "replace", "revoke"):
        assert alice.post(f"{path}/{step}", token).status == 404

    page = bob.follow(bob.send(bob.get(path).form("/change"), name="Screen in the hall"))
    assert "Saved" in page.text and "Screen in the hall" in page.text
    page = bob.follow(bob.send(page.form("/replace"), typed="Screen in the hall"))
    assert Visitor(app).get(old).status == 410
    new = address(page)
    assert new != old and Visitor(app).get(new).status == 200
    page = bob.follow(bob.send(page.form("/revoke"), typed="Screen in the hall"))
    assert "This calendar has ended" in page.text and ".ics" not in page.response.text
    assert Visitor(app).get(new).status == 410
    assert "ended" in bob.get(FEEDS).text
    with app.app_context():
        actions = db.session.scalars(select(AuditLine.action).where(AuditLine.object_kind == "feed")).all()
        assert list(actions) == ["make_feed", "change_feed", "replace_feed", "revoke_feed"]


def test_a_calendar_ends_by_itself_after_its_last_day(app: Flask, town: Town, people: None, clock: Clock) -> None:
    bob = signed_in(app, "bob")
    form = bob.get(f"{FEEDS}/new").form("/feeds/new")
    refused = bob.send(form, name="x", subject="own", last_on="2026-11-22")
    assert refused.status == 422 and "Choose a day that is still to come" in refused.text
    path = address(made(bob, last_on="2026-11-24"))
    clock.now = TEN + timedelta(hours=13, minutes=59)
    assert Visitor(app).get(path).status == 200

    clock.advance(minutes=1)

    assert Visitor(app).get(path).status == 410


def test_a_name_is_asked_for_and_a_hostile_one_stays_text(app: Flask, town: Town, people: None) -> None:
    bob = signed_in(app, "bob")
    form = bob.get(f"{FEEDS}/new").form("/feeds/new")
    assert "Say whose calendar it is" in bob.send(form, name=" ").text
    assert "Shorten it to 120" in bob.send(form, name="x" * 121).text
    page = made(bob, name="<b>Bob</b>\u202e & 'co'")
    assert "<b>Bob" not in page.response.text
    assert "<b>Bob</b> & 'co'" in page.text


def test_everybody_may_subscribe_to_the_opening_hours_of_an_office(app: Flask, town: Town, clock: Clock) -> None:
    path = f"/testdorp/feeds/opening/{town.office_id}-nl.ics"
    before = Visitor(app).get(path).response
    tuesday = [one for one in events(before.data) if one["dtstart"].dt.date() == TEN.date()]
    assert [(f"{one['dtstart'].dt:%H:%M}", f"{one['dtend'].dt:%H:%M}") for one in tuesday] == [
        ("09:00", "12:00"),
        ("13:00", "16:00"),
    ]
    assert {str(one["summary"]) for one in events(before.data)} == {"Open · Stadhuis"}
    assert {str(one["class"]) for one in events(before.data)} == {"PUBLIC"}
    assert {str(one["transp"]) for one in events(before.data)} == {"TRANSPARENT"}
    with app.app_context():
        add(town)
    assert Visitor(app).get(path).response.data == before.data  # what is booked says nothing here

    clock.advance(minutes=5)
    with app.app_context():
        office = db.session.get_one(Office, town.office_id)
        starts_at = TEN - timedelta(hours=10)
        whole = Closure(office_id=office.id, starts_at=starts_at, ends_at=starts_at + timedelta(days=1))
        whole.reasons = {"nl": "Feest", "en": "Feast"}
        db.session.add(whole)
        db.session.commit()
    clock.advance(minutes=5)
    after = Visitor(app).get(path, **{"If-Modified-Since": before.headers["Last-Modified"]}).response
    (closed,) = [one for one in events(after.data) if str(one["dtstart"].dt)[:10] == str(TEN.date())]
    assert (str(closed["summary"]), closed["dtstart"].to_ical()) == ("Gesloten: Feest · Stadhuis", b"20261124")
    english = events(Visitor(app).get(path.replace("nl.ics", "en.ics")).response.data)
    assert "Closed: Feast · Town hall" in {str(one["summary"]) for one in english}
    for wrong in (path.replace("nl.ics", "it.ics"), "/testdorp/feeds/opening/99-nl.ics"):
        assert Visitor(app).get(wrong).status == 404


def test_a_citizen_subscribes_to_their_own_appointments(app: Flask, town: Town, clock: Clock) -> None:
    with app.app_context():
        id = booked(town, clock)
        booking = db.session.get_one(Appointment, id).booking
        path = f"/testdorp/feeds/own/{own_feed_token(KEYS, booking)}.ics"
        token = own_feed_token(KEYS, booking)
    visitor = Visitor(app)
    first = visitor.get(path)
    (shown,) = events(first.response.data)
    assert (str(shown["summary"]), shown["status"], shown["dtstart"].dt) == ("Passport (nl)", "CONFIRMED", TEN)
    assert visitor.get(path, **{"If-None-Match": first.response.headers["ETag"]}).status == 304
    for secret in (b"METHOD", b"ATTENDEE", b"ORGANIZER", b"Alice", token.encode()):
        assert secret not in first.response.data
    assert visitor.get(f"/testdorp/en/b/{token}").status == 404  # a calendar's address opens no page

    clock.advance(minutes=5)
    with app.app_context():
        cancelled(town, id, clock)
    assert [one["status"] for one in events(visitor.get(path).response.data)] == ["CANCELLED"]
    with app.app_context():
        forget(db.session.get_one(Appointment, id).booking, clock())
        db.session.commit()
    assert visitor.get(path).status == 410
    assert visitor.get(path.replace("own/1", "own/2")).status == 404
