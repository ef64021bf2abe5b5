"""The life of a visit: its steps, taking them back, walk-ins, sending on, and two clerks at once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError

from booking.appointments.agenda import found
from booking.appointments.booking import TooLate, cancel
from booking.appointments.models import Appointment, Visit, VisitState, VisitStep
from booking.appointments.queue import call_next, line_of
from booking.appointments.visits import (
    CounterBusy,
    NotNow,
    Press,
    Subject,
    forward,
    is_late,
    state_of,
    take_step,
    take_ticket,
    undo,
    waited,
    write_note,
)
from booking.db import begin_write, db
from booking.links import own_path, token
from booking.staff.audit import citizen_of, member
from booking.staff.models import AuditLine, Staff
from booking.townhall.models import Counter, Desk, Office, Service
from tests.conftest import KEYS
from tests.factories import Town, make_counter, make_desk, make_hours, make_staff
from tests.pages import Visitor
from tests.test_races import together
from tests.test_staff_pages import appointment

pytestmark = pytest.mark.counter

NINE = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)  # in Brussels
TEN = NINE + timedelta(hours=1)
A_MINUTE = timedelta(minutes=1)


@pytest.fixture
def desk(app: Flask, town: Town) -> Town:
    """The town with a clerk, and a second desk with a counter of its own."""
    with app.app_context():
        make_staff(town.municipality_id, "alice@testdorp.example.org", desk_id=town.desk_id)
        make_staff(town.municipality_id, "bob@testdorp.example.org", desk_id=town.desk_id)
        other = make_desk(db.session.get_one(Office, town.office_id), key="building")
        make_hours(make_counter(other), 0, 540, 960)
        db.session.commit()
    return town


def press(who: str = "alice", at: datetime = TEN, counter: int | None = None, seen: int | None = None) -> Press:
    account = db.session.scalars(select(Staff).where(Staff.email.startswith(who))).one()
    return Press(member(account), at, counter, seen)


def subject(id: int, town: Town) -> Appointment:
    one = found(town.municipality_id, id)
    assert one is not None
    return one


def test_a_visit_from_the_door_to_the_end(app: Flask, desk: Town) -> None:
    id = appointment(app, desk)
    with app.app_context():
        one = subject(id, desk)
        steps = (("arrive", -5), ("call", 2), ("begin", 3), ("serve", 20))
        for name, minutes in steps:
            visit = take_step(name, one, press(at=TEN + minutes * A_MINUTE, counter=desk.counter_ids[1]))

        assert visit.state == VisitState.SERVED and visit.counter_id is None
        assert (visit.number, visit.calls) == (1, 1)
        assert waited(visit) == 2 * A_MINUTE  # nobody waits before the agreed time
        assert visit.began_at and visit.served_at and visit.served_at - visit.began_at == 17 * A_MINUTE
        lines = db.session.execute(select(VisitStep.step, VisitStep.counter_id).order_by(VisitStep.id)).all()
        assert [line.step for line in lines] == [name for name, _ in steps]
        assert {line.counter_id for line in lines[1:]} == {desk.counter_ids[1]}
        audited = db.session.scalars(select(AuditLine.action).where(AuditLine.object_kind == "visit")).all()
        assert list(audited) == [name for name, _ in steps]


def test_every_step_can_be_taken_back_to_the_beginning(app: Flask, desk: Town) -> None:
    id = appointment(app, desk)
    with app.app_context():
        one, states = subject(id, desk), list[VisitState]()
        for name in ("arrive", "call", "begin", "park", "call", "ring", "begin", "serve"):
            states.append(state_of(one))
            take_step(name, one, press(counter=desk.counter_ids[0]))

        for state in reversed(states):
            assert state_of(undo(one, press())) == state

        with pytest.raises(NotNow):
            undo(one, press())
        assert one.visit is not None and one.visit.arrived_at is None and one.visit.number == 1


def test_a_number_is_kept_when_the_arrival_is_taken_back(app: Flask, desk: Town) -> None:
    """The slip is printed already: nobody else may get the same number."""
    id = appointment(app, desk)
    with app.app_context():
        take_step("arrive", subject(id, desk), press())
        undo(subject(id, desk), press())
        other = take_ticket(db.session.get_one(Desk, desk.desk_id), None, 1, press())

        assert other.number == 2


@pytest.mark.parametrize("name", ["arrive", "serve", "undo", "ring", "forward"])
def test_a_button_pressed_twice_acts_once(app: Flask, desk: Town, name: str) -> None:
    id = appointment(app, desk)
    before = {"arrive": (), "serve": ("arrive",), "undo": ("arrive", "call"), "ring": ("call",), "forward": ("arrive",)}
    with app.app_context():
        one = subject(id, desk)
        for step in before[name]:
            take_step(step, one, press(counter=desk.counter_ids[0]))
        seen = one.visit.version if one.visit else 0
        elsewhere = db.session.scalars(select(Desk).where(Desk.key == "building")).one()
        for _ in range(2):
            again = press(seen=seen)
            if name == "undo":
                visit = undo(one, again)
            elif name == "forward":
                visit = forward(one, elsewhere, again)
            else:
                visit = take_step(name, one, again)

        assert visit.version == seen + 1
        assert db.session.scalar(select(func.count()).where(VisitStep.step == name)) == 1


def test_a_colleague_who_presses_the_same_is_told(app: Flask, desk: Town) -> None:
    id = appointment(app, desk)
    with app.app_context():
        take_step("arrive", subject(id, desk), press("alice", seen=0))
        with pytest.raises(NotNow):
            take_step("arrive", subject(id, desk), press("bob", seen=0))


def test_a_counter_has_one_visit_at_a_time(app: Flask, desk: Town) -> None:
    first, second = appointment(app, desk), appointment(app, desk, "Piet Claes", TEN + timedelta(hours=1))
    with app.app_context():
        for id in (first, second):
            take_step("arrive", subject(id, desk), press())
        take_step("call", subject(first, desk), press(counter=desk.counter_ids[0]))
        with pytest.raises(CounterBusy):
            take_step("call", subject(second, desk), press(counter=desk.counter_ids[0]))


def test_the_database_refuses_a_second_visit_at_a_counter(app: Flask, desk: Town) -> None:
    with app.app_context():
        for number in (1, 2):
            db.session.add(
                Visit(
                    office_id=desk.office_id,
                    desk_id=desk.desk_id,
                    people=1,
                    state=VisitState.CALLED,
                    counter_id=desk.counter_ids[0],
                    came_on=TEN.date(),
                    number=number,
                    arrived_at=TEN,
                )
            )
        with pytest.raises(IntegrityError, match=r"(?i)counter_id"):
            db.session.flush()


def test_nobody_is_called_from_the_future(app: Flask, desk: Town) -> None:
    id = appointment(app, desk, start=TEN + timedelta(days=1))
    with app.app_context():
        for name in ("arrive", "call", "serve", "miss"):
            with pytest.raises(NotNow):
                take_step(name, subject(id, desk), press(counter=desk.counter_ids[0]))
            db.session.rollback()


def test_who_is_there_cannot_cancel_or_move_any_more(app: Flask, desk: Town) -> None:
    id = appointment(app, desk)
    with app.app_context():
        one = subject(id, desk)
        take_step("arrive", one, press(at=NINE))
        with pytest.raises(TooLate):
            cancel(one, citizen_of(desk.municipality_id), NINE)


def test_late_after_the_grace_and_never_lost(app: Flask, desk: Town) -> None:
    id = appointment(app, desk)
    with app.app_context():
        one = subject(id, desk)
        assert not is_late(one, TEN + 10 * A_MINUTE)
        assert is_late(one, TEN + 11 * A_MINUTE)
        take_step("miss", one, press(at=TEN + 12 * A_MINUTE))
        visit = take_step("arrive", one, press(at=TEN + 20 * A_MINUTE))

        assert visit.state == VisitState.ARRIVED and visit.missed_at is None
        assert [place.why for place in line_of(one.counter.desk, TEN + 20 * A_MINUTE).places] == ["late"]


def test_sent_on_with_all_that_was_typed(app: Flask, desk: Town) -> None:
    id = appointment(app, desk)
    with app.app_context():
        one = subject(id, desk)
        take_step("arrive", one, press(at=NINE))
        write_note(one, "Has no photo yet", press(at=NINE))
        take_step("call", one, press(counter=desk.counter_ids[0]))
        building = db.session.scalars(select(Desk).where(Desk.key == "building")).one()
        visit = forward(one, building, press())

        (place,) = line_of(building, TEN).places
        assert place.visit.id == visit.id and place.visit.note == "Has no photo yet"
        assert place.visit.appointment is not None and place.visit.appointment.items[0].people == 2
        assert line_of(one.counter.desk, TEN).places == ()
        assert call_next(building.counters[0], 0, press()) is not None
        undo(undo(one, press()), press())
        assert (visit.desk_id, visit.state, visit.counter_id) == (desk.desk_id, "called", desk.counter_ids[0])


def test_nobody_is_sent_on_to_another_office(app: Flask, desk: Town) -> None:
    id = appointment(app, desk)
    with app.app_context():
        from tests.factories import make_office

        elsewhere = make_desk(make_office(db.session.get_one(Office, desk.office_id).municipality, 2))
        take_step("arrive", subject(id, desk), press())
        with pytest.raises(NotNow):
            forward(subject(id, desk), elsewhere, press())


def test_the_citizen_follows_the_visit_on_their_own_page(app: Flask, desk: Town) -> None:
    id = appointment(app, desk)
    words = {
        "arrive": "Your number is 2. 1 person is before you.",
        "call": "Number 2, counter 1",
        "begin": "You are at the counter",
        "park": "We call you again",
        "leave": "You have left",
    }
    with app.app_context():
        begin_write()
        take_ticket(db.session.get_one(Desk, desk.desk_id), None, 1, press(at=NINE))
        booking_id = subject(id, desk).booking_id
        db.session.commit()
    for name, said in words.items():
        with app.app_context():
            begin_write()
            take_step(name, subject(id, desk), press(at=NINE, counter=desk.counter_ids[0]))
            db.session.commit()

        page = Visitor(app).get(f"/testdorp{own_path('en', token(KEYS, 'booking', booking_id, 1))}")

        assert said in page.text, name


def call(counter_id: int, who: str) -> None:
    counter = db.session.get_one(Counter, counter_id)
    call_next(counter, 0, press(who))


@pytest.mark.races
def test_two_clerks_who_call_at_once_call_two_people(app: Flask, desk: Town) -> None:
    """Two hundred times: nobody is called to two counters, and nobody is passed over."""
    with app.app_context():
        begin_write()
        place = db.session.get_one(Desk, desk.desk_id)
        for _ in range(400):
            take_ticket(place, None, 1, press(at=NINE))
        db.session.commit()
    for n in range(200):
        first, second = desk.counter_ids
        assert together(app, [(call, (first, "alice")), (call, (second, "bob"))]) == ["done", "done"]
        with app.app_context():
            begin_write()
            called = db.session.scalars(select(Visit).where(Visit.counter_id.is_not(None))).all()
            assert sorted(one.number or 0 for one in called) == [2 * n + 1, 2 * n + 2]
            for one in called:
                take_step("serve", one, press())
            db.session.commit()
    with app.app_context():
        assert set(db.session.scalars(select(Visit.calls))) == {1}


@pytest.mark.races
def test_a_double_click_on_next_calls_one(app: Flask, desk: Town) -> None:
    with app.app_context():
        begin_write()
        for _ in range(4):
            take_ticket(db.session.get_one(Desk, desk.desk_id), None, 1, press(at=NINE))
        db.session.commit()

    assert together(app, [(call, (desk.counter_ids[0], "alice"))] * 6) == ["done"] * 6

    with app.app_context():
        assert [one.number for one in db.session.scalars(select(Visit).where(Visit.counter_id.is_not(None)))] == [1]


@pytest.mark.races
def test_of_thirty_who_come_at_once_each_has_a_number_of_their_own(app: Flask, desk: Town) -> None:
    def come() -> None:
        service = db.session.get_one(Service, desk.passport_id)
        take_ticket(db.session.get_one(Desk, desk.desk_id), service, 1, press())

    assert together(app, [(come, ())] * 30) == ["done"] * 30
    with app.app_context():
        assert sorted(db.session.scalars(select(Visit.number))) == list(range(1, 31))


def test_next_ends_the_visit_at_the_counter_and_waits_for_who_was_called(app: Flask, desk: Town) -> None:
    with app.app_context():
        counter = db.session.get_one(Counter, desk.counter_ids[0])
        subjects: list[Subject] = [take_ticket(counter.desk, None, 1, press(at=NINE)) for _ in range(2)]
        first = call_next(counter, 0, press())
        assert first is subjects[0]
        with pytest.raises(CounterBusy):
            call_next(counter, first.id, press())
        take_step("begin", first, press())
        second = call_next(counter, first.id, press())

        assert (first.state, second) == ("served", subjects[1])


def test_who_was_parked_or_missed_is_not_called_by_accident(app: Flask, desk: Town) -> None:
    with app.app_context():
        counter = db.session.get_one(Counter, desk.counter_ids[0])
        for name in ("park", "miss"):
            take_ticket(counter.desk, None, 1, press(at=NINE))
            visit = call_next(counter, 0, press())
            assert visit is not None
            take_step(name, visit, press())

        assert call_next(counter, 0, press()) is None
