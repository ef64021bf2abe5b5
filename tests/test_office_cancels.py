"""The office cancels on the day: what it says before, whom it tells, undo, and calls and moves at the same moment."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import func, select

from booking.appointments.agenda import found
from booking.appointments.booking import move
from booking.appointments.models import Appointment, AppointmentState, Occupancy, Visit, VisitState
from booking.appointments.recount import recount
from booking.appointments.visits import NotNow, take_step
from booking.db import begin_write, db
from booking.delivery.wording import wording
from booking.links import own_path, token
from booking.outbox.models import Kind, Message, MessageState
from booking.outbox.queue import due_ids
from booking.planning.by_office import cancel_by_office
from booking.planning.models import Adjustment, Cause
from booking.staff.audit import citizen_of
from booking.staff.models import AuditLine
from booking.townhall.models import Office
from booking.web.staff.cancel import CAUSES
from tests.conftest import KEYS, Clock
from tests.factories import Town
from tests.pages import Page, Visitor
from tests.test_races import REFUSALS, Call, together
from tests.test_staff_pages import TODAY, appointment, people, signed_in
from tests.test_visits import NINE, TEN, desk, press, subject

__all__ = ["desk", "people"]
pytestmark = pytest.mark.counter

ROUNDS = 5
A_MINUTE = timedelta(minutes=1)


def asked(visitor: Visitor, id: int) -> Page:
    return visitor.get(f"/testdorp/staff/appointment/{id}/cancel")


def form_of(page: Page) -> dict[str, str]:
    return next(form.values for form in page.forms if "seen" in form.values)


def post(visitor: Visitor, id: int, cause: str = "illness") -> Page:
    """Asks, chooses a cause and confirms."""
    values = {**form_of(asked(visitor, id)), "cause": cause}
    return visitor.post(f"/testdorp/staff/appointment/{id}/cancel", values)


def news(id: int) -> Message:
    query = select(Message).where(Message.subject_id == id, Message.kind == Kind.CANCELLATION)
    return db.session.scalars(query.order_by(Message.id.desc())).first() or pytest.fail("no message")


@pytest.mark.usefixtures("people")
def test_the_page_says_what_it_will_do_and_wants_a_reason(app: Flask, town: Town) -> None:
    id, alice = appointment(app, town), signed_in(app, "alice")
    assert f"/testdorp/staff/appointment/{id}/cancel" in alice.get(f"{TODAY}{town.desk_id}?open={id}").links

    page = asked(alice, id)

    assert "Zoë Janssens" in page.text and "The visitor is told by e-mail, with the reason" in page.text
    assert "The message waits 5 minutes: until then all of it can be undone." in page.text
    page = alice.post(f"/testdorp/staff/appointment/{id}/cancel", form_of(page))
    assert page.status == 422 and "Choose a reason." in page.text
    with app.app_context():
        assert db.session.get_one(Appointment, id).is_booked


@pytest.mark.usefixtures("people")
def test_the_citizen_is_told_why_the_time_is_free_and_the_log_knows(app: Flask, town: Town, clock: Clock) -> None:
    id, alice = appointment(app, town), signed_in(app, "alice")

    page = alice.follow(post(alice, id, "fault"))

    assert "Cancelled by the office" in page.text and "Something that the counter needs does not work" in page.text
    assert "The visitor is told at 09:05." in page.text
    assert "free from 10:00" in alice.get(f"{TODAY}{town.desk_id}").text
    with app.app_context():
        message = news(id)
        assert due_ids(message.channel, clock.now, 10) == []
        assert due_ids(message.channel, clock.now + 5 * A_MINUTE, 10) == [message.id]
        line = db.session.scalars(select(AuditLine).where(AuditLine.action == "cancel")).one()
        assert line.staff_id and line.origin and line.details == {"cause": "fault"}
        kept = db.session.scalars(select(Occupancy)).all()
        assert all(one.appointment_id is None and one.expires_at for one in kept)  # given back as elsewhere
        db.session.rollback()
        assert recount(town.municipality_id, clock.now).findings == []
    with app.test_request_context("/testdorp/"):
        path = own_path("en", token(KEYS, "booking", 1, 1))
    assert "something that we need at the counter does not work" in Visitor(app).get(f"/testdorp{path}").text


@pytest.mark.parametrize(
    ("cause", "words"),
    [
        (Cause.ILLNESS, "De reden: iemand aan het loket is ziek."),
        (Cause.CLOSING, "De reden: het loket moet vroeger sluiten."),
        (Cause.ASKED, "Zoals u vroeg"),
        (Cause.OTHER, "Onze excuses."),
    ],
)
def test_the_message_gives_the_reason_in_the_citizens_language(
    app: Flask, desk: Town, cause: Cause, words: str
) -> None:
    id = appointment(app, desk)
    with app.app_context():
        one = subject(id, desk)
        cancel_by_office(one, cause, 0, press().actor, NINE)

        said = wording(Kind.CANCELLATION, [one], app.extensions["balie"]["settings"])

        assert words in said.text and words in said.html
        assert ("excuses" in said.text) == (cause != Cause.ASKED)


def test_every_cause_has_words_for_staff() -> None:
    assert set(CAUSES) == set(Cause)


@pytest.mark.usefixtures("people")
def test_it_is_undone_while_the_message_waits_and_nobody_was_told(app: Flask, town: Town, clock: Clock) -> None:
    id, alice = appointment(app, town), signed_in(app, "alice")
    page = alice.follow(post(alice, id))

    page = alice.follow(alice.send(page.form("/restore")))

    assert "expected" in page.text and "Cancelled by the office" not in page.text
    with app.app_context():
        assert db.session.get_one(Appointment, id).is_booked
        assert news(id).state == MessageState.DROPPED
        db.session.rollback()
        assert recount(town.municipality_id, clock.now).findings == []


@pytest.mark.usefixtures("people")
def test_what_the_citizen_was_told_is_not_taken_back(app: Flask, town: Town) -> None:
    id, alice = appointment(app, town), signed_in(app, "alice")
    page = alice.follow(post(alice, id))
    form = page.form("/restore")
    with app.app_context():
        begin_write()
        news(id).state = MessageState.SENT
        db.session.commit()

    page = alice.send(form)

    assert page.status == 409 and "The visitor has been told already." in page.text
    assert "/restore" not in str(alice.get(f"{TODAY}{town.desk_id}?open={id}").forms)


@pytest.mark.usefixtures("people")
def test_the_message_can_go_at_once(app: Flask, town: Town, clock: Clock) -> None:
    id, alice = appointment(app, town), signed_in(app, "alice")
    page = alice.follow(post(alice, id))

    page = alice.follow(alice.send(page.form("/tell")))

    assert "The visitor is told at" not in page.text
    with app.app_context():
        assert news(id).due_at == clock.now


@pytest.mark.usefixtures("people")
def test_who_left_no_contact_cannot_be_told_and_the_page_says_so(app: Flask, town: Town) -> None:
    id, alice = appointment(app, town), signed_in(app, "alice")
    with app.app_context():
        begin_write()
        booking = db.session.get_one(Appointment, id).booking
        booking.email = booking.email_key = None
        db.session.commit()

    assert "nobody can tell them" in asked(alice, id).text
    page = alice.follow(post(alice, id))

    assert alice.send(page.form("/restore")).status == 303


@pytest.mark.usefixtures("people")
def test_a_late_one_can_be_cancelled_but_not_one_who_has_come_nor_yesterdays(
    app: Flask, town: Town, clock: Clock
) -> None:
    id, alice = appointment(app, town), signed_in(app, "alice")
    with app.app_context():
        begin_write()
        take_step("arrive", subject(id, town), press(at=NINE))
        db.session.commit()
    page = asked(alice, id)
    assert page.status == 409 and "The visitor has arrived already." in page.text

    form = next(form for form in alice.get(f"{TODAY}{town.desk_id}?open={id}").forms if "open" in form.values)
    alice.post(f"/testdorp/staff/appointment/{id}/undo", form.values)
    clock.now = TEN + 20 * A_MINUTE
    assert post(alice, id).status == 303
    alice.send(alice.get(f"{TODAY}{town.desk_id}?open={id}").form("/restore"))

    clock.advance(days=1)
    assert asked(alice, id).status == 409


@pytest.mark.usefixtures("people")
def test_a_second_click_acts_once_and_an_old_page_not_at_all(app: Flask, town: Town) -> None:
    id, alice, bob = appointment(app, town), signed_in(app, "alice"), signed_in(app, "bob")
    path = f"/testdorp/staff/appointment/{id}/cancel"
    hers, his = ({**form_of(asked(visitor, id)), "cause": "illness"} for visitor in (alice, bob))

    assert [alice.post(path, hers).status for _ in range(2)] == [303, 303]
    page = bob.post(path, his)

    assert page.status == 409 and "The appointment has been cancelled." in page.text
    with app.app_context():
        assert db.session.scalar(select(func.count()).select_from(Adjustment)) == 1


@pytest.mark.usefixtures("people")
def test_one_that_the_citizen_moved_meanwhile_is_not_cancelled(app: Flask, town: Town) -> None:
    id, alice = appointment(app, town), signed_in(app, "alice")
    values = {**form_of(asked(alice, id)), "cause": "illness"}
    with app.app_context():
        begin_write()
        one = db.session.get_one(Appointment, id)
        office = db.session.get_one(Office, town.office_id)
        move(one, office, TEN + 60 * A_MINUTE, citizen_of(town.municipality_id), NINE - timedelta(days=1))
        db.session.commit()

    assert alice.post(f"/testdorp/staff/appointment/{id}/cancel", values).status == 409
    with app.app_context():
        assert db.session.get_one(Appointment, id).is_booked


def call(id: int, town: Town) -> None:
    take_step("call", subject(id, town), press("bob", counter=town.counter_ids[0]))


def serve(id: int, town: Town) -> None:
    take_step("serve", subject(id, town), press())


def cancel_one(id: int, town: Town, who: str) -> None:
    one = found(town.municipality_id, id)
    assert one is not None
    cancel_by_office(one, Cause.FAULT, 0, press(who).actor, TEN)


@pytest.mark.races
@pytest.mark.parametrize("rival", ["call", "colleague"])
def test_of_two_who_act_at_once_one_is_refused(app: Flask, desk: Town, rival: str) -> None:
    starts = [TEN + n // 2 * timedelta(minutes=30) for n in range(ROUNDS)]
    ids = [appointment(app, desk, f"Citizen {n}", at) for n, at in enumerate(starts)]
    assert NotNow in REFUSALS
    for id in ids:
        other: Call = (call, (id, desk)) if rival == "call" else (cancel_one, (id, desk, "bob"))

        done = together(app, [(cancel_one, (id, desk, "alice")), other])

        assert Counter(done) == {"done": 1, "NotNow": 1}
        with app.app_context():
            one, visit = subject(id, desk), db.session.scalars(select(Visit).where(Visit.appointment_id == id)).first()
            is_called = visit is not None and visit.state == VisitState.CALLED
            assert is_called == (one.state == AppointmentState.BOOKED)
        if is_called:
            assert together(app, [(serve, (id, desk))]) == ["done"]  # the counter is free for the next round


def test_the_time_of_day_is_not_asked(app: Flask, desk: Town) -> None:
    """An appointment of a day to come can be cancelled as well."""
    tomorrow: datetime = TEN + timedelta(days=1)
    id = appointment(app, desk, start=tomorrow)
    with app.app_context():
        cancel_by_office(subject(id, desk), Cause.ASKED, 0, press().actor, NINE)
        assert not subject(id, desk).is_booked
