"""Limits: nobody takes more than their share, honest people do not notice, and freed slots cannot be traded."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from threading import Barrier

import pytest
from flask import Flask
from sqlalchemy import func, select, text

from booking.appointments.booking import Citizen, book, cancel, move
from booking.appointments.holds import hold
from booking.appointments.limits import ContactLimit, Holder, HoldLimit, contact_of
from booking.appointments.models import Appointment, Booking, Channel, Hold, Occupancy
from booking.appointments.occupancy import SlotTaken
from booking.appointments.offers import Demand, Offer, offer
from booking.appointments.timelines import office_lines
from booking.appointments.writing import HoldChanged
from booking.db import begin_write, db
from booking.delivery.files import letters
from booking.outbox.models import Kind, Message, MessageChannel
from booking.staff.audit import citizen_of, member
from booking.townhall.models import CounterService, Municipality, Office, Service
from booking.worker import run_step
from tests.conftest import KEYS, Clock
from tests.factories import Town, make_counter, make_desk, make_hours, make_office, make_staff, make_town
from tests.pages import Page, Visitor

pytestmark = pytest.mark.races

TUESDAY = datetime(2026, 11, 24, tzinfo=UTC)
TEN = TUESDAY.replace(hour=9)  # in Brussels
HOME = "/testdorp/en/"
ALICE = {"name": "Alice Peeters", "reach": "email", "email": "alice@example.org", "phone": ""}
names = count()


def offered(town: Town, clock: Clock) -> Offer:
    office, service = db.session.get_one(Office, town.office_id), db.session.get_one(Service, town.passport_id)
    return offer(office_lines(office, clock()), Demand(service), clock())


def hold_as(holder: Holder, town: Town, start: datetime, clock: Clock, office_id: int | None = None) -> Hold:
    """What a POST does, up to its commit."""
    db.session.rollback()
    begin_write()
    office = db.session.get_one(Office, office_id or town.office_id)
    return hold(office, Demand(db.session.get_one(Service, town.passport_id)), start, clock(), holder)


def citizen(email: str) -> Citizen:
    return Citizen("Alice Peeters", "en", email, contacts=(contact_of(KEYS, MessageChannel.EMAIL, email),))


def booked(town: Town, start: datetime, clock: Clock, who: Citizen | None = None) -> Appointment:
    held = hold_as(Holder(), town, start, clock)
    who = who or citizen(f"somebody{next(names)}@example.org")
    made = book(held, who, Channel.WEB, citizen_of(town.municipality_id), clock())
    db.session.commit()
    return made.appointments[0]


def set_rules(town: Town, **values: int) -> None:
    for name, value in values.items():
        setattr(db.session.get_one(Municipality, town.municipality_id), name, value)
    db.session.commit()


def living(clock: Clock) -> int:
    return db.session.scalar(select(func.count(Hold.id)).where(Hold.expires_at > clock())) or 0


def test_from_a_hundred_addresses_nobody_takes_more_than_a_part_of_a_day(
    context: Flask, town: Town, clock: Clock
) -> None:
    whole_day = 2 * 6 * 12
    outcomes = []
    for n in range(100):
        address = f"198.51.100.{n}" if n % 2 else f"2001:db8:{n:x}::1"
        starts = [moment for moment in offered(town, clock).starts if moment.date() == TUESDAY.date()]
        try:
            hold_as(Holder(f"browser {n}", address), town, starts[-1], clock)
            db.session.commit()
            outcomes.append("held")
        except HoldLimit as limit:
            outcomes.append(limit.of)

    taken = db.session.scalar(select(func.count()).select_from(Occupancy))
    assert taken == whole_day // 2
    assert outcomes == ["held"] * (whole_day // 2 // 3) + ["day"] * (100 - whole_day // 2 // 3)
    hold_as(Holder("browser", "192.0.2.1"), town, TEN + timedelta(days=1), clock)  # another day is open to all


def test_when_a_hold_ends_or_becomes_a_booking_the_next_may_hold(context: Flask, town: Town, clock: Clock) -> None:
    set_rules(town, held_percent=3)  # of 144 ticks: one visit of three
    first = hold_as(Holder(), town, TEN, clock)
    db.session.commit()
    with pytest.raises(HoldLimit):
        hold_as(Holder(), town, TEN, clock)

    begin_write_again()
    book(first, citizen("alice@example.org"), Channel.WEB, citizen_of(town.municipality_id), clock())
    db.session.commit()
    hold_as(Holder(), town, TEN, clock)
    db.session.commit()
    clock.advance(minutes=20)

    hold_as(Holder(), town, TEN + timedelta(hours=1), clock)


def begin_write_again() -> None:
    db.session.rollback()
    begin_write()


def test_fifty_honest_people_behind_one_address_can_book(app: Flask, clock: Clock) -> None:
    with app.app_context():
        make_town(counters=6)
        db.session.commit()
    people = [Visitor(app) for _ in range(50)]
    pages = [visitor.get(f"{HOME}service/passport").form("/hold") for visitor in people]

    forms = [one.follow(one.press(pages[n], 1 + 3 * (n % 9))) for n, one in enumerate(people)]
    ends = [
        one.follow(one.send(forms[n].forms[-1], **{**ALICE, "email": f"a{n}@example.org"}))
        for n, one in enumerate(people)
    ]

    assert {end.status for end in ends} == {200}
    with app.app_context():
        assert db.session.scalar(select(func.count(Booking.id))) == 50


def test_a_network_of_ipv6_is_one_address(app: Flask, town: Town) -> None:
    with app.app_context():
        set_rules(town, holds_per_address=2)

    pages = [held_from(Visitor(app, address)) for address in ("2001:db8::1", "2001:db8::2:1", "2001:db8::3")]
    other = held_from(Visitor(app, "2001:db8:0:1::1"))

    assert [page.status for page in pages] == [303, 303, 429]
    assert "Others on your network are filling in their form" in pages[2].text
    assert other.status == 303


def held_from(visitor: Visitor) -> Page:
    return visitor.press(visitor.get(f"{HOME}service/passport").form("/hold"))


def test_an_old_cookie_sent_again_holds_no_more_than_the_browser_may(app: Flask, town: Town) -> None:
    visitor = Visitor(app)
    form = visitor.get(f"{HOME}service/passport").form("/hold")
    cookie = visitor.client.get_cookie("balie", path="/testdorp")
    assert cookie
    pages = []
    for number in range(1, 6):
        visitor.client.set_cookie("balie", cookie.value, path="/testdorp")
        pages.append(visitor.press(form, 3 * number))

    assert [page.status for page in pages] == [303, 303, 303, 429, 429]
    assert "You are keeping several times already" in pages[-1].text
    assert pages[-1].forms[0].buttons  # the nearest other times


def test_who_chooses_another_time_is_not_counted_twice(app: Flask, town: Town, clock: Clock) -> None:
    with app.app_context():
        set_rules(town, holds_per_browser=1)
    visitor = Visitor(app)

    pages = [visitor.press(visitor.get(f"{HOME}service/passport").form("/hold"), n) for n in (1, 3, 5)]

    assert [page.status for page in pages] == [303] * 3
    with app.app_context():
        assert living(clock) == 1


def test_a_contact_has_a_limit_and_the_list_goes_to_the_contact_alone(app: Flask, town: Town, clock: Clock) -> None:
    with app.app_context():
        set_rules(town, open_per_contact=2)
    for _ in range(2):
        visitor = Visitor(app)
        visitor.send(visitor.follow(held_from(visitor)).forms[-1], **ALICE)
    stranger = Visitor(app)
    form = stranger.follow(held_from(stranger))

    refused = stranger.send(form.forms[-1], **{**ALICE, "email": "Alice+balie@Example.org"})
    again = stranger.send(refused.forms[-1], **{**ALICE, "email": "alice@example.org"})

    assert (refused.status, again.status) == (429, 429)
    assert "as many appointments as one may have" in refused.text
    assert refused.forms[-1].values["name"] == "Alice Peeters"
    with app.app_context():
        references = db.session.scalars(select(Booking.reference)).all()
        assert len(references) == 2
        assert not any(str(one) in refused.text.replace(" ", "") for one in references)
        assert db.session.scalar(select(func.count(Message.id)).where(Message.kind == Kind.LIST)) == 1
    run_step(app, "e-mail")
    mine = [one for one in letters(app.extensions["balie"]["settings"].instance, "testdorp") if "to come" in str(one)]
    assert len(mine) == 1
    assert "alice@example.org" in str(mine[0])


def test_another_contact_or_a_cancelled_appointment_makes_room(context: Flask, town: Town, clock: Clock) -> None:
    set_rules(town, open_per_contact=1)
    alice = citizen("alice@example.org")
    first = booked(town, TEN, clock, alice)
    with pytest.raises(ContactLimit):
        booked(town, TEN + timedelta(hours=1), clock, citizen("alice+more@example.org"))
    booked(town, TEN + timedelta(hours=1), clock, citizen("bob@example.org"))

    begin_write_again()
    cancel(first, citizen_of(town.municipality_id), clock())
    db.session.commit()

    booked(town, TEN + timedelta(minutes=30), clock, alice)


def test_who_books_and_cancels_all_day_comes_to_an_end(context: Flask, town: Town, clock: Clock) -> None:
    set_rules(town, made_per_contact=3)
    alice = citizen("alice@example.org")
    for _ in range(3):
        made = booked(town, TEN, clock, alice)
        begin_write_again()
        cancel(made, citizen_of(town.municipality_id), clock())
        db.session.commit()

    with pytest.raises(ContactLimit):
        booked(town, TEN, clock, alice)
    clock.advance(days=1)
    booked(town, TEN + timedelta(days=1), clock, alice)


def test_staff_have_no_limits(context: Flask, town: Town, clock: Clock) -> None:
    set_rules(town, open_per_contact=1, held_percent=1)
    alice, clerk = citizen("alice@example.org"), member(make_staff(town.municipality_id, "clerk@example.org"))
    db.session.commit()

    for n in range(3):
        held = hold_as(Holder(is_staff=True), town, TEN + n * timedelta(minutes=30), clock)
        book(held, alice, Channel.PHONE, clerk, clock())
        db.session.commit()

    assert db.session.scalar(select(func.count(Booking.id))) == 3


def two_offices(town: Town) -> tuple[int, int]:
    """The town's office, and a second one that does the same."""
    municipality = db.session.get_one(Municipality, town.municipality_id)
    second = make_office(municipality, 2)
    counter = make_counter(make_desk(second))
    make_hours(counter, 1, 9 * 60, 16 * 60)
    db.session.add(CounterService(counter_id=counter.id, service_id=town.passport_id))
    db.session.commit()
    return town.office_id, second.id


def at_once(app: Flask, calls: list[Callable[[], object]]) -> list[str]:
    """Each in a thread and a context of its own, at the same moment; "done" or the name of the refusal."""
    start = Barrier(len(calls))

    def one(call: Callable[[], object]) -> str:
        with app.app_context():
            start.wait()
            try:
                call()
                db.session.commit()
            except (HoldLimit, ContactLimit, SlotTaken) as refusal:
                db.session.rollback()
                return type(refusal).__name__
            return "done"

    with ThreadPoolExecutor(len(calls)) as threads:
        return sorted(threads.map(one, calls))


def test_the_limit_of_an_address_holds_over_several_offices_at_once(app: Flask, town: Town, clock: Clock) -> None:
    with app.app_context():
        set_rules(town, holds_per_address=1)
        offices = two_offices(town)

    results = at_once(app, [lambda id=id: hold_as(Holder(f"b{id}", "address"), town, TEN, clock, id) for id in offices])

    assert results == ["HoldLimit", "done"]


def test_a_time_that_is_pressed_twice_is_held_once(app: Flask, town: Town, clock: Clock) -> None:
    with app.app_context():
        set_rules(town, holds_per_browser=1)
    mine = Holder("browser", "address")
    for _ in range(5):
        clock.advance(minutes=20)

        results = at_once(app, [lambda: hold_as(mine, town, TEN, clock)] * 2)

        assert results == ["done", "done"]
        with app.app_context():
            assert living(clock) == 1


def test_a_second_click_finds_the_hold_of_its_own_office(context: Flask, town: Town, clock: Clock) -> None:
    first, second = two_offices(town)
    mine, made = Holder("browser"), []

    for office_id in (second, first, first):
        made.append(hold_as(mine, town, TEN, clock, office_id).id)
        db.session.commit()

    assert made[1] == made[2] != made[0]


def test_a_last_appointment_that_is_confirmed_twice_is_booked_once(app: Flask, town: Town, clock: Clock) -> None:
    with app.app_context():
        set_rules(town, open_per_contact=1)
        held = hold_as(Holder(), town, TEN, clock).id
        db.session.commit()

    results = at_once(app, [lambda: confirm(held, town, clock)] * 2)

    assert results == ["done", "done"]
    with app.app_context():
        assert db.session.scalar(select(func.count(Booking.id))) == 1


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)  # on SQLite whoever writes waits for all others
@pytest.mark.parametrize("asks_proof", [False, True])
def test_people_behind_one_address_wait_for_each_other_only_where_the_address_is_counted(
    context: Flask, town: Town, clock: Clock, asks_proof: bool
) -> None:
    set_rules(town, asks_proof=asks_proof)
    held = hold_as(Holder(None, "there"), town, TEN, clock)
    db.session.commit()

    begin_write_again()
    book(held, citizen("a@example.org"), Channel.WEB, citizen_of(town.municipality_id), clock())

    mine = "FROM pg_locks WHERE locktype = 'advisory' AND granted AND pid = pg_backend_pid()"
    assert db.session.scalar(text(f"SELECT count(*) {mine}")) == (2 if asks_proof else 1)


def confirm(hold_id: int, town: Town, clock: Clock) -> None:
    begin_write()
    actor = citizen_of(town.municipality_id)
    try:
        book(db.session.get_one(Hold, hold_id), citizen("a@example.org"), Channel.WEB, actor, clock())
    except HoldChanged:  # as the form does
        db.session.rollback()
        confirm(hold_id, town, clock)


def test_the_limit_of_a_contact_holds_over_several_offices_at_once(app: Flask, town: Town, clock: Clock) -> None:
    with app.app_context():
        set_rules(town, open_per_contact=1)
        held = []
        for id in two_offices(town):
            held.append(hold_as(Holder(), town, TEN, clock, id).id)
            db.session.commit()

    results = at_once(app, [lambda id=id: confirm(id, town, clock) for id in held])

    assert results == ["ContactLimit", "done"]


def test_a_freed_slot_comes_back_within_the_minutes_and_not_for_whoever_waits(
    context: Flask, town: Town, clock: Clock
) -> None:
    set_rules(town, freed_minutes=30)
    first, second = booked(town, TEN, clock), booked(town, TEN, clock)
    begin_write_again()
    cancel(first, citizen_of(town.municipality_id), clock())
    move(second, db.session.get_one(Office, town.office_id), TEN + timedelta(days=1), citizen_of(1), clock())
    db.session.commit()

    back = set(db.session.scalars(select(Occupancy.expires_at).where(Occupancy.expires_at.is_not(None))))
    assert len(back) == 2
    assert all(clock() <= at <= clock() + timedelta(minutes=30) for at in back if at)
    clock.now = min(at for at in back if at) - timedelta(seconds=1)
    assert not offered(town, clock).has(TEN)
    with pytest.raises(SlotTaken):
        hold_as(Holder(), town, TEN, clock)
    clock.advance(seconds=1)
    assert offered(town, clock).has(TEN)
    hold_as(Holder(), town, TEN, clock)


def test_the_delay_is_drawn_anew_each_time(context: Flask, town: Town, clock: Clock) -> None:
    set_rules(town, freed_minutes=240)
    for n in range(6):
        made = booked(town, TEN + n * timedelta(minutes=15), clock)
        begin_write_again()
        cancel(made, citizen_of(town.municipality_id), clock())
        db.session.commit()

    assert len(set(db.session.scalars(select(Occupancy.expires_at)))) > 1


def test_staff_use_a_freed_slot_at_once(context: Flask, town: Town, clock: Clock) -> None:
    set_rules(town, freed_minutes=240)
    for _ in town.counter_ids:
        made = booked(town, TEN, clock)
        begin_write_again()
        cancel(made, citizen_of(town.municipality_id), clock())
        db.session.commit()
    office, service = db.session.get_one(Office, town.office_id), db.session.get_one(Service, town.passport_id)
    lines = office_lines(office, clock())
    assert not offer(lines, Demand(service), clock()).has(TEN)
    assert offer(lines.for_staff(), Demand(service), clock()).has(TEN)

    hold_as(Holder(is_staff=True), town, TEN, clock)
    db.session.commit()
    clerk = member(make_staff(town.municipality_id, "clerk@example.org"))
    db.session.commit()
    elsewhere = booked(town, TEN + timedelta(days=1), clock)
    begin_write_again()
    move(elsewhere, db.session.get_one(Office, town.office_id), TEN, clerk, clock())
    db.session.commit()

    assert elsewhere.starts_at == TEN
    assert not offer(office_lines(office, clock()).for_staff(), Demand(service), clock()).has(TEN)


@pytest.mark.parametrize(
    ("typed", "same"),
    [
        ("alice+dentist@example.org", True),
        (" ALICE@example.org", True),
        ("alice@EXAMPLE.ORG", True),
        ("alic@example.org", False),
        ("alice@example.com", False),
    ],
)
def test_a_contact_is_the_same_however_it_is_typed(typed: str, same: bool) -> None:
    known = contact_of(KEYS, MessageChannel.EMAIL, "alice@example.org")

    assert (contact_of(KEYS, MessageChannel.EMAIL, typed).subjects == known.subjects) is same


def test_a_contact_is_found_again_after_a_key_was_added(context: Flask, town: Town, clock: Clock) -> None:
    set_rules(town, open_per_contact=1)
    booked(town, TEN, clock, citizen("alice@example.org"))
    keys = (b"a newer key of the tests, 32 characters", *KEYS)
    later = replace(
        citizen("alice@example.org"), contacts=(contact_of(keys, MessageChannel.EMAIL, "alice@example.org"),)
    )

    with pytest.raises(ContactLimit):
        booked(town, TEN + timedelta(hours=1), clock, later)
