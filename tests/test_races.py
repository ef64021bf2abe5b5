"""Several at once, in threads and in processes, with real commits: never two at one counter, and nobody sees an error.

Each request begins its transaction as a writing one, does one operation and commits, or rolls back when it is refused.
"""

from __future__ import annotations

import multiprocessing
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from multiprocessing.synchronize import Barrier as ProcessBarrier
from threading import Barrier

import pytest
from flask import Flask
from sqlalchemy import func, select, text

import booking
from booking import create_app
from booking.appointments import holds
from booking.appointments.booking import Citizen, TooLate, book, cancel, move
from booking.appointments.holds import hold
from booking.appointments.models import Appointment, AppointmentState, Booking, Channel, Hold, Occupancy, Visit
from booking.appointments.occupancy import SlotTaken, sweep
from booking.appointments.offers import Demand
from booking.appointments.visits import NotNow, Press, state_of, take_step
from booking.appointments.writing import HoldChanged
from booking.config import Settings
from booking.db import begin_write, db
from booking.outbox.models import Kind, Message
from booking.slots.clock import TICK_MINUTES, tick_of
from booking.staff.audit import citizen_of
from booking.townhall.models import Closure, Office, Service
from booking.townhall.revisions import raise_office, revisions
from tests.conftest import MONDAY, Clock
from tests.factories import Town, make_town

pytestmark = pytest.mark.races

TEN = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)  # Tuesday, ten o'clock in Brussels
QUARTER = timedelta(minutes=15)
CLIENTS = 30
ROUNDS = 6  # of a race between two
PROCESSES = 3
REFUSALS = (SlotTaken, TooLate, NotNow, HoldChanged)
ALICE = Citizen("Alice Peeters", "nl", email="alice@example.org")

Call = tuple[Callable[..., object], tuple[object, ...]]


def request(app: Flask, call: Call) -> str:
    """What a web request does; "done" or the name of the refusal. Any other error is one too many, and raised."""
    operation, arguments = call
    with app.app_context():
        begin_write()
        try:
            operation(*arguments)
            db.session.commit()
        except REFUSALS as refusal:
            db.session.rollback()
            return type(refusal).__name__
        return "done"


def together(app: Flask, calls: Sequence[Call]) -> list[str]:
    """Makes the requests at the same moment, each in a thread of its own."""
    start = Barrier(len(calls))

    def one(call: Call) -> str:
        start.wait()
        return request(app, call)

    with ThreadPoolExecutor(len(calls)) as threads:
        return list(threads.map(one, calls))


@pytest.fixture(scope="module")
def processes() -> Iterator[ProcessPoolExecutor]:
    """Some processes that know nothing of each other but a moment to start at."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(PROCESSES, spawn, initializer=remember, initargs=(spawn.Barrier(PROCESSES),)) as pool:
        yield pool


gates: list[ProcessBarrier] = []


def remember(gate: ProcessBarrier) -> None:
    gates.append(gate)


def in_this_process(settings: Settings, calls: Sequence[Call]) -> list[str]:
    app = create_app(settings)
    gates[0].wait()
    results = together(app, calls)
    finish(app)
    return results


def finish(app: Flask) -> None:
    """Closes the connections that the application keeps."""
    with app.app_context():
        db.engine.dispose()


def apart(processes: ProcessPoolExecutor, settings: Settings, calls: Sequence[Call]) -> list[str]:
    """Makes the requests at the same moment, spread over processes."""
    shares = [calls[n::PROCESSES] for n in range(PROCESSES)]
    return [one for share in processes.map(in_this_process, [settings] * PROCESSES, shares) for one in share]


def hold_at(office_id: int, service_id: int, start: datetime, now: datetime) -> Hold:
    office, service = db.session.get_one(Office, office_id), db.session.get_one(Service, service_id)
    return hold(office, Demand(service), start, now)


def book_hold(hold_id: int, now: datetime) -> Booking:
    held = db.session.get_one(Hold, hold_id)
    return book(held, ALICE, Channel.WEB, citizen_of(held.counter.desk.office.municipality_id), now)


def move_to(appointment_id: int, office_id: int, start: datetime, now: datetime) -> None:
    office = db.session.get_one(Office, office_id)
    move(db.session.get_one(Appointment, appointment_id), office, start, citizen_of(office.municipality_id), now)


def cancel_it(appointment_id: int, municipality_id: int, now: datetime) -> None:
    cancel(db.session.get_one(Appointment, appointment_id), citizen_of(municipality_id), now)


def mark(appointment_id: int, step: str, municipality_id: int, now: datetime) -> None:
    """A clerk's page has read the visit before the button's own transaction counts."""
    appointment = db.session.get_one(Appointment, appointment_id)
    state_of(appointment)
    take_step(step, appointment, Press(citizen_of(municipality_id), now))


def close(office_id: int, starts: datetime, ends: datetime, now: datetime, seen: list[int]) -> None:
    """Closes the office, and notes how many appointments that hits."""
    raise_office([office_id], now)
    db.session.add(Closure(office_id=office_id, starts_at=starts, ends_at=ends, reasons={}))
    hit = (
        select(func.count()).select_from(Appointment).where(Appointment.starts_at < ends, Appointment.ends_at > starts)
    )
    seen.append(db.session.scalar(hit) or 0)


def tidy_up(now: datetime) -> None:
    sweep(now)


@pytest.fixture
def small(app: Flask) -> Town:
    """A town with a single counter."""
    with app.app_context():
        made = make_town(counters=1)
        db.session.commit()
    return made


def held(app: Flask, town: Town, start: datetime, now: datetime = MONDAY) -> int:
    with app.app_context():
        begin_write()
        made = hold_at(town.office_id, town.passport_id, start, now)
        db.session.commit()
        return made.id


def booked(app: Flask, town: Town, start: datetime, now: datetime = MONDAY) -> int:
    hold_id = held(app, town, start, now)
    with app.app_context():
        begin_write()
        made = book_hold(hold_id, now)
        db.session.commit()
        return made.appointments[0].id


def rows(table: type[Hold | Booking | Appointment | Occupancy | Visit]) -> int:
    return db.session.scalar(select(func.count()).select_from(table)) or 0


def assert_every_visit_has_its_ticks_to_itself() -> None:
    """Each booked appointment owns exactly the ticks from its start to its end."""
    for one in db.session.scalars(select(Appointment).where(Appointment.state == AppointmentState.BOOKED)):
        mine = select(Occupancy.tick).where(Occupancy.appointment_id == one.id, Occupancy.counter_id == one.counter_id)
        assert set(db.session.scalars(mine)) == set(range(tick_of(one.starts_at), tick_of(one.ends_at)))


def test_of_thirty_citizens_one_gets_the_last_place(app: Flask, small: Town, clock: Clock) -> None:
    results = together(app, [(hold_at, (small.office_id, small.passport_id, TEN, clock()))] * CLIENTS)

    assert Counter(results) == {"done": 1, "SlotTaken": CLIENTS - 1}
    with app.app_context():
        assert (rows(Hold), rows(Occupancy)) == (1, 3)


def test_of_thirty_citizens_at_several_machines_one_gets_the_last_place(
    app: Flask, small: Town, clock: Clock, settings: Settings, processes: ProcessPoolExecutor
) -> None:
    take = (hold_at, (small.office_id, small.passport_id, TEN, clock()))

    results = apart(processes, settings, [take] * CLIENTS)

    assert Counter(results) == {"done": 1, "SlotTaken": CLIENTS - 1}
    with app.app_context():
        assert (rows(Hold), rows(Occupancy)) == (1, 3)


def test_visits_of_different_lengths_never_overlap(
    app: Flask, small: Town, clock: Clock, settings: Settings, processes: ProcessPoolExecutor
) -> None:
    services = (small.passport_id, small.wedding_id)
    calls = [
        (hold_at, (small.office_id, services[n % 2], TEN + n * 7 % 12 * timedelta(minutes=5), clock()))
        for n in range(CLIENTS)
    ]

    results = apart(processes, settings, calls)

    assert set(results) == {"done", "SlotTaken"}
    with app.app_context():
        kept = db.session.scalars(select(Hold).order_by(Hold.starts_at)).all()
        ends = [one.starts_at + Demand(one.service).length for one in kept]
        assert all(end <= following.starts_at for end, following in zip(ends, kept[1:], strict=False))
        assert sum(Demand(one.service).ticks for one in kept) == rows(Occupancy)
        assert len(kept) == results.count("done")


def test_a_double_click_books_once(app: Flask, small: Town, clock: Clock) -> None:
    hold_id = held(app, small, TEN)

    results = together(app, [(book_hold, (hold_id, clock()))] * 4)

    assert "done" in results
    assert set(results) <= {"done", "HoldChanged"}  # who waited looks at the hold again, and finds the booking
    assert request(app, (book_hold, (hold_id, clock()))) == "done"
    with app.app_context():
        assert (rows(Booking), rows(Appointment)) == (1, 1)
        confirmations = select(func.count()).select_from(Message).where(Message.kind == Kind.CONFIRMATION)
        assert db.session.scalar(confirmations) == 1
        assert_every_visit_has_its_ticks_to_itself()


def test_a_hold_that_ended_and_a_newcomer_do_not_both_get_the_slot(app: Flask, small: Town, clock: Clock) -> None:
    later = clock() + timedelta(hours=1)
    for n in range(ROUNDS):
        start = TEN + n * QUARTER
        ended = held(app, small, start)

        results = together(
            app,
            [
                (book_hold, (ended, later)),
                (hold_at, (small.office_id, small.passport_id, start, later)),
                (tidy_up, (later,)),
            ],
        )

        assert sorted(results[:2]) == ["SlotTaken", "done"]
        assert results[2] == "done"
    with app.app_context():
        assert rows(Occupancy) == 3 * ROUNDS
        assert_every_visit_has_its_ticks_to_itself()


def test_a_move_and_a_booking_do_not_both_get_the_slot(app: Flask, small: Town, clock: Clock) -> None:
    later = clock() + timedelta(hours=1)
    for n in range(ROUNDS):
        appointment, target = booked(app, small, TEN + n * QUARTER), TEN + timedelta(days=1) + n * QUARTER
        ended = held(app, small, target)

        results = together(app, [(move_to, (appointment, small.office_id, target, later)), (book_hold, (ended, later))])

        assert sorted(results) == ["SlotTaken", "done"]
    with app.app_context():
        assert_every_visit_has_its_ticks_to_itself()


def test_two_that_want_each_others_time_keep_their_own(app: Flask, small: Town, clock: Clock) -> None:
    first, second = booked(app, small, TEN), booked(app, small, TEN + QUARTER)

    for _ in range(ROUNDS):
        results = together(
            app,
            [
                (move_to, (first, small.office_id, TEN + QUARTER, clock())),
                (move_to, (second, small.office_id, TEN, clock())),
            ],
        )

        assert results == ["SlotTaken", "SlotTaken"]
    with app.app_context():
        assert rows(Occupancy) == 6
        assert_every_visit_has_its_ticks_to_itself()


def test_a_closure_and_a_booking_do_not_pass_each_other_unseen(app: Flask, small: Town, clock: Clock) -> None:
    for n in range(ROUNDS):
        start = TEN + n * QUARTER
        hold_id, seen = held(app, small, start), list[int]()

        booking_result, closing_result = together(
            app,
            [
                (book_hold, (hold_id, clock())),
                (close, (small.office_id, start, start + QUARTER, clock(), seen)),
            ],
        )

        assert closing_result == "done"
        assert (booking_result, seen) in (("done", [1]), ("SlotTaken", [0]))


def test_what_is_cancelled_stays_so_whoever_moves_it(app: Flask, small: Town, clock: Clock) -> None:
    for n in range(ROUNDS):
        appointment = booked(app, small, TEN + n * QUARTER)
        elsewhere = TEN + timedelta(days=1) + n * QUARTER

        moved, cancelled = together(
            app,
            [
                (move_to, (appointment, small.office_id, elsewhere, clock())),
                (cancel_it, (appointment, small.municipality_id, clock())),
            ],
        )

        assert (moved, cancelled) in (("done", "done"), ("TooLate", "done"))
    with app.app_context():
        assert rows(Occupancy) == 0
        assert set(db.session.scalars(select(Appointment.state))) == {AppointmentState.CANCELLED}


@pytest.mark.parametrize("steps", [("arrive", "arrive"), ("serve", "miss"), ("miss", "miss")])
def test_of_two_clerks_one_marks_the_visit(app: Flask, small: Town, steps: tuple[str, str]) -> None:
    for n in range(ROUNDS):
        start = TEN + n * QUARTER
        appointment = booked(app, small, start)

        results = together(app, [(mark, (appointment, step, small.municipality_id, start)) for step in steps])

        assert sorted(results) == ["NotNow", "done"]
    with app.app_context():
        assert rows(Visit) == ROUNDS


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)  # on SQLite no second request begins meanwhile
def test_nobody_is_missed_whose_appointment_was_moved_meanwhile(app: Flask, small: Town, clock: Clock) -> None:
    appointment_id = booked(app, small, TEN)
    tomorrow = (move_to, (appointment_id, small.office_id, TEN + timedelta(days=1), clock()))
    with app.app_context():
        begin_write()
        appointment = db.session.get_one(Appointment, appointment_id)
        assert together(app, [tomorrow]) == ["done"]

        with pytest.raises(NotNow):
            take_step("miss", appointment, Press(citizen_of(small.municipality_id), TEN))


def test_a_hold_that_a_host_with_a_fast_clock_gave_away_is_not_booked_too(
    app: Flask, small: Town, clock: Clock
) -> None:
    mine = held(app, small, TEN)
    held(app, small, TEN, clock() + timedelta(minutes=20))  # for that host it has ended

    assert request(app, (book_hold, (mine, clock() + timedelta(minutes=19)))) == "SlotTaken"

    with app.app_context():
        assert rows(Booking) == 0


def test_a_service_made_longer_while_the_form_was_filled_in_takes_the_rest_or_is_refused(
    app: Flask, small: Town, clock: Clock
) -> None:
    early, late = held(app, small, TEN), held(app, small, TEN + QUARTER)
    with app.app_context():
        db.session.get_one(Service, small.passport_id).minutes = 6 * TICK_MINUTES
        db.session.commit()

    assert request(app, (book_hold, (early, clock()))) == "SlotTaken"
    assert request(app, (book_hold, (late, clock()))) == "done"

    with app.app_context():
        assert rows(Occupancy) == 3 + 6
        assert_every_visit_has_its_ticks_to_itself()


def unguarded(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Flask:
    """An application in which nobody queues: both look, both see a free slot, and only then both take it.

    Left out are the office row and, on SQLite, our own BEGIN IMMEDIATE.
    """
    looked = Barrier(2)
    look = holds.tightest

    def look_together(*arguments: object) -> object:
        found = look(*arguments)  # type: ignore[arg-type]
        looked.wait(timeout=20)
        return found

    monkeypatch.setattr(holds, "raise_revision", revisions)
    monkeypatch.setattr(holds, "tightest", look_together)
    monkeypatch.setattr(booking, "configure_engine", lambda _engine: None)
    return create_app(settings)


WITHOUT_KEY = {
    "sqlite": (
        "CREATE TABLE kept AS SELECT * FROM occupancy",
        "DROP TABLE occupancy",
        "ALTER TABLE kept RENAME TO occupancy",
    ),
    "postgresql": ("ALTER TABLE occupancy DROP CONSTRAINT pk_occupancy",),
}


def test_the_key_alone_refuses_the_second(
    app: Flask, small: Town, clock: Clock, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = unguarded(settings, monkeypatch)

    results = together(other, [(hold_at, (small.office_id, small.passport_id, TEN, clock()))] * 2)

    assert sorted(results) == ["SlotTaken", "done"]
    with other.app_context():
        assert rows(Occupancy) == 3
    finish(other)


def test_control_without_the_key_and_the_office_row_two_do_get_the_same_slot(
    app: Flask, small: Town, clock: Clock, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = unguarded(settings, monkeypatch)
    with other.app_context():
        for statement in WITHOUT_KEY[db.engine.dialect.name]:
            db.session.execute(text(statement))
        db.session.commit()

    results = together(other, [(hold_at, (small.office_id, small.passport_id, TEN, clock()))] * 2)

    assert results == ["done", "done"]
    with other.app_context():
        twice = select(Occupancy.counter_id).group_by(Occupancy.counter_id, Occupancy.tick).having(func.count() == 2)
        assert len(db.session.scalars(twice).all()) == 3
    finish(other)
