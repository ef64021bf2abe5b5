"""The waiting room: kiosks and screens, how they are signed in and out, and what they show and do not show."""

from __future__ import annotations

from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import func, select

from booking import links
from booking.appointments.models import Appointment, Visit
from booking.appointments.visits import take_step, take_ticket, undo
from booking.db import begin_write, db
from booking.staff.models import AuditLine, Device, DeviceKind, Role
from booking.townhall.models import Desk, Office, Service
from booking.web.device.kiosk import NUMBERS
from tests.conftest import KEYS, Clock
from tests.factories import Town, make_desk, make_office, make_staff, make_town
from tests.pages import Page, Visitor
from tests.test_staff_pages import appointment, people, signed_in
from tests.test_visits import NINE, TEN, desk, press, subject

__all__ = ["desk", "people"]
pytestmark = pytest.mark.counter

KIOSK = "/testdorp/en/device/kiosk"
DISPLAY = "/testdorp/en/device/display"


def add(app: Flask, town: Town, kind: DeviceKind) -> int:
    with app.app_context():
        device = Device(office_id=town.office_id, kind=kind, name="Hall", made_at=NINE)
        db.session.add(device)
        db.session.get_one(Service, town.passport_id).walk_in = "yes"
        db.session.commit()
        return device.id


def link(id: int, generation: int = 1) -> str:
    return f"/testdorp/device/{links.token(KEYS, 'device', id, generation)}"


def opened(app: Flask, address: str) -> Visitor:
    """The device on which the link was opened and the button pressed."""
    visitor = Visitor(app)
    assert visitor.post(address, visitor.get(address).forms[0].values).status == 303
    return visitor


@pytest.fixture
def kiosk(app: Flask, desk: Town) -> Visitor:
    return opened(app, link(add(app, desk, DeviceKind.KIOSK)))


@pytest.fixture
def screen(app: Flask, desk: Town) -> Visitor:
    return opened(app, link(add(app, desk, DeviceKind.DISPLAY)))


def show(kiosk: Visitor, code: str) -> Page:
    page = kiosk.get(f"{KIOSK}/appointment")
    form = next(form for form in page.forms if "code" in form.values)
    form.action = f"{KIOSK}/appointment"
    return kiosk.send(form, code=code)


def codes(app: Flask, id: int) -> dict[str, str]:
    with app.app_context():
        booking = db.session.get_one(Appointment, id).booking
        token = links.token(KEYS, "booking", booking.id, booking.generation)
        return {
            "reference": (booking.reference or "").lower(),
            "digits": links.code(KEYS[0], booking.id, booking.generation),
            "qr": f"http://localhost/testdorp{links.own_path('en', token)}",
        }


@pytest.mark.parametrize("how", ["reference", "digits", "qr"])
def test_who_has_an_appointment_checks_in(app: Flask, desk: Town, kiosk: Visitor, how: str) -> None:
    id = appointment(app, desk)

    page = kiosk.follow(show(kiosk, codes(app, id)[how]))

    assert "Your number 1" in page.text and "Zoë" not in page.text
    with app.app_context():
        visit = db.session.scalars(select(Visit)).one()
        assert (visit.state, visit.appointment_id) == ("arrived", id)
        assert db.session.scalars(select(AuditLine.actor).where(AuditLine.action == "arrive")).all() == ["device"]


def test_checking_in_twice_shows_the_same_number(app: Flask, desk: Town, kiosk: Visitor) -> None:
    id = appointment(app, desk)
    answers = [show(kiosk, codes(app, id)["reference"]) for _ in range(2)]

    assert answers[0].location == answers[1].location
    with app.app_context():
        assert len(db.session.scalars(select(Visit)).all()) == 1


def test_another_day_another_office_and_nonsense_are_said(app: Flask, desk: Town, kiosk: Visitor) -> None:
    tomorrow = codes(app, appointment(app, desk, start=TEN + timedelta(days=1)))

    assert "Your appointment is on Tuesday 24 November, 10:00" in show(kiosk, tomorrow["qr"]).text
    by_reference = show(kiosk, tomorrow["reference"]).text
    assert "You have no appointment here today. Please go to the reception." in by_reference
    assert "24 November" not in by_reference and "10:00" not in by_reference
    assert "We do not find an appointment" in show(kiosk, "ABCDEFG").text
    assert "We do not find an appointment" in show(kiosk, "").text
    with app.app_context():
        assert db.session.scalars(select(Visit)).all() == []


def test_guessing_is_slowed_down(app: Flask, desk: Town, kiosk: Visitor) -> None:
    for _ in range(30):
        assert show(kiosk, "0000").status == 422

    assert show(kiosk, "0000").status == 429


def test_who_has_no_appointment_takes_a_number(app: Flask, desk: Town, kiosk: Visitor) -> None:
    page = kiosk.get(f"{KIOSK}/walk-in")
    assert "Civil registry" in page.text
    choice = kiosk.get(f"{KIOSK}/walk-in/{desk.desk_id}")
    assert "Passport (en)" in choice.text and "Wedding" not in choice.text
    form = next(form for form in choice.forms if form.buttons)
    form.action = f"{KIOSK}/walk-in/{desk.desk_id}"

    number = kiosk.follow(kiosk.press(form, 1))
    question = kiosk.follow(kiosk.press(form, 0))

    assert "Your number 1" in number.text and "You will be called at about 09:00." in number.text
    assert "Your number 2" in question.text and "1 person is before you" in question.text


def test_a_kiosk_gives_no_more_numbers_than_people_can_take(
    app: Flask, desk: Town, kiosk: Visitor, clock: Clock
) -> None:
    address = f"{KIOSK}/walk-in/{desk.desk_id}"
    form = next(form for form in kiosk.get(address).forms if form.buttons)
    form.action = address
    for _ in range(NUMBERS):
        assert kiosk.press(form, 0).status == 303

    refused = kiosk.press(form, 0)

    assert refused.status == 429 and "Please go to the reception" in refused.text
    with app.app_context():
        assert db.session.scalar(select(func.count()).select_from(Visit)) == NUMBERS
    clock.advance(minutes=15)
    assert kiosk.press(form, 0).status == 303


def test_a_screen_is_no_kiosk_and_a_kiosk_no_screen(app: Flask, desk: Town, kiosk: Visitor, screen: Visitor) -> None:
    form = next(form for form in kiosk.get(f"{KIOSK}/walk-in/{desk.desk_id}").forms if form.buttons)

    assert kiosk.get(DISPLAY).status == 404
    for page in (KIOSK, f"{KIOSK}/appointment", f"{KIOSK}/walk-in", f"{KIOSK}/walk-in/{desk.desk_id}"):
        assert screen.get(page).status == 404
    for page in (f"{KIOSK}/appointment", f"{KIOSK}/walk-in/{desk.desk_id}"):
        assert screen.post(page, form.values).status in (400, 404)
    with app.app_context():
        assert db.session.scalars(select(Visit)).all() == []


def test_the_screen_shows_numbers_and_counters_and_never_names(app: Flask, desk: Town, screen: Visitor) -> None:
    assert "Your number will be shown here" in screen.get(DISPLAY).text
    id = appointment(app, desk)
    with app.app_context():
        begin_write()
        for _ in range(4):
            visit = take_ticket(db.session.get_one(Desk, desk.desk_id), None, 1, press(at=NINE))
            take_step("serve", take_step("call", visit, press(counter=desk.counter_ids[0])), press())
        take_step("arrive", subject(id, desk), press())
        take_step("call", subject(id, desk), press(counter=desk.counter_ids[1]))
        db.session.commit()

    page = screen.get(DISPLAY)

    assert "Number 5 Counter 2" in page.text
    assert "4 → counter 1 3 → counter 1 2 → counter 1" in page.text
    assert "Zoë" not in page.response.text and "Passport" not in page.response.text
    etag = page.response.headers["ETag"]
    assert screen.get(DISPLAY, **{"If-None-Match": etag}).status == 304

    with app.app_context():
        begin_write()
        undo(subject(id, desk), press())
        db.session.commit()
    assert "Number 4 Counter 1" in screen.get(DISPLAY, **{"If-None-Match": etag}).text  # a call taken back is none


def test_yesterdays_calls_are_gone(app: Flask, desk: Town, screen: Visitor, clock: Clock) -> None:
    with app.app_context():
        begin_write()
        visit = take_ticket(db.session.get_one(Desk, desk.desk_id), None, 1, press(at=NINE))
        take_step("call", visit, press(counter=desk.counter_ids[0]))
        db.session.commit()
    clock.advance(days=1)

    assert "Your number will be shown here" in screen.get(DISPLAY).text


def test_a_link_that_is_only_looked_at_signs_nothing_in(app: Flask, desk: Town) -> None:
    visitor = Visitor(app)
    assert visitor.get(link(add(app, desk, DeviceKind.KIOSK))).status == 200
    assert visitor.get(KIOSK).status == 404


def test_a_link_signs_one_browser_in_and_no_other(app: Flask, desk: Town) -> None:
    address = link(add(app, desk, DeviceKind.KIOSK))
    device, other = Visitor(app), Visitor(app)
    waiting = other.get(address).forms[0].values
    assert device.post(address, device.get(address).forms[0].values).status == 303

    assert other.post(address, waiting).status == other.get(address).status == 410

    assert (device.get(KIOSK).status, other.get(KIOSK).status) == (200, 404)


@pytest.mark.parametrize("button", ["renew", "end"])
@pytest.mark.usefixtures("people")
def test_a_device_is_signed_out_at_once(app: Flask, town: Town, button: str) -> None:
    id = add(app, town, DeviceKind.KIOSK)
    device, lead = opened(app, link(id)), signed_in(app, "bob")
    assert device.get(KIOSK).status == 200
    page = lead.get("/testdorp/staff/devices")
    assert link(id) not in page.response.text and link(id, 2) in page.response.text

    assert lead.send(page.form(f"/{id}/{button}"), typed="Hall").status == 303

    assert device.get(KIOSK).status == 404
    assert device.get(link(id)).status == device.get(link(id, 2)).status == 410
    assert signed_in(app, "alice").get("/testdorp/staff/devices").status == 404  # a clerk leads nothing


@pytest.mark.usefixtures("people")
def test_a_lead_of_another_office_or_town_has_no_say(app: Flask, town: Town) -> None:
    id = add(app, town, DeviceKind.KIOSK)
    with app.app_context():
        elsewhere = make_desk(make_office(db.session.get_one(Office, town.office_id).municipality, 2))
        make_staff(town.municipality_id, "dora@testdorp.example.org", Role.MANAGER, elsewhere.id)
        other = make_town("elders")
        make_staff(other.municipality_id, "charlie@elders.example.org", Role.ADMINISTRATOR)
        db.session.commit()
    for where, who in (("testdorp", "dora"), ("elders", "charlie")):
        visitor = Visitor(app)
        visitor.sign_in(where, f"{who}@{where}.example.org", "a long password of the tests")
        page = visitor.get(f"/{where}/staff/devices")
        assert page.status == 200 and "Hall" not in page.text
        assert visitor.post(f"/{where}/staff/devices/{id}/end", page.forms[-1].values).status == 404
    visitor = Visitor(app)
    assert visitor.get(link(id).replace("testdorp", "elders")).status == 404


def test_a_device_stays_signed_in_over_a_long_weekend(app: Flask, desk: Town, kiosk: Visitor, clock: Clock) -> None:
    clock.advance(days=4)

    assert "I have an appointment" in kiosk.get(KIOSK).text
