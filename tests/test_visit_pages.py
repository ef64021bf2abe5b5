"""Several services in one visit, as a visitor without JavaScript meets the pages."""

from __future__ import annotations

from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import func, select

from booking.appointments.models import Appointment, Booking, Hold
from booking.db import db
from booking.townhall.models import CounterService, Service
from tests.conftest import Clock
from tests.pages import Page, Visitor
from tests.test_together import SLUG, make_visit_town

pytestmark = pytest.mark.citizen

ALICE = {"name": "Alice Peeters", "reach": "email", "email": "alice@example.org", "phone": ""}
HOME = f"/{SLUG}/en/"
THREE = f"{HOME}visit?service=economy-service.1&service=civil-service.2&service=building-service.1"


@pytest.fixture
def visitor(app: Flask) -> Visitor:
    with app.app_context():
        make_visit_town()
    return Visitor(app)


def details(visitor: Visitor, button: int = 0) -> Page:
    return visitor.follow(visitor.press(visitor.get(THREE).form("/hold"), button))


def booked(visitor: Visitor) -> Page:
    return visitor.follow(visitor.send(details(visitor).forms[-1], **ALICE))


def test_a_quiet_link_on_the_service_page_leads_to_one_more_service(visitor: Visitor) -> None:
    service = visitor.get(f"{HOME}service/civil-service?people=2")
    add = visitor.get(service.link("/visit/add?service=civil-service.2"))
    found = visitor.get(f"{add.forms[0].action}?service=civil-service.2&q=building")

    visit = visitor.get(found.link("visit?service=civil-service.2&service=building-service.1"))

    assert "Several services, one visit" in visit.text
    assert "First free time" in visit.text
    assert "5 minutes to walk" in visit.text


def test_the_page_of_a_visit_shows_its_desks_in_their_order(visitor: Visitor) -> None:
    page = visitor.get(THREE)

    plan = page.text.split("This is the first visit")[1]
    order = [plan.index(f"{name}-Service (en)") for name in ("Civil", "Building", "Economy")]
    assert order == sorted(order)
    assert page.text.count("identity card") == 1  # one list of documents


def test_a_service_is_taken_out_and_people_are_counted(visitor: Visitor) -> None:
    page = visitor.get(THREE)

    fewer = visitor.get(page.link("visit?service=civil-service.2&service=building-service.1"))
    one = visitor.get(fewer.link("service/building-service?people=1"))

    assert "Economy-Service" not in fewer.text
    assert one.status == 200
    assert visitor.get(f"{HOME}visit?service=civil-service.2").location.endswith("service/civil-service?people=2")
    assert visitor.get(f"{HOME}visit?service=nothing.1&service=civil-service").status == 404
    assert visitor.get(f"{HOME}visit").location.endswith("/services")


def test_a_visit_is_held_booked_moved_and_cancelled(visitor: Visitor, app: Flask) -> None:
    form = details(visitor)
    assert "counter 1" in form.text and "minutes to walk" in form.text

    own = visitor.follow(visitor.send(form.forms[-1], **ALICE))
    assert "Your visit" in own.text
    assert own.text.count("Code ") == 1
    moved = visitor.follow(visitor.press(visitor.get(own.link("/visit/move")).form("/visit/move"), 3))
    assert "Your appointment has been moved" in moved.text
    gone = visitor.follow(visitor.send(visitor.get(moved.link("/visit/cancel")).form("/visit/cancel")))

    assert "Your appointment is cancelled" in gone.text
    with app.app_context():
        assert db.session.scalar(select(func.count()).select_from(Booking)) == 1
        assert set(db.session.scalars(select(Appointment.sequence))) == {2}


def test_one_desk_of_a_visit_is_cancelled_by_itself(visitor: Visitor, app: Flask) -> None:
    own = booked(visitor)
    with app.app_context():
        id = db.session.scalars(select(Appointment.id).order_by(Appointment.starts_at.desc())).first()

    rest = visitor.follow(visitor.send(visitor.get(own.link(f"/{id}/cancel")).form("/cancel")))

    assert "Your visit" in rest.text
    assert "This appointment is cancelled" in rest.text
    with app.app_context():
        assert sorted(one.is_booked for one in db.session.scalars(select(Appointment))) == [False, True, True]


def test_a_calendar_file_has_an_entry_for_each_desk(visitor: Visitor) -> None:
    own = booked(visitor)

    assert visitor.get(own.link("appointment.ics")).response.data.count(b"BEGIN:VEVENT") == 3


def test_a_visit_that_was_taken_is_a_kind_409_with_the_nearest_times(visitor: Visitor, app: Flask) -> None:
    form = visitor.get(THREE).form("/hold")
    for _ in range(2):
        other = Visitor(app)
        other.press(other.get(THREE).form("/hold"), 0)

    late = visitor.press(form, 0)

    assert late.status == 409
    assert "Somebody was just faster" in late.text
    assert visitor.press(late.forms[0]).status == 303


def test_more_time_for_a_visit_keeps_what_was_typed(visitor: Visitor, clock: Clock) -> None:
    form = details(visitor).forms[-1]
    clock.advance(minutes=15)

    extended = visitor.follow(visitor.post(f"{form.action}/extend", {**form.values, **ALICE}))

    assert "until 09:35" in extended.text
    assert extended.forms[-1].values["name"] == "Alice Peeters"


def test_services_that_combine_share_one_appointment(visitor: Visitor, app: Flask) -> None:
    with app.app_context():
        civil, building = db.session.scalars(select(Service).order_by(Service.id).limit(2))
        for service in (civil, building):
            service.combines, service.comes_after, service.minutes = "papers", [], 10
        does = select(CounterService.counter_id).where(CounterService.service_id == civil.id)
        also = [CounterService(counter_id=id, service_id=building.id) for id in db.session.scalars(does)]
        db.session.add_all(also)
        db.session.commit()
        other = [[building.id, 1]]
    page = visitor.get(f"{HOME}visit?service=civil-service.2&service=building-service.1")
    assert "One counter does all of this" in page.text

    own = visitor.follow(visitor.send(visitor.follow(visitor.press(page.form("/hold"))).forms[-1], **ALICE))

    assert "25 minutes" in own.text
    assert "Civil-Service (en), 2 people; Building-Service (en)" in own.text
    with app.app_context():
        assert [len(one.items) for one in db.session.scalars(select(Appointment))] == [2]
        assert [one.others for one in db.session.scalars(select(Hold))] == [other]


def test_nonsense_in_the_form_of_a_visit_is_refused(visitor: Visitor) -> None:
    form = visitor.get(THREE).form("/hold")
    name, value = form.buttons[0]

    assert visitor.send(form, **{name: value}, items="nothing.1").status == 404
    for slot in ("", "1", "1.x", "999999.5967000"):
        assert visitor.send(form, slot=slot).status in (400, 404, 409)


def test_who_is_too_late_to_move_is_told_until_when_and_what_to_do(visitor: Visitor, app: Flask, clock: Clock) -> None:
    with app.app_context():
        for service in db.session.scalars(select(Service)):
            service.move_hours, service.cancel_hours = 3, 1
        db.session.commit()
    own = booked(visitor)
    own = visitor.get(own.response.request.path)
    assert "You can move it until" in own.text and "You can cancel it until" in own.text
    move, cancel = own.link("/visit/move"), own.link("/visit/cancel")
    with app.app_context():
        begins = db.session.scalars(select(Appointment.starts_at).order_by(Appointment.starts_at)).first()
    assert begins is not None

    clock.now = begins - timedelta(hours=2)
    late = visitor.get(move)
    assert late.status == 409
    assert "It is too late to move this here" in late.text
    assert visitor.get(cancel).status == 200
    assert "Call us: we look for another time with you." in visitor.get(own.response.request.path).text

    clock.now = begins - timedelta(minutes=30)
    assert "It is too late to cancel this here" in visitor.get(cancel).text
    assert "It is too late to change this here" in visitor.get(own.response.request.path).text
    clock.now = begins + timedelta(minutes=1)
    assert "can no longer be changed" in visitor.get(move).text


def test_reference_and_code_open_the_whole_visit(visitor: Visitor, app: Flask) -> None:
    own = booked(visitor)
    with app.app_context():
        reference = db.session.scalars(select(Booking.reference)).one()
    code = own.text.split("Code ")[1][:4]

    found = visitor.follow(visitor.send(visitor.get(f"{HOME}find").form("/find"), reference=reference or "", code=code))

    assert "Your visit" in found.text
    assert found.link("/visit/move") and found.link("/visit/cancel")
