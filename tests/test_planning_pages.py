"""Hours and closures in the browser: whom a change hits, the choice, undo, and what the citizen sees of it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import select

from booking import links
from booking.appointments.booking import cancel
from booking.appointments.models import Appointment, AppointmentState
from booking.db import begin_write, db
from booking.delivery.wording import wording
from booking.links import own_path
from booking.outbox.models import Kind, Message, MessageState
from booking.planning.models import Adjustment, Hit
from booking.spoken import stretch
from booking.staff.audit import citizen_of
from booking.staff.models import Role
from booking.townhall.models import Closure, Municipality, Office, OpeningHours
from booking.townhall.week import Unreadable, stretches_of
from tests.conftest import KEYS
from tests.factories import Town, make_counter, make_desk, make_staff
from tests.pages import Form, Page, Visitor
from tests.test_admin import ADMIN, only_form
from tests.test_staff_pages import appointment, signed_in

pytestmark = pytest.mark.townhall

FRIDAY = datetime(2026, 11, 27, 9, 0, tzinfo=UTC)  # ten o'clock in Brussels


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("9-12", [(540, 720)]),
        ("9:00-12:00, 13.30–16", [(540, 720), (810, 960)]),
        ("13u30 - 16u 9h-12h", [(540, 720), (810, 960)]),
        ("20-24", [(1200, 1440)]),
        ("", []),
    ],
)
def test_hours_are_read_as_people_write_them(text: str, found: list[tuple[int, int]]) -> None:
    assert stretches_of(text) == found


@pytest.mark.parametrize("text", ["9", "12-9", "9-12, 11-14", "9:02-12", "nine to five", "9-25", "9:75-12"])
def test_hours_that_make_no_sense_are_refused(text: str) -> None:
    with pytest.raises(Unreadable):
        stretches_of(text)


def close(visitor: Visitor, town: Town, **typed: object) -> Page:
    """Asks to close the office on Friday."""
    form = only_form(visitor.get(f"{ADMIN}/closures/new?on=2026-11-27"))
    return visitor.post(f"{ADMIN}/closures/new", {**form.values, "offices": str(town.office_id), **typed})


def answer(visitor: Visitor, page: Page, choice: str) -> Page:
    return visitor.post(f"{ADMIN}/closures/new", {**asked(page).values, "all": choice})


def asked(page: Page) -> Form:
    return next(form for form in page.forms if "confirmed" in form.values)


def test_closing_a_day_that_hits_nobody_is_done_at_once_and_can_be_undone(
    app: Flask, town: Town, management: None
) -> None:
    mia = signed_in(app, "mia")

    page = mia.follow(close(mia, town))

    assert "The closure stands." in page.text and "It hit no appointment." in page.text
    mia.send(page.form("/undo"))
    with app.app_context():
        assert db.session.scalar(select(Closure.id)) is None


def test_whom_a_closure_hits_is_shown_before_anything_is_saved(app: Flask, town: Town, management: None) -> None:
    appointment(app, town, start=FRIDAY)
    mia = signed_in(app, "mia")

    page = close(mia, town)

    assert page.status == 200
    assert "This hits 1 appointment" in page.text and "Zoë Janssens" in page.text
    assert "Friday 27 November, 10:00" in page.text and "Thursday 26 November, 15:35" in page.text
    with app.app_context():
        assert db.session.scalar(select(Closure.id)) is None
        assert db.session.scalars(select(Appointment)).one().starts_at == FRIDAY


def test_a_new_time_is_proposed_accepted_and_told(app: Flask, town: Town, management: None) -> None:
    id = appointment(app, town, start=FRIDAY)
    mia = signed_in(app, "mia")

    done = mia.follow(answer(mia, close(mia, town), "move"))

    assert "1 message waits until 09:10" in done.text and "not answered yet" in done.text
    token = links.token(KEYS, "booking", 1, 1)
    citizen = Visitor(app)
    own = citizen.get(f"/testdorp{own_path('en', token)}")
    assert "We cannot receive you on Friday 27 November, 10:00" in own.text
    after = citizen.follow(citizen.send(own.form("/accept")))
    assert "the new time stands" in after.text and "We had to move" not in after.text
    assert "accepted" in mia.get(done.response.request.path).text
    with app.app_context(), app.test_request_context("/testdorp/"):
        row = db.session.get_one(Appointment, id)
        said = wording(Kind.MOVE, [row], app.extensions["balie"]["settings"])
        assert "kan u niet ontvangen" in said.text or "kunnen u niet ontvangen" in said.text


def test_whose_time_was_taken_away_sees_times_that_others_do_not(app: Flask, town: Town, management: None) -> None:
    appointment(app, town, start=FRIDAY)
    with app.app_context():
        db.session.get_one(Municipality, town.municipality_id).freed_minutes = 240
        db.session.commit()
    freed = appointment(app, town, start=FRIDAY + timedelta(days=3), name="Somebody Else")
    other = appointment(app, town, start=FRIDAY + timedelta(days=3), name="A Third")
    mia = signed_in(app, "mia")
    mia.follow(answer(mia, close(mia, town), "move"))
    for id in (freed, other):
        with app.app_context():
            begin_write()
            cancel(
                db.session.get_one(Appointment, id),
                citizen_of(town.municipality_id),
                datetime(2026, 11, 23, 8, tzinfo=UTC),
            )
            db.session.commit()
    wanted = f"{town.office_id}.{int((FRIDAY + timedelta(days=3)).timestamp()) // 300}"
    token = links.token(KEYS, "booking", 1, 1)
    citizen = Visitor(app)

    page = citizen.get(f"/testdorp{own_path('en', token)}/1/move")

    assert ("slot", wanted) in [button for form in page.forms for button in form.buttons]
    assert citizen.send(page.form("/move"), slot=wanted).status == 303
    public = citizen.get("/testdorp/en/service/passport?people=2")
    assert ("slot", wanted) not in [button for form in public.forms for button in form.buttons]


def test_cancelling_all_is_undone_while_the_messages_wait(app: Flask, town: Town, management: None) -> None:
    id = appointment(app, town, start=FRIDAY)
    mia = signed_in(app, "mia")
    done = mia.follow(answer(mia, close(mia, town), "cancel"))
    with app.app_context():
        assert db.session.get_one(Appointment, id).state == AppointmentState.CANCELLED

    page = mia.follow(mia.send(done.form("/undo")))

    assert "It is undone. Nobody was written to." in page.text and "This was undone" in page.text
    with app.app_context():
        row = db.session.get_one(Appointment, id)
        assert (row.state, row.starts_at) == (AppointmentState.BOOKED, FRIDAY)


def test_messages_are_sent_now(app: Flask, town: Town, management: None) -> None:
    appointment(app, town, start=FRIDAY)
    mia = signed_in(app, "mia")
    done = mia.follow(answer(mia, close(mia, town), "cancel"))

    page = mia.follow(mia.send(done.form("/send")))

    assert "1 message goes out now." in page.text
    with app.app_context():
        message = db.session.scalars(select(Message).where(Message.kind == Kind.CANCELLATION)).one()
        assert (message.state, message.due_at) == (MessageState.QUEUED, datetime(2026, 11, 23, 8, tzinfo=UTC))


def test_each_appointment_may_get_a_choice_of_its_own(app: Flask, town: Town, management: None) -> None:
    first, second = appointment(app, town, start=FRIDAY), appointment(app, town, start=FRIDAY)
    mia = signed_in(app, "mia")
    values = asked(close(mia, town)).values

    values |= {"all": "each", f"choice-{first}": "keep", f"choice-{second}": "cancel"}
    mia.post(f"{ADMIN}/closures/new", values)

    with app.app_context():
        rows = [db.session.get_one(Appointment, id) for id in (first, second)]
        assert [(row.is_exception, row.is_booked) for row in rows] == [(True, True), (False, False)]


def test_who_booked_while_it_was_decided_is_shown(app: Flask, town: Town, management: None) -> None:
    appointment(app, town, start=FRIDAY)
    mia = signed_in(app, "mia")
    page = close(mia, town)
    appointment(app, town, start=FRIDAY, name="Just Now")

    again = answer(mia, page, "cancel")

    assert again.status == 409
    assert "meanwhile somebody booked" in again.text and "Just Now" in again.text
    with app.app_context():
        assert db.session.scalar(select(Closure.id)) is None


def test_some_hours_of_one_counter_are_closed(app: Flask, town: Town, management: None) -> None:
    mia = signed_in(app, "mia")

    close(
        mia, town, offices=[], counters=str(town.counter_ids[0]), from_at="10:00", to_at="11:30", last_on="2026-11-28"
    )

    with app.app_context():
        rows = db.session.scalars(select(Closure).order_by(Closure.starts_at)).all()
        assert [(one.counter_id, one.starts_at, one.ends_at) for one in rows] == [
            (town.counter_ids[0], FRIDAY, FRIDAY + timedelta(minutes=90)),
            (town.counter_ids[0], FRIDAY + timedelta(days=1), FRIDAY + timedelta(days=1, minutes=90)),
        ]
        assert rows[0].reasons["nl"] == "Opleiding van het personeel" and rows[0].reasons["en"] == "Staff training"


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ({"first_on": "2026-11-22"}, "The past stays as it was"),
        ({"first_on": ""}, "Choose the first day"),
        ({"last_on": "2026-11-01"}, "not before the first"),
        ({"from_at": "10:00"}, "Enter both times"),
        ({"from_at": "10:00", "to_at": "09:00"}, "an end that is after the beginning"),
        ({"offices": []}, "Tick an office"),
    ],
)
def test_a_closure_that_cannot_be_is_refused(
    app: Flask, town: Town, management: None, typed: dict[str, object], words: str
) -> None:
    page = close(signed_in(app, "mia"), town, **typed)

    assert page.status == 422
    assert words in page.text


def test_public_holidays_are_accepted_by_a_person(app: Flask, town: Town, management: None) -> None:
    mia = signed_in(app, "mia")
    page = mia.get(f"{ADMIN}/closures/holidays")
    assert "Friday 25 December" in page.text
    token = only_form(page).values["csrf_token"]

    mia.follow(mia.post(f"{ADMIN}/closures/holidays", {"csrf_token": token, "day": ["2026-12-25", "2027-01-01"]}))

    with app.app_context():
        closures = db.session.scalars(select(Closure).order_by(Closure.starts_at)).all()
        assert [one.reasons["nl"] for one in closures] == ["Kerstmis", "Nieuwjaar"]
    assert "closed" in mia.get(f"{ADMIN}/closures/holidays").text


def test_many_counters_get_new_hours_at_once(app: Flask, town: Town, management: None) -> None:
    mia = signed_in(app, "mia")
    chosen = "&".join(f"counter={id}" for id in town.counter_ids)
    form = only_form(mia.get(f"{ADMIN}/hours/new?{chosen}"))
    assert form.values["week-0"] == "09:00-12:00, 13:00-16:00"
    typed = {**form.values, "counter": list(town.counter_ids), "week-0": "8-12", "from_on": "2026-12-07"}

    page = mia.follow(mia.post(f"{ADMIN}/hours/new", typed))

    assert "The new hours hold at 2 counters." in page.text
    with app.app_context():
        query = select(OpeningHours).where(OpeningHours.opens == 480, OpeningHours.weekday == 0)
        assert {one.from_on for one in db.session.scalars(query)} == {date(2026, 12, 7)}
    assert "Changes on: Monday 7 December" in mia.get(f"{ADMIN}/hours").text


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ({"week-2": "late"}, "Write hours like 9-12, 13:30-16, in steps of five minutes: Wednesday"),
        ({"from_on": "2026-11-22"}, "The past stays as it was"),
        ({"from_on": "soon"}, "Choose the first day"),
        ({"until_on": "2026-11-01"}, "not before the first"),
    ],
)
def test_hours_that_cannot_be_are_refused(
    app: Flask, town: Town, management: None, typed: dict[str, str], words: str
) -> None:
    mia = signed_in(app, "mia")
    form = only_form(mia.get(f"{ADMIN}/hours/new?counter={town.counter_ids[0]}"))

    page = mia.post(f"{ADMIN}/hours/new", {**form.values, **typed})

    assert page.status == 422
    assert words in page.text


def test_a_manager_of_one_desk_decides_about_that_desk_only(app: Flask, town: Town, management: None) -> None:
    with app.app_context():
        desk = make_desk(db.session.get_one(Office, town.office_id), key="building")
        other = make_counter(desk).id
        make_staff(town.municipality_id, "eva@testdorp.example.org", Role.MANAGER, desk.id)
        db.session.commit()
    dora, eva = signed_in(app, "dora"), signed_in(app, "eva")

    page = close(dora, town, offices=[], counters=str(town.counter_ids[0]))
    assert page.status == 303
    assert close(dora, town, offices=[], counters=str(other)).status == 422
    assert close(dora, town).status == 422  # the whole office is not hers
    assert dora.get(f"{ADMIN}/hours/new?counter={other}").status == 404
    with app.app_context():
        change, closure = db.session.scalar(select(Adjustment.id)), db.session.scalar(select(Closure.id))
        assert not db.session.scalar(select(Hit.id))
    assert dora.get(f"{ADMIN}/changes/{change}").status == 200
    assert eva.get(f"{ADMIN}/changes/{change}").status == 404
    token = only_form(eva.get(f"{ADMIN}/closures/new")).values["csrf_token"]
    assert eva.post(f"{ADMIN}/closures/{closure}/reopen", {"csrf_token": token}).status == 404
    assert eva.post(f"{ADMIN}/changes/{change}/undo", {"csrf_token": token}).status == 404
    assert dora.send(dora.get(f"{ADMIN}/closures").form("/reopen")).status == 303


def test_closures_are_listed_by_day_with_the_places_where_they_hold(app: Flask, town: Town, management: None) -> None:
    with app.app_context():
        for counter_id in town.counter_ids:
            hours = {"starts_at": FRIDAY, "ends_at": FRIDAY + timedelta(hours=2)}
            db.session.add(Closure(office_id=town.office_id, counter_id=counter_id, reasons={"nl": "Vorming"}, **hours))
        day = {"starts_at": datetime(2026, 12, 24, 23, tzinfo=UTC), "ends_at": datetime(2026, 12, 25, 23, tzinfo=UTC)}
        db.session.add(Closure(office_id=town.office_id, reasons={"nl": "Kerstmis"}, **day))
        db.session.commit()

    page = signed_in(app, "mia").get(f"{ADMIN}/closures")

    training, christmas = page.text.partition("Friday 25 December Kerstmis")[::2]
    assert training.count("Friday 27 November, 10:00–12:00") == 1
    assert "Vorming Town hall, Counter 1 Open again Town hall, Counter 2 Open again" in training
    assert christmas.lstrip().startswith("Town hall Open again")


@pytest.mark.parametrize(
    ("first", "last", "words"),
    [
        ("2026-12-24 23:00", "2026-12-25 23:00", "Friday 25 December"),
        ("2026-12-24 23:00", "2027-01-01 23:00", "Friday 25 December – Friday 1 January 2027"),
        ("2026-12-25 08:00", "2026-12-25 11:30", "Friday 25 December, 09:00–12:30"),
        ("2026-12-25 08:00", "2026-12-28 11:30", "Friday 25 December, 09:00 – Monday 28 December, 12:30"),
        ("2026-12-25 08:00", "2026-12-25 23:00", "Friday 25 December, 09:00 – Saturday 26 December, 00:00"),
    ],
)
def test_a_stretch_is_said_as_people_say_it(first: str, last: str, words: str) -> None:
    moments = [datetime.fromisoformat(f"{at}+00:00") for at in (first, last)]

    assert stretch((moments[0], moments[1]), "Europe/Brussels", "en", date(2026, 11, 23)) == words
