"""The administration pages: who gets in, and what a manager changes alone: municipality, offices, desks, services."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import select

from booking.calendars.models import Feed
from booking.db import db
from booking.staff.models import AuditLine, Role
from booking.townhall.models import Closure, Counter, CounterService, Desk, Municipality, Office, Service
from tests.factories import Town, make_desk, make_office, make_staff
from tests.pages import Form, Page, Visitor
from tests.test_staff_pages import appointment, signed_in

pytestmark = pytest.mark.townhall

ADMIN = "/testdorp/staff/admin"


def only_form(page: Page) -> Form:
    """The form of the page's main part: not the one to sign out, nor to undo what was saved."""
    found = [form for form in page.forms if form.method == "post" and not form.action.endswith("/sign-out")]
    found = [form for form in found if "/admin/undo/" not in form.action]
    assert len(found) == 1, [form.action for form in found]
    return found[0]


def fill(visitor: Visitor, path: str, **typed: str) -> Page:
    """Opens the page and sends its form as it stands, with what is typed over it."""
    form = only_form(visitor.get(f"{ADMIN}{path}"))
    return visitor.post(f"{ADMIN}{path}", {**form.values, **typed})


@pytest.mark.parametrize(
    ("who", "open_pages"),
    [
        ("bob", set()),
        ("dora", {"/"}),
        ("mia", {"/", "/offices", "/services"}),
        ("ann", {"/", "/offices", "/services", "/town"}),
    ],
)
def test_each_role_sees_its_own_sections(
    app: Flask, town: Town, management: None, who: str, open_pages: set[str]
) -> None:
    visitor = signed_in(app, who)

    seen = {path for path in ("/", "/offices", "/services", "/town") if visitor.get(f"{ADMIN}{path}").status == 200}

    assert seen == open_pages
    assert ("Administration" in visitor.follow(visitor.get("/testdorp/staff/")).text) == bool(open_pages)


def test_an_administrator_changes_the_rules(app: Flask, town: Town, management: None) -> None:
    ann = signed_in(app, "ann")

    page = fill(ann, "/town", **{"hold_minutes": "25", "names-nl": "Testdorp aan zee", "phone": "015 98 76 54"})

    assert "The municipality is saved." in ann.follow(page).text
    with app.app_context():
        row = db.session.get_one(Municipality, town.municipality_id)
        assert (row.hold_minutes, row.names["nl"], row.phone) == (25, "Testdorp aan zee", "+3215987654")
        assert row.reminders[0]["days"] == 1 and len(row.reminders) == 2
        assert (
            db.session.scalar(select(AuditLine.action).where(AuditLine.object_kind == "municipality")) == "change_town"
        )


def test_what_is_wrong_is_said_on_top_and_nothing_is_saved(app: Flask, town: Town, management: None) -> None:
    page = fill(signed_in(app, "ann"), "/town", hold_minutes="soon", **{"names-nl": ""})

    assert page.status == 422
    assert "enter a whole number from 5 to 60" in page.text
    assert "Name: write it in Nederlands." in page.text
    with app.app_context():
        assert db.session.get_one(Municipality, town.municipality_id).hold_minutes == 20


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ({"reminders-2-number": "3", "reminders-2-at": "18:00"}, "tick e-mail, text message or both"),
        ({"reminders-2-number": "99", "reminders-2-email": "y"}, "enter 1 to 60 days"),
        ({"reminders-2-number": "3", "reminders-2-email": "y"}, "enter a time of the day"),
        ({"quiet_from": "late"}, "No reminders from: enter a time of the day"),
        ({"wait_minutes": "900"}, "enter a whole number from 0 to 240"),
        ({"language": "xx"}, "Choose one of the languages"),
        ({"email": "nobody"}, "Enter an e-mail address like"),
        ({"phone": "call us"}, "Enter a phone number like"),
    ],
)
def test_rules_that_cannot_work_are_refused(
    app: Flask, town: Town, management: None, typed: dict[str, str], words: str
) -> None:
    page = fill(signed_in(app, "ann"), "/town", **typed)

    assert page.status == 422
    assert words in page.text


def test_a_reminder_is_added_and_another_taken_out(app: Flask, town: Town, management: None) -> None:
    more = {"reminders-0-number": "", "reminders-2-number": "3", "reminders-2-at": "09:30", "reminders-2-email": "y"}

    assert fill(signed_in(app, "ann"), "/town", **more).status == 303

    with app.app_context():
        rules = db.session.get_one(Municipality, town.municipality_id).reminders
        assert [rule["occasion"] for rule in rules] == ["2-hours-before", "3-days-before"]


def test_messages_have_quiet_hours_a_language_and_a_wait(app: Flask, town: Town, management: None) -> None:
    typed = {"quiet_from": "21:15", "quiet_until": "07:00", "speaks": "authoritative", "wait_minutes": "30"}

    assert fill(signed_in(app, "ann"), "/town", **typed).status == 303

    with app.app_context():
        row = db.session.get_one(Municipality, town.municipality_id)
        assert (row.quiet_from, row.quiet_until) == (21 * 60 + 15, 7 * 60)
        assert (row.speaks, row.wait_minutes) == ("authoritative", 30)


def test_a_service_gets_reminders_of_its_own_and_gives_them_up(app: Flask, town: Town, management: None) -> None:
    ann, path = signed_in(app, "ann"), f"/services/{town.passport_id}"
    own = {"has_own_reminders": "y", "reminders-0-number": "3", "reminders-0-unit": "hours", "reminders-0-sms": "y"}

    assert fill(ann, path, **own).status == 303
    assert reminders_of(app, town) == [{"occasion": "3-hours-before", "hours": 3, "channels": ["sms"]}]
    assert fill(ann, path, **{"reminders-0-number": ""}).status == 303
    assert reminders_of(app, town) == []
    assert fill(ann, path, has_own_reminders="").status == 303
    assert reminders_of(app, town) is None


def reminders_of(app: Flask, town: Town) -> list[dict[str, object]] | None:
    with app.app_context():
        return db.session.get_one(Service, town.passport_id).reminders


def test_the_zone_stays_while_anybody_has_an_appointment(app: Flask, town: Town, management: None) -> None:
    appointment(app, town)

    page = fill(signed_in(app, "ann"), "/town", zone="Europe/Lisbon")

    assert page.status == 422 and "they would begin at other times" in page.text


def test_a_manager_adds_an_office_with_a_desk_and_counters(app: Flask, town: Town, management: None) -> None:
    mia = signed_in(app, "mia")
    mia.follow(
        fill(mia, "/offices/new", **{"names-nl": "Dorpshuis", "address": "Kerkstraat 1", "phone": "015 12 34 56"})
    )
    with app.app_context():
        office = db.session.scalars(select(Office).where(Office.address == "Kerkstraat 1")).one()
        assert office.phone == "+3215123456"
    path = f"/offices/{office.id}/desks/new"
    named = {"names-nl": "Burgerzaken", "key": "civil", "email": "civil@testdorp.example.org"}

    mia.follow(fill(mia, path, step_minutes="10", buffer_minutes="5", **named))

    again = fill(mia, path, step_minutes="10", buffer_minutes="5", **named)
    assert again.status == 422 and "Another desk of this office has this short name" in again.text
    with app.app_context():
        desk = db.session.scalars(select(Desk).where(Desk.office_id == office.id)).one()
        assert (desk.step_minutes, desk.buffer_minutes, len(desk.counters)) == (10, 5, 1)
        assert desk.counters[0].number == 3  # numbered through the town


def test_counters_that_are_added_do_what_the_desk_does(app: Flask, town: Town, management: None) -> None:
    mia = signed_in(app, "mia")
    page = mia.get(f"{ADMIN}/desks/{town.desk_id}")

    mia.send(page.form("/counters"), count="3")

    with app.app_context():
        counters = db.session.scalars(select(Counter).where(Counter.desk_id == town.desk_id)).all()
        newest = max(counter.id for counter in counters)
        does = db.session.scalars(select(CounterService.service_id).where(CounterService.counter_id == newest)).all()
        assert [counter.number for counter in counters] == [1, 2, 3, 4, 5]
        assert set(does) == {town.passport_id, town.wedding_id}


def test_who_does_what_is_ticked(app: Flask, town: Town, management: None) -> None:
    mia = signed_in(app, "mia")
    first, second = town.counter_ids
    form = only_form(mia.get(f"{ADMIN}/desks/{town.desk_id}/services"))
    wanted = [f"{first}.{town.passport_id}", f"{second}.{town.passport_id}", f"{second}.{town.wedding_id}", "9.9", "x"]

    mia.post(f"{ADMIN}/desks/{town.desk_id}/services", {"csrf_token": form.values["csrf_token"], "doing": wanted})

    with app.app_context():
        does = db.session.scalars(select(CounterService.counter_id).where(CounterService.service_id == town.wedding_id))
        assert list(does) == [second]


def test_a_service_is_changed_in_every_language_and_previewed_before(app: Flask, town: Town, management: None) -> None:
    mia = signed_in(app, "mia")
    path = f"/services/{town.passport_id}"
    typed = {"name-fr": "Passeport neuf", "minutes": "20", "fee": "75,50", "desk_key": "civil"}
    typed |= {f"bring-{code}": "photo\nidentity card" for code in ("nl", "fr", "de", "en")}

    preview = fill(mia, path, preview="fr", **typed)

    assert preview.status == 200
    assert "Passeport neuf" in preview.text and "20 minutes" in preview.text
    with app.app_context():
        assert db.session.get_one(Service, town.passport_id).minutes == 15
    assert fill(mia, path, **typed).status == 303
    with app.app_context():
        row = db.session.get_one(Service, town.passport_id)
        assert (row.minutes, str(row.fee), row.text("fr").name) == (20, "75.50", "Passeport neuf")
        assert row.text("nl").bring == ["photo", "identity card"]


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ({"minutes": "17"}, "a multiple of five"),
        ({"bring-nl": "one\ntwo"}, "the same number of things in every language"),
        ({"name-de": ""}, "Name: write it in Deutsch."),
        ({"fee": "a lot"}, "Enter an amount like 12.50"),
        ({"key": "wedding"}, "Another service has this short name"),
        ({"key": "A pass!"}, "Enter a short name"),
    ],
)
def test_a_service_that_cannot_be_is_refused(
    app: Flask, town: Town, management: None, typed: dict[str, str], words: str
) -> None:
    page = fill(signed_in(app, "mia"), f"/services/{town.passport_id}", desk_key="civil", **typed)

    assert page.status == 422
    assert words in page.text


def test_a_new_service_can_be_booked_where_its_department_is(app: Flask, town: Town, management: None) -> None:
    texts = {f"{field}-{code}": "Stempel" for field in ("name", "summary", "who") for code in ("nl", "fr", "de", "en")}
    mia = signed_in(app, "mia")

    fill(mia, "/services/new", key="stamp", desk_key="civil", **texts)

    assert "First free time" in mia.get("/testdorp/en/service/stamp").text


def test_removal_is_confirmed_by_typing_the_name(app: Flask, town: Town, management: None) -> None:
    mia = signed_in(app, "mia")
    path = f"/remove/service/{town.wedding_id}"

    assert fill(mia, path, typed="passport").status == 422
    assert fill(mia, path, typed="wedding (EN)").status == 303

    with app.app_context():
        assert db.session.get(Service, town.wedding_id) is None


def test_what_has_appointments_is_not_removed_and_a_way_on_is_said(app: Flask, town: Town, management: None) -> None:
    appointment(app, town)
    mia = signed_in(app, "mia")
    token = only_form(mia.get(f"{ADMIN}/offices/new")).values["csrf_token"]

    for path, name, belongs, way in (
        (f"/remove/service/{town.passport_id}", "Passport (en)", "1 appointment", "/offices"),
        (f"/remove/counter/{town.counter_ids[0]}", "Counter 1", "1 appointment", f"/hours?office={town.office_id}"),
        (f"/remove/desk/{town.desk_id}", "Civil registry", "2 counters", f"/desks/{town.desk_id}"),
        (f"/remove/office/{town.office_id}", "Town hall", "1 desk", f"/offices/{town.office_id}"),
    ):
        asked = mia.get(f"{ADMIN}{path}")
        tried = mia.post(f"{ADMIN}{path}", {"csrf_token": token, "typed": name})
        for page in (asked, tried):
            assert "It cannot be removed" in page.text and belongs in page.text, path
            assert f"{ADMIN}{way}" in page.links, path
            assert "typed" not in {field for form in page.forms for field in form.values}
        assert (asked.status, tried.status) == (200, 409), path

    with app.app_context():
        assert db.session.get_one(Office, town.office_id).desks


def test_what_goes_away_with_a_desk_is_said_before(app: Flask, town: Town, management: None) -> None:
    with app.app_context():
        desk = make_desk(db.session.get_one(Office, town.office_id), "building")
        made_at = datetime(2026, 11, 20, tzinfo=UTC)
        db.session.add(Feed(municipality_id=town.municipality_id, desk_id=desk.id, name="Wall", made_at=made_at))
        make_staff(town.municipality_id, "eve@testdorp.example.org", Role.CLERK, desk.id)
        db.session.commit()
        path = f"/remove/desk/{desk.id}"
    mia = signed_in(app, "mia")

    page = mia.get(f"{ADMIN}{path}")
    assert "1 calendar: programs that follow it lose it" in page.text and "1 role of staff at it" in page.text
    assert fill(mia, path, typed="Civil registry").status == 303

    with app.app_context():
        assert db.session.scalars(select(Feed)).all() == []


def test_an_office_goes_with_the_closures_it_had(app: Flask, town: Town, management: None) -> None:
    with app.app_context():
        office = make_office(db.session.get_one(Municipality, town.municipality_id), 2)
        office.names = {"en": "Library"}
        at = datetime(2026, 1, 1, tzinfo=UTC)
        db.session.add(Closure(office_id=office.id, starts_at=at, ends_at=at + timedelta(days=1), reasons={}))
        db.session.commit()
        path = f"/remove/office/{office.id}"
    mia = signed_in(app, "mia")

    assert "1 closure" in mia.get(f"{ADMIN}{path}").text
    assert fill(mia, path, typed="Library").status == 303

    with app.app_context():
        assert db.session.scalars(select(Closure)).all() == []


def test_lists_are_searched(app: Flask, town: Town, management: None) -> None:
    mia = signed_in(app, "mia")

    page = mia.get(f"{ADMIN}/services?q=PÁSSPORT")

    assert "Passport (en)" in page.text and "Wedding (en)" not in page.text and "1 of 2" in page.text
