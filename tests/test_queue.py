"""Who is next and why: the order of a desk's queue, the share of walk-ins, and when each may expect to be called."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st

from booking.appointments.queue import (
    Server,
    Share,
    Waiting,
    Why,
    call_next,
    expected_calls,
    first,
    in_order,
    line_of,
    place_of,
    share_of,
)
from booking.appointments.visits import take_step, take_ticket
from booking.db import db
from booking.townhall.models import Counter, Desk, Service
from tests.factories import Town, make_service
from tests.test_staff_pages import appointment
from tests.test_visits import NINE, TEN, desk, press, subject

__all__ = ["desk"]
pytestmark = pytest.mark.counter

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
TEN_MINUTES = timedelta(minutes=10)


def waits(id: int, why: Why, minutes: int, *services: int) -> Waiting:
    """Since so many minutes after NOW."""
    return Waiting(id, why, NOW + timedelta(minutes=minutes), TEN_MINUTES, frozenset(services))


def order(waiting: list[Waiting], share: Share | None = None) -> list[int]:
    return [one.id for one in in_order(waiting, share or Share(), NOW)]


def test_an_appointment_goes_first_at_its_time_and_not_before() -> None:
    early, due, walk_in = waits(1, Why.TIME, 5), waits(2, Why.TIME, -3), waits(3, Why.WALK_IN, -40)

    assert order([early, due, walk_in]) == [2, 3, 1]


def test_who_came_late_goes_with_the_walk_ins_by_when_they_came() -> None:
    assert order([waits(1, Why.WALK_IN, -10), waits(2, Why.LATE, -12), waits(3, Why.LATE, -5)]) == [2, 1, 3]


def test_a_share_of_the_hour_is_for_walk_ins() -> None:
    booked = [waits(n, Why.TIME, -20 + n) for n in range(6)]
    walk_ins = [waits(10 + n, Why.WALK_IN, -20 + n) for n in range(4)]

    assert order(booked + walk_ins, Share(0)) == [0, 1, 2, 3, 4, 5, 10, 11, 12, 13]
    assert order(booked + walk_ins, Share(50)) == [0, 10, 1, 11, 2, 12, 3, 13, 4, 5]
    assert order(booked + walk_ins, Share(25)) == [0, 1, 2, 10, 3, 4, 5, 11, 12, 13]
    assert order(booked + walk_ins, Share(100)) == [10, 11, 12, 13, 0, 1, 2, 3, 4, 5]


def test_nobody_waits_while_a_counter_could_serve_them() -> None:
    servers = [Server(NOW, frozenset({1})), Server(NOW + timedelta(minutes=5), frozenset({1, 2}))]
    waiting = [waits(1, Why.WALK_IN, -9, 1), waits(2, Why.WALK_IN, -8, 2), waits(3, Why.WALK_IN, -7)]

    calls = expected_calls(waiting, [], servers, Share(), NOW)

    assert {id: (at - NOW).seconds // 60 for id, at in calls.items()} == {1: 0, 2: 5, 3: 10}


def test_those_still_to_come_are_reckoned_with() -> None:
    to_come = [waits(-1, Why.TIME, 10), waits(-2, Why.TIME, 20)]

    calls = expected_calls(
        [waits(1, Why.WALK_IN, -1), waits(2, Why.WALK_IN, 0)], to_come, [Server(NOW, frozenset())], Share(), NOW
    )

    assert {id: (at - NOW).seconds // 60 for id, at in calls.items()} == {1: 0, 2: 30}


def test_what_no_counter_does_has_no_time() -> None:
    assert expected_calls([waits(1, Why.WALK_IN, 0, 9)], [], [Server(NOW, frozenset({1}))], Share(), NOW) == {}


WAITING = st.builds(
    waits,
    st.integers(1, 10**6),
    st.sampled_from(Why),
    st.integers(-60, 60),
    st.integers(1, 3),
)


@given(st.lists(WAITING, max_size=12, unique_by=lambda one: one.id), st.integers(0, 100))
def test_the_shown_order_is_the_order_of_calls(waiting: list[Waiting], percent: int) -> None:
    shown, share, left, called = order(waiting, Share(percent)), Share(percent), list(waiting), list[int]()
    while (one := first(left, share, NOW)) is not None:
        left.remove(one)
        called.append(one.id)
        share = share.after(one)

    assert called == shown and sorted(shown) == sorted(one.id for one in waiting)
    by_id = {one.id: one for one in waiting}
    for why in (Why.TIME, Why.WALK_IN):
        same = [by_id[id].since for id in shown if by_id[id].why == why]
        assert same == sorted(same)  # among equals nobody is overtaken


@given(st.lists(WAITING, max_size=10, unique_by=lambda one: one.id), st.integers(1, 3))
def test_a_counter_is_never_reckoned_to_serve_two(waiting: list[Waiting], counters: int) -> None:
    servers = [Server(NOW, frozenset({1, 2, 3}))] * counters

    calls = expected_calls(waiting, [], servers, Share(), NOW)

    assert set(calls) == {one.id for one in waiting}
    for at in calls.values():
        assert sum(at <= other < at + TEN_MINUTES for other in calls.values()) <= counters


def test_a_walk_in_is_told_who_is_before_and_when(app: Flask, desk: Town) -> None:
    appointment(app, desk, start=TEN)
    with app.app_context():
        place = db.session.get_one(Desk, desk.desk_id)
        passport = db.session.get_one(Service, desk.passport_id)
        tickets = [take_ticket(place, passport, 1, press(at=NINE)) for _ in range(4)]
        db.session.flush()

        found = [place_of(one, NINE) for one in tickets]

        assert [one and one[0] for one in found] == [0, 1, 2, 3]
        expected = [one and one[1].expected_at for one in found]
        assert expected == [NINE, NINE, NINE + timedelta(minutes=15), NINE + timedelta(minutes=15)]


def test_a_counter_calls_only_what_it_can_do(app: Flask, desk: Town) -> None:
    with app.app_context():
        first_counter, second = (db.session.get_one(Counter, id) for id in desk.counter_ids)
        only = make_service(first_counter.desk.office.municipality, "only-there", [second])
        take_ticket(first_counter.desk, only, 1, press(at=NINE))
        question = take_ticket(first_counter.desk, None, 1, press(at=TEN))

        assert call_next(first_counter, 0, press()) is question


def test_the_time_of_one_who_was_missed_goes_to_the_queue(app: Flask, desk: Town) -> None:
    id = appointment(app, desk, start=TEN)
    with app.app_context():
        counter = db.session.get_one(Counter, subject(id, desk).counter_id)
        ticket = take_ticket(counter.desk, None, 1, press(at=NINE))
        before = line_of(counter.desk, TEN).places[0].expected_at
        take_step("miss", subject(id, desk), press(at=TEN + TEN_MINUTES))

        assert before is not None
        assert call_next(counter, 0, press(at=TEN + TEN_MINUTES)) is ticket


def test_the_share_counts_the_calls_of_the_hour(app: Flask, desk: Town) -> None:
    id = appointment(app, desk, start=TEN)
    with app.app_context():
        counter, other = (db.session.get_one(Counter, id) for id in desk.counter_ids)
        counter.desk.walk_in_percents = {"10": 50}
        take_step("arrive", subject(id, desk), press(at=NINE))
        tickets = [take_ticket(counter.desk, None, 1, press(at=NINE)) for _ in range(2)]
        assert share_of(counter.desk, TEN) == Share(50, 0, 0)

        assert call_next(counter, 0, press(at=TEN)) is subject(id, desk).visit
        assert share_of(counter.desk, TEN) == Share(50, 1, 0)
        assert call_next(other, 0, press(at=TEN)) is tickets[0]
        assert share_of(counter.desk, TEN + timedelta(hours=1)) == Share()
