"""Visits of several desks as they are found in memory, against every combination of desks, counters and times."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from booking.appointments.offers import Demand
from booking.appointments.plans import Errands, demands_for
from booking.appointments.timelines import CounterLine, OfficeLines
from booking.slots.clock import TICK_MINUTES, moment_of, tick_of
from booking.townhall.hours import Horizon, Opening
from booking.townhall.models import Counter, Desk, Municipality, Office, Service
from booking.townhall.standing import Standing

pytestmark = pytest.mark.time

ZONE = ZoneInfo("Europe/Brussels")
NOW = datetime(2026, 11, 23, 6, 0, tzinfo=UTC)
HORIZON = Horizon(NOW.date(), 3, ZONE)
NINE = tick_of(datetime(2026, 11, 24, 8, 0, tzinfo=UTC)) - HORIZON.base
SPAN = 24  # ticks from nine to eleven, in which all counters serve


@dataclass(frozen=True)
class Town:
    """Two offices: registry and building in the first, economy in both."""

    wait: int
    walk: int
    way: int | None
    buffers: tuple[int, int, int, int]  # of the desks, in minutes
    taken: tuple[int, ...]  # of two counters a desk, masks of the two hours
    minutes: tuple[int, int, int]
    after: tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]
    desks: tuple[int, int, int] = (0, 1, 2)  # of the three services


DESKS = ((1, "civil"), (1, "building"), (1, "economy"), (2, "economy"))
KEYS = ("civil", "building", "economy")
masks = st.integers(0, 2**SPAN - 1).flatmap(lambda one: st.integers(0, 2**SPAN - 1).map(lambda two: one | two))
towns = st.builds(
    Town,
    wait=st.sampled_from([0, 5, 10, 30]),
    walk=st.sampled_from([0, 3, 5, 10]),
    way=st.sampled_from([None, 5, 15]),
    buffers=st.tuples(*[st.sampled_from([0, 0, 5, 10])] * 4),
    taken=st.tuples(*[masks] * 8),
    minutes=st.tuples(*[st.sampled_from([5, 10, 20])] * 3),
    after=st.sampled_from([((), (), ()), ((), ("civil",), ("civil", "building")), ((), (), ("service-0",))]),
    desks=st.sampled_from([(0, 1, 2), (0, 0, 2), (1, 2, 2)]),
)


def service(number: int, desk: int | None = None, **values: Any) -> Service:
    given_values = {"extra_person_minutes": 0, "max_people": 4, "min_notice_hours": 0, "max_days_ahead": 2}
    made = {
        "desk_key": KEYS[number % 3 if desk is None else desk],
        "combines": None,
        "comes_after": [],
        "minutes": 5,
        **given_values,
        **values,
    }
    return Service(id=100 + number, key=f"service-{number}", **made)


def standing(town: Town) -> Standing:
    """The town as pages know it, of rows that no database has."""
    municipality = Municipality(id=1, longest_wait_minutes=town.wait)
    offices = {id: Office(id=id, municipality=municipality, walk_minutes=town.walk) for id in (1, 2)}
    desks = [
        Desk(id=n + 1, key=key, office=offices[id], office_id=id, buffer_minutes=town.buffers[n])
        for n, (id, key) in enumerate(DESKS)
    ]
    counters = {10 * desk.id + n: Counter(id=10 * desk.id + n, desk=desk, number=n) for desk in desks for n in (1, 2)}
    ways = {(1, 2): town.way, (2, 1): town.way} if town.way is not None else {}
    return Standing(municipality, 1, [], {}, {}, offices, desks, counters, {}, {}, ways)


def errands(town: Town, does: tuple[frozenset[int], ...] | None = None) -> Errands:
    here = standing(town)
    services = [service(n, town.desks[n], minutes=town.minutes[n], comes_after=list(town.after[n])) for n in range(3)]
    hours = ((1 << SPAN) - 1) << NINE
    lines = {}
    for office_id in here.offices:
        counters = [
            CounterLine(
                id,
                Opening(hours, hours),
                town.taken[n] << NINE,
                one.desk.buffer_minutes // TICK_MINUTES,
                frozenset(made.id for made in services if made.desk_key == one.desk.key),
            )
            for n, (id, one) in enumerate(here.counters.items())
            if one.desk.office_id == office_id
        ]
        lines[office_id] = OfficeLines(office_id, 1, HORIZON, NOW + timedelta(days=1), tuple(counters))
    return Errands(tuple(Demand(one) for one in services), here, lines, NOW)


Visit = tuple[tuple[Demand, int, int], ...]  # what for, the counter, and the tick after nine


def visits(asked: Errands, town: Town) -> Iterator[Visit]:
    """Every visit there is: in each order, at each counter, at each time, where all that must hold does."""
    for order in permutations(asked.demands):
        if any(order[n].service.must_follow(other.service) for n in range(3) for other in order[n + 1 :]):
            continue
        first, second, third = (demand.service.desk_key for demand in order)
        if first == third != second:
            continue  # nobody comes back to a desk
        begun: list[Visit] = [((order[0], *place),) for place in places(asked, order[0])]
        for demand in order[1:]:
            stops = [(demand, *place) for place in places(asked, demand)]
            begun = [(*visit, stop) for visit in begun for stop in stops if follows(asked, town, visit[-1], stop)]
        yield from begun


def places(asked: Errands, demand: Demand) -> Iterator[tuple[int, int]]:
    for office in asked.lines.values():
        for line in office.counters:
            free = line.opening.open & ~line.taken
            for tick in range(SPAN - demand.ticks + 1):
                kept = range(NINE + tick, NINE + tick + demand.ticks + line.buffer)
                if demand.service.id in line.services and not any(line.taken >> bit & 1 for bit in kept):
                    assert free >> NINE + tick & 1
                    yield line.counter_id, tick


def follows(asked: Errands, town: Town, one: tuple[Demand, int, int], other: tuple[Demand, int, int]) -> bool:
    here, there = asked.standing.counters[one[1]].desk, asked.standing.counters[other[1]].desk
    minutes = TICK_MINUTES * (other[2] - one[2] - one[0].ticks)
    if here is there:  # it may be the same counter, whose buffer is kept
        return here.buffer_minutes <= minutes <= max(town.wait, here.buffer_minutes)
    way = town.walk if here.office_id == there.office_id else town.way
    if way is None:
        return False
    rounded = -(-way // TICK_MINUTES) * TICK_MINUTES  # who arrives within five minutes is served at the next
    return rounded <= minutes <= rounded + town.wait


@given(town=towns)
def test_visits_are_offered_when_all_desks_have_time_one_after_the_other_and_only_then(town: Town) -> None:
    asked = errands(town)

    found = {(one.office_id, tick_of(start) - HORIZON.base - NINE) for one in asked.offers() for start in one.starts}

    known = list(visits(asked, town))
    begins = {(asked.standing.counters[visit[0][1]].desk.office_id, visit[0][2]) for visit in known}
    assert found == begins
    for office_id, tick in sorted(found)[:4]:
        plan = asked.plan(office_id, moment_of(HORIZON.base + NINE + tick))
        assert plan is not None
        ends = [
            visit[-1][2] + visit[-1][0].ticks
            for visit in known
            if (asked.standing.counters[visit[0][1]].desk.office_id, visit[0][2]) == (office_id, tick)
        ]
        assert tick_of(plan[-1].ends_at) - HORIZON.base - NINE == min(ends)
        stops = tuple((stop.demand, stop.desk.id, tick_of(stop.starts_at) - HORIZON.base - NINE) for stop in plan)
        assert stops in {tuple((one, asked.standing.counters[id].desk.id, at) for one, id, at in v) for v in known}


def test_a_time_between_two_ticks_is_no_visit() -> None:
    asked = errands(Town(30, 5, None, (0, 0, 0, 0), (0,) * 8, (5, 5, 5), ((), (), ())))
    start = moment_of(HORIZON.base + NINE)

    assert asked.plan(1, start) is not None
    assert asked.plan(1, start + timedelta(minutes=1)) is None
    assert asked.plan(2, start) is None  # no way leads from the second office to the first
    assert asked.plan(1, start - timedelta(days=30)) is None


def test_services_that_combine_share_an_appointment_where_one_counter_does_them_all() -> None:
    passport, card, plan = service(0, combines="papers"), service(3, combines="papers"), service(1)
    items = [(passport, 2), (plan, 1), (card, 1)]
    lines = errands(Town(30, 5, None, (0, 0, 0, 0), (0,) * 8, (5, 5, 5), ((), (), ()))).lines[1]
    able = CounterLine(99, Opening(0, 0), 0, 0, frozenset({passport.id, card.id}))
    office = OfficeLines(1, 1, HORIZON, NOW, (*lines.counters, able))

    assert demands_for(items, [office]) == (Demand(passport, 2, ((card, 1),)), Demand(plan))
    assert demands_for(items, [lines]) == (Demand(passport, 2), Demand(plan), Demand(card))


def test_the_minutes_of_services_and_people_add_up() -> None:
    passport, card = service(0, minutes=15, extra_person_minutes=10), service(3, minutes=10, extra_person_minutes=5)

    assert Demand(passport, 2, ((card, 3),)).minutes == 15 + 10 + 10 + 5 + 5


def test_nobody_comes_back_to_a_desk() -> None:
    one, other, between = service(0), service(3), service(1)
    here = standing(Town(30, 5, None, (0, 0, 0, 0), (0,) * 8, (5, 5, 5), ((), (), ())))
    orders = Errands((Demand(one), Demand(between), Demand(other)), here, {}, NOW)._orders

    assert len(orders) == 4
    assert all([demand.service for demand in order][1] is not between for order in orders)
