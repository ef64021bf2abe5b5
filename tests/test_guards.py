"""Every route, tried by somebody who must not get in; every form, sent without its token; every answer's headers."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from flask import Flask
from werkzeug.routing import Rule

from booking.calendars.models import Feed
from booking.calendars.subscriptions import feed_token
from booking.db import db
from booking.staff.models import Role
from booking.townhall.models import Office
from tests.conftest import KEYS
from tests.factories import PASSWORD, Town, make_counter, make_desk, make_hours, make_staff, make_town
from tests.pages import Visitor
from tests.test_staff_pages import appointment

pytestmark = pytest.mark.house

SAMPLES = {
    "lang": "en",
    "key": "passport",
    "token": "1-1-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "id": "1",
    "desk_id": "1",
    "counter_id": "1",
    "day": "2026-11-23",
    "step": "arrive",
    "name": "1.eml",
    "kind": "office",
    "office_id": "1",
}
PUBLIC = {"begin", "front", "citizen", "api", "feeds", "receipts", "door", "entry"}


def rules(app: Flask) -> Iterator[Rule]:
    yield from app.url_map.iter_rules()


def address(rule: Rule, town: str = "testdorp") -> str:
    path = rule.rule
    for argument in rule.arguments:
        path = path.replace(f"<int:{argument}>", SAMPLES[argument]).replace(f"<{argument}>", SAMPLES[argument])
    return f"/{town}{path}"


@pytest.fixture
def day(app: Flask, town: Town) -> int:
    """An appointment, a feed, a second desk, and another town with its own staff."""
    with app.app_context():
        other = make_town("elders")
        make_staff(other.municipality_id, "charlie@elders.example.org", Role.ADMINISTRATOR)
        desk = make_desk(db.session.get_one(Office, town.office_id), key="building")
        make_hours(make_counter(desk), 0, 540, 720)
        make_staff(town.municipality_id, "dora@testdorp.example.org", Role.MANAGER, desk.id)
        make_staff(town.municipality_id, "ex@testdorp.example.org", Role.ADMINISTRATOR).is_active = False
        now = datetime(2026, 11, 20, tzinfo=UTC)
        db.session.add(Feed(municipality_id=town.municipality_id, desk_id=town.desk_id, name="Civil", made_at=now))
        db.session.commit()
    return appointment(app, town)


def test_every_route_has_a_guard_and_only_these_are_public(app: Flask) -> None:
    guards = app.extensions["balie"]["guards"]

    blueprints = {rule.endpoint.split(".")[0] for rule in rules(app)}

    assert blueprints == set(guards)
    assert {name for name, guard in guards.items() if guard.words.startswith("everyone")} == PUBLIC


def test_nobody_gets_into_the_staff_pages_without_signing_in(app: Flask, day: int) -> None:
    visitor = Visitor(app)
    for rule in rules(app):
        if not rule.endpoint.startswith(("staff.", "admin.")):
            continue
        if "GET" in (rule.methods or ()):
            page = visitor.get(address(rule))
            assert page.status == 302 and "/staff/sign-in" in page.location, rule
        else:
            token = visitor.get("/testdorp/staff/sign-in").forms[-1].values["csrf_token"]
            assert visitor.post(address(rule), {"csrf_token": token}).status == 403, rule


@pytest.mark.parametrize(
    ("where", "email"), [("elders", "charlie@elders.example.org"), ("testdorp", "dora@testdorp.example.org")]
)
def test_staff_of_another_town_or_desk_find_nothing(app: Flask, day: int, where: str, email: str) -> None:
    """Charlie administers another town, Dora manages another desk: the appointment and the agenda are not there."""
    visitor = Visitor(app)
    assert visitor.sign_in(where, email, PASSWORD).status == 303
    token = visitor.get(f"/{where}/staff/feeds").forms[0].values["csrf_token"]
    assert visitor.get(f"/{where}/staff/agenda/1").status == 404
    assert visitor.get(f"/{where}/staff/agenda/1/2026-11-23").status == 404
    assert visitor.post(f"/{where}/staff/appointment/{day}/arrive", {"csrf_token": token}).status == 404
    assert visitor.post(f"/{where}/staff/feeds/1/replace", {"csrf_token": token}).status == 404
    if where == "testdorp":
        assert visitor.get(f"/{where}/staff/outbox").status == 404


def test_a_session_of_one_town_is_none_in_another(app: Flask, day: int) -> None:
    visitor = Visitor(app)
    page = visitor.sign_in("elders", "charlie@elders.example.org", PASSWORD)
    cookie = next(one for one in page.response.headers.getlist("Set-Cookie") if one.startswith("balie="))
    assert "Path=/elders" in cookie and "HttpOnly" in cookie and "SameSite=Lax" in cookie

    value = cookie.split("balie=", 1)[1].split(";")[0]
    visitor.client.set_cookie("balie", value, path="/testdorp")

    assert "/staff/sign-in" in visitor.get("/testdorp/staff/agenda/1").location


def test_an_account_that_was_switched_off_cannot_sign_in(app: Flask, day: int) -> None:
    assert Visitor(app).sign_in("testdorp", "ex@testdorp.example.org", PASSWORD).status == 422


def test_every_form_needs_its_token(app: Flask, day: int) -> None:
    for rule in rules(app):
        if "POST" in (rule.methods or ()) and not rule.endpoint.startswith("receipts."):  # Twilio signs instead
            page = Visitor(app).post(address(rule), {})
            assert page.status == 400, rule
            assert "This form is no longer valid" in page.text


def test_a_feed_is_another_towns_secret_too(app: Flask, day: int) -> None:
    with app.app_context():
        token = feed_token(KEYS, db.session.get_one(Feed, 1))
    visitor = Visitor(app)

    assert visitor.get(f"/testdorp/feeds/{token}.ics").status == 200
    assert visitor.get(f"/elders/feeds/{token}.ics").status == 404


def test_a_booking_is_not_found_in_another_town(app: Flask, day: int) -> None:
    with app.test_request_context("/testdorp/en/"):
        from booking import links

        token = links.token(KEYS, "booking", 1, 1)
    visitor = Visitor(app)

    assert visitor.get(f"/testdorp/en/b/{token}").status == 200
    assert visitor.get(f"/elders/en/b/{token}").status == 404


def test_every_answer_carries_the_guarding_headers(app: Flask, day: int) -> None:
    visitor = Visitor(app)
    for rule in rules(app):
        if "GET" not in (rule.methods or ()):
            continue
        headers = visitor.get(address(rule)).response.headers
        assert "script-src 'self'" in headers["Content-Security-Policy"]
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cache-Control"] in ("no-store", "no-cache", "private, max-age=0, must-revalidate")


def test_feeds_set_no_cookie_and_never_redirect(app: Flask, day: int) -> None:
    with app.app_context():
        token = feed_token(KEYS, db.session.get_one(Feed, 1))
    for path, status in ((f"{token}.ics", 200), ("1-1-x.ics", 404), ("garbage.ics", 404)):
        answer = Visitor(app).get(f"/testdorp/feeds/{path}")
        assert answer.status == status
        assert "Set-Cookie" not in answer.response.headers


def test_health_says_numbers_and_no_more(app: Flask, town: Town) -> None:
    answer = Visitor(app).get("/health").response

    assert answer.status_code == 503  # no worker has run
    assert set(answer.json or {}) == {"database", "worker", "worker_beat_at", "messages_due", "oldest_due_at"}
