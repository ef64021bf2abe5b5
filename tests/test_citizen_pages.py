"""The citizen's pages as a visitor without JavaScript meets them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from flask import Flask
from sqlalchemy import func, select

from booking.appointments.models import Appointment, Booking, Hold, Occupancy
from booking.db import db
from tests.conftest import Clock
from tests.factories import Town
from tests.pages import Page, Visitor

pytestmark = pytest.mark.citizen

ALICE = {"name": "Alice Peeters", "reach": "email", "email": "alice@example.org", "phone": ""}
HOME = "/testdorp/en/"


@pytest.fixture
def visitor(app: Flask, town: Town) -> Visitor:
    return Visitor(app)


def details(visitor: Visitor, button: int = 0, people: int = 1) -> Page:
    """The form, with the slot behind the n-th button held: 0 is the first free time."""
    service = visitor.get(f"{HOME}service/passport?people={people}")
    return visitor.follow(visitor.press(service.form("/hold"), button))


def booked(visitor: Visitor, **typed: str) -> Page:
    page = details(visitor)
    return visitor.follow(visitor.send(page.form(page.forms[-1].action), **{**ALICE, **typed}))


def own_path(page: Page) -> str:
    return page.response.request.path


def test_the_bare_address_leads_to_the_town_in_the_browsers_language(visitor: Visitor) -> None:
    assert visitor.get("/").location == "/testdorp/"
    assert visitor.get("/testdorp/", **{"Accept-Language": "fr-BE, en;q=0.5"}).location == "/testdorp/fr/"
    assert visitor.get("/testdorp/", **{"Accept-Language": "pt"}).location == "/testdorp/nl/"


def test_a_search_finds_the_service(visitor: Visitor) -> None:
    page = visitor.get(f"{HOME}services?q=pasport")

    assert page.link("/service/passport")


def test_a_search_without_an_answer_says_what_to_do(visitor: Visitor) -> None:
    page = visitor.get(f"{HOME}services?q=xylophone")

    assert page.status == 200
    assert "Nothing has to do with these words" in page.text


def test_the_service_page_says_what_to_know_and_offers_times(visitor: Visitor) -> None:
    page = visitor.get(f"{HOME}service/passport?people=2")

    assert "identity card" in page.text
    assert "25 minutes" in page.text
    assert "First free time" in page.text
    assert "Monday 23 November" in page.text


def test_a_booking_from_the_front_page_to_the_own_page(visitor: Visitor, app: Flask) -> None:
    page = booked(visitor)

    assert page.status == 200
    assert "Your appointment is booked" in page.text
    assert "Monday 23 November, 11:00" in page.text
    assert "We erase your name and contact on Tuesday 1 December" in page.text
    with app.app_context():
        booking = db.session.scalars(select(Booking)).one()
        assert (booking.name, booking.email, booking.channel.value) == ("Alice Peeters", "alice@example.org", "web")


def test_wrong_input_keeps_what_was_typed_and_links_to_the_field(visitor: Visitor) -> None:
    page = details(visitor)
    form = page.forms[-1]

    wrong = visitor.send(form, name="Alice", reach="both", email="not-an-address", phone="12")

    assert wrong.status == 422
    assert wrong.forms[-1].values["name"] == "Alice"
    assert wrong.forms[-1].values["email"] == "not-an-address"
    assert {"#email", "#phone"} <= set(wrong.links)
    assert "Enter an e-mail address like name@example.org." in wrong.text
    assert wrong.text.count("Error:") == 1


@pytest.mark.parametrize("name", ["", "   ", "x" * 121])
def test_a_name_must_be_there_and_not_be_endless(visitor: Visitor, name: str) -> None:
    form = details(visitor).forms[-1]

    assert visitor.send(form, **{**ALICE, "name": name}).status == 422


def test_nobody_need_be_reachable(visitor: Visitor, app: Flask) -> None:
    page = booked(visitor, reach="none", email="left@over.example", phone="0470 12 34 56")

    assert "Write down the reference and the code" in page.text
    with app.app_context():
        booking = db.session.scalars(select(Booking)).one()
        assert booking.email is None and booking.phone is None


def test_a_plus_address_and_a_national_number_are_taken(visitor: Visitor, app: Flask) -> None:
    booked(visitor, reach="both", email="alice+town@example.org", phone="0470 12 34 56")

    with app.app_context():
        booking = db.session.scalars(select(Booking)).one()
        assert (booking.email, booking.phone) == ("alice+town@example.org", "+32470123456")


def test_a_double_click_books_once_and_shows_the_same_page(visitor: Visitor, app: Flask) -> None:
    form = details(visitor).forms[-1]

    first, second = (visitor.send(form, **ALICE) for _ in range(2))

    assert first.location.split("?")[0] == second.location.split("?")[0]
    with app.app_context():
        assert db.session.scalar(select(func.count()).select_from(Appointment)) == 1


def test_a_time_that_was_taken_is_a_kind_409_with_the_nearest_times(app: Flask, town: Town) -> None:
    alice, bob, carol = Visitor(app), Visitor(app), Visitor(app)
    page = carol.get(f"{HOME}service/passport")
    form = page.form("/hold")
    for faster in (alice, bob):
        faster.press(faster.get(f"{HOME}service/passport").form("/hold"), 1)

    late = carol.press(form, 1)

    assert late.status == 409
    assert "Somebody was just faster" in late.text
    assert "The nearest free times" in late.text
    assert carol.press(late.forms[0]).status == 303


def test_what_was_typed_comes_back_when_the_slot_was_lost(app: Flask, town: Town, clock: Clock) -> None:
    carol = Visitor(app)
    form = details(carol, 20).forms[-1]
    clock.advance(minutes=21)  # the hold is over, and both counters are taken by others
    for faster in (Visitor(app), Visitor(app)):
        page = faster.get(f"{HOME}service/passport").form("/hold")
        faster.send(faster.follow(faster.send(page, slot=slot_of(app))).forms[-1], **ALICE)

    lost = carol.send(form, name="Carol", reach="none", email="", phone="")
    again = carol.follow(carol.press(lost.forms[0]))

    assert lost.status == 409
    assert "Nothing you typed is lost" in lost.text
    assert again.forms[-1].values["name"] == "Carol"


def test_what_was_typed_is_not_shown_to_the_next_person(visitor: Visitor, clock: Clock) -> None:
    page = details(visitor)
    visitor.post(f"{page.forms[-1].action}/extend", {**page.forms[-1].values, **ALICE})
    clock.advance(minutes=21)

    assert details(visitor).forms[-1].values["name"] == ""


def slot_of(app: Flask) -> str:
    """The slot of the one hold, as its button says it."""
    with app.app_context():
        held = db.session.scalars(select(Hold).order_by(Hold.id)).first()
        assert held
        return f"{held.counter.desk.office_id}.{int(held.starts_at.timestamp()) // 300}"


def test_more_time_moves_the_end_of_the_hold_and_keeps_the_words(visitor: Visitor, clock: Clock) -> None:
    page = details(visitor)
    assert "until 09:20" in page.text
    clock.advance(minutes=15)

    form = page.forms[-1]
    extended = visitor.follow(visitor.post(f"{form.action}/extend", {**form.values, **ALICE}))

    assert "until 09:35" in extended.text
    assert extended.forms[-1].values["name"] == "Alice Peeters"


def test_a_time_that_was_kept_for_two_hours_is_not_said_to_be_somebody_elses(visitor: Visitor, clock: Clock) -> None:
    form = details(visitor).forms[-1]
    clock.advance(hours=2)

    page = visitor.post(f"{form.action}/extend", {**form.values, **ALICE})

    assert page.status == 409 and "We cannot keep this time for you any longer" in page.text
    assert "Somebody was just faster" not in page.text
    again = visitor.follow(visitor.press(page.forms[0]))
    assert again.forms[-1].values["name"] == "Alice Peeters"


def test_choosing_another_time_gives_the_first_one_back(visitor: Visitor, app: Flask) -> None:
    details(visitor, 1)
    details(visitor, 3)

    with app.app_context():
        assert db.session.scalar(select(func.count()).select_from(Hold)) == 2
        assert db.session.scalar(select(func.count()).select_from(Occupancy)) == 3


def test_an_appointment_is_moved_and_cancelled_from_its_own_page(visitor: Visitor) -> None:
    own = booked(visitor)
    choose = visitor.get(own.link("/move"))
    moved = visitor.follow(visitor.press(choose.form("/move"), 5))
    assert "Your appointment has been moved" in moved.text

    ask = visitor.get(moved.link("/cancel"))
    done = visitor.follow(visitor.send(ask.form("/cancel")))

    assert "Your appointment is cancelled" in done.text
    assert not [link for link in done.links if link.endswith("/move")]


def test_a_get_changes_nothing(visitor: Visitor, app: Flask) -> None:
    own = booked(visitor)
    with app.app_context():
        before = db.session.scalars(select(Appointment.changed_at)).one()

    for link in own.links:
        if link.startswith("/testdorp"):
            visitor.get(link)

    with app.app_context():
        after = db.session.scalars(select(Appointment)).one()
        assert after.is_booked and after.changed_at == before


def test_the_calendar_file_can_be_downloaded(visitor: Visitor) -> None:
    own = booked(visitor)

    answer = visitor.get(own.link("appointment.ics"))

    assert answer.response.mimetype == "text/calendar"
    assert b"BEGIN:VEVENT" in answer.response.data


def test_reference_and_code_open_the_booking(visitor: Visitor, app: Flask) -> None:
    own = booked(visitor)
    with app.app_context():
        reference = db.session.scalars(select(Booking.reference)).one()
    code = own.text.split("Code ")[1][:4]

    form = visitor.get(f"{HOME}find").form("/find")
    found = visitor.send(form, reference=f" {reference[:2].lower()}-{reference[2:]} ", code=code)

    assert found.status == 303
    assert found.location == own_path(own)


def test_guessing_a_code_is_slowed_down(visitor: Visitor, app: Flask, clock: Clock) -> None:
    own = booked(visitor)
    with app.app_context():
        reference = db.session.scalars(select(Booking.reference)).one()
    code = own.text.split("Code ")[1][:4]
    wrong = f"{(int(code) + 1) % 10000:04d}"
    form = visitor.get(f"{HOME}find").form("/find")

    tries = [visitor.send(form, reference=reference, code=wrong).status for _ in range(5)]
    assert tries == [422] * 5
    throttled = visitor.send(form, reference=reference, code=code)

    assert throttled.status == 429
    assert "For safety we wait until 09:15" in throttled.text
    clock.advance(minutes=16)
    assert visitor.send(form, reference=reference, code=code).status == 303


def test_a_link_that_was_never_given_out_is_not_found(visitor: Visitor) -> None:
    own = own_path(booked(visitor))

    assert visitor.get(own[:-1] + ("a" if own[-1] != "a" else "b")).status == 404
    assert visitor.get(f"{HOME}b/1-1-x").status == 404
    assert visitor.get(f"{HOME}hold/abc").status == 404


def test_after_its_begin_the_appointment_cannot_be_changed(visitor: Visitor, clock: Clock) -> None:
    own = booked(visitor)
    clock.now = datetime(2026, 11, 23, 10, 30, tzinfo=UTC)

    page = visitor.get(own.link("/cancel"))

    assert page.status == 409
    assert "can no longer be changed" in page.text


def test_nonsense_in_the_address_never_breaks_a_page(visitor: Visitor) -> None:
    for path in ("service/nothing", "services?desk=nothing", "../xx/", "nothing/at/all"):
        assert visitor.get(HOME + path).status == 404
    for query in (
        "people=99",
        "people=x",
        "people=99999999999",
        "from=never",
        "endpoint=x",
        "_method=POST",
        "lang=fr",
        "office=zero",
        "from=9999-12-31",
    ):
        assert visitor.get(f"{HOME}service/passport?{query}").status == 200


def test_nonsense_in_a_form_is_refused(visitor: Visitor) -> None:
    form = visitor.get(f"{HOME}service/passport").form("/hold")

    for slot in ("", "1", "1.x", "999999.5967000", "1.99999999999999", "-1.5", "1.1"):
        assert visitor.send(form, slot=slot).status in (400, 404, 409)
    assert visitor.send(form, slot=form.buttons[0][1], people="99").status == 400
    assert visitor.send(form, slot=form.buttons[0][1], service="nothing").status == 404


def test_a_program_that_fills_in_everything_books_nothing(visitor: Visitor, app: Flask) -> None:
    page = details(visitor)

    caught = visitor.send(page.forms[-1], **ALICE, website="https://spam.example")

    assert caught.status == 422 and "Only programs fill it in." in caught.text
    with app.app_context():
        assert db.session.scalar(select(func.count()).select_from(Booking)) == 0
    assert visitor.send(caught.forms[-1], **ALICE, website="").status == 303  # a person can empty it


def test_a_translation_says_which_language_holds(visitor: Visitor) -> None:
    assert "This page is a translation." in visitor.get(f"{HOME}service/passport").text
    assert visitor.get(f"{HOME}service/passport").link("/nl/service/passport")
    assert "vertaling" not in visitor.get("/testdorp/nl/service/passport").text
