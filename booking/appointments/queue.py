"""The queue of a desk: who is next and why, and when each may expect to be called. The order is pure arithmetic.

Who came in time for an appointment is called at its time, before all others. The others (walk-ins, and those who came
late) go by when they came; who is early goes when nobody else waits. Where a desk gives a share of an hour to walk-ins,
a walk-in goes first as long as fewer than that share of the hour's calls were walk-ins.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from sqlalchemy import func, or_, select
from sqlalchemy.orm import joinedload, selectinload

from booking.appointments.models import Appointment, AppointmentService, Visit, VisitState, VisitStep
from booking.appointments.timelines import OfficeLines, office_lines
from booking.appointments.visits import (
    UNDERWAY,
    CounterBusy,
    Press,
    grace_of,
    state_of,
    take_step,
    visit_at,
    waits_since,
)
from booking.db import db
from booking.slots.clock import day_start, moment_of, tick_of
from booking.slots.timeline import between, first_in
from booking.townhall.models import Counter, CounterService, Desk, Service
from booking.townhall.revisions import raise_activity

QUESTION_MINUTES = 5  # what somebody is given who only wants to ask


class Why(StrEnum):
    """For what reason somebody stands where they stand."""

    TIME = "time"  # came in time for an appointment
    LATE = "late"  # came after the desk's grace: in the order of coming
    WALK_IN = "walk-in"


@dataclass(frozen=True)
class Waiting:
    """One who waits, or will come, as the order needs it. `since`: the agreed time, or when they came."""

    id: int
    why: Why
    since: datetime
    length: timedelta
    services: frozenset[int] = frozenset()  # none: any counter will do


@dataclass(frozen=True)
class Share:
    """How many were called in this hour, and the part of the calls that walk-ins are given."""

    percent: int = 0
    calls: int = 0
    walk_ins: int = 0

    @property
    def is_behind(self) -> bool:
        return (self.walk_ins + 1) * 100 <= self.percent * (self.calls + 1)

    def after(self, one: Waiting) -> Share:
        return replace(self, calls=self.calls + 1, walk_ins=self.walk_ins + (one.why == Why.WALK_IN))


@dataclass(frozen=True)
class Server:
    """A counter: when it is free next, and what it does."""

    free_at: datetime
    services: frozenset[int]

    def does(self, one: Waiting) -> bool:
        return one.services <= self.services


def first(waiting: Iterable[Waiting], share: Share, now: datetime) -> Waiting | None:
    """Who is next."""
    order = sorted(waiting, key=lambda one: (one.since, one.id))
    due = next((one for one in order if one.why == Why.TIME and one.since <= now), None)
    walk_in = next((one for one in order if one.why == Why.WALK_IN), None)
    if due and walk_in and share.is_behind:
        return walk_in
    return due or next(iter(order), None)


def in_order(waiting: Sequence[Waiting], share: Share, now: datetime) -> list[Waiting]:
    """All of them as they would be called if all were called now."""
    left, found = list(waiting), list[Waiting]()
    while (one := first(left, share, now)) is not None:
        left.remove(one)
        found.append(one)
        share = share.after(one)
    return found


def expected_calls(
    waiting: Sequence[Waiting], to_come: Sequence[Waiting], servers: Sequence[Server], share: Share, now: datetime
) -> dict[int, datetime]:
    """When each who waits will be called, by id, if all goes as planned and all who are to come do so in time.

    Whom no counter can serve has no time.
    """
    found: dict[int, datetime] = {}
    here, coming = list(waiting), list(to_come)
    free = [(max(one.free_at, now), number) for number, one in enumerate(servers)]
    heapq.heapify(free)
    while here and free:
        at, number = heapq.heappop(free)
        server = servers[number]
        present = [one for one in here if server.does(one)]
        present += [one for one in coming if one.since <= at and server.does(one)]
        one = first(present, share, at)
        if one is None:
            later = [other.since for other in coming if server.does(other)]
            if later:
                heapq.heappush(free, (min(later), number))
            continue
        if one in here:
            found[one.id] = at
            here.remove(one)
        else:
            coming.remove(one)
        share = share.after(one)
        heapq.heappush(free, (at + one.length, number))
    return found


@dataclass(frozen=True)
class Place:
    """Somebody's place in the queue."""

    visit: Visit
    why: Why
    expected_at: datetime | None


@dataclass(frozen=True)
class Line:
    """Who is at a desk today: who waits, in their order, who is called or served, and who is parked."""

    places: tuple[Place, ...]
    underway: tuple[Visit, ...]
    parked: tuple[Visit, ...]
    share: Share
    visits: tuple[Visit, ...]  # all who came, whatever became of them


def line_of(desk: Desk, now: datetime) -> Line:
    """The queue of a desk as it stands."""
    visits = visits_of(desk, _today(desk, now))
    share = share_of(desk, now)
    waiting = {one.id: waiting_of(one) for one in visits if state_of(one) == VisitState.ARRIVED}
    underway = tuple(one for one in visits if one.state in UNDERWAY)
    servers = _servers(desk, underway, now) if waiting else []
    calls = expected_calls(list(waiting.values()), _to_come(desk, now) if waiting else [], servers, share, now)
    by_id = {one.id: one for one in visits}
    places = tuple(
        Place(by_id[one.id], one.why, calls.get(one.id)) for one in in_order(list(waiting.values()), share, now)
    )
    parked = tuple(one for one in visits if state_of(one) == VisitState.PARKED)
    return Line(places, underway, parked, share, tuple(visits))


def call_next(counter: Counter, current: int, press: Press) -> Visit | None:
    """Ends the visit at the counter, if one is being served, and calls the next one that this counter can serve.

    `current` is the visit that the page showed at the counter, 0 for none: a second press changes nothing. Returns
    whom the counter then has, None if nobody waits. Raises CounterBusy while somebody called has not come. Flushes.
    """
    raise_activity([counter.desk.office_id], press.now)
    here = visit_at(counter.id)
    if (here.id if here else 0) != current:
        return here
    if here is not None:
        if here.state == VisitState.CALLED:
            raise CounterBusy
        take_step("serve", here, replace(press, seen=None))
    chosen = next_for(counter, press.now)
    return chosen and take_step("call", chosen, replace(press, counter_id=counter.id, seen=None))


def next_for(counter: Counter, now: datetime) -> Visit | None:
    """Whom this counter would call next."""
    does = frozenset(
        db.session.scalars(select(CounterService.service_id).where(CounterService.counter_id == counter.id))
    )
    visits = {one.id: one for one in visits_of(counter.desk, _today(counter.desk, now)) if one.state == "arrived"}
    waiting = [waiting_of(one) for one in visits.values()]
    chosen = first([one for one in waiting if one.services <= does], share_of(counter.desk, now), now)
    return visits[chosen.id] if chosen else None


def visits_of(desk: Desk, day: date) -> Sequence[Visit]:
    """Who came to the desk on this local day or is at it now, with all that a page shows of them."""
    appointment = joinedload(Visit.appointment)
    return db.session.scalars(
        select(Visit)
        .where(Visit.desk_id == desk.id, or_(Visit.came_on == day, Visit.counter_id.is_not(None)))
        .order_by(Visit.arrived_at, Visit.id)
        .options(
            appointment.joinedload(Appointment.booking),
            appointment.joinedload(Appointment.counter),
            appointment.selectinload(Appointment.items).joinedload(AppointmentService.service),
            joinedload(Visit.counter),
            joinedload(Visit.service).selectinload(Service.texts),
        )
        .execution_options(populate_existing=True)
    ).all()


def waiting_of(visit: Visit) -> Waiting:
    """The visit as the order needs it."""
    came_at, appointment = waits_since(visit), visit.appointment
    if appointment is None:
        service = visit.service
        length = service.length(min(visit.people, service.max_people)) if service else QUESTION_MINUTES
        services = frozenset({service.id} if service else ())
        return Waiting(visit.id, Why.WALK_IN, came_at, timedelta(minutes=length), services)
    length_booked = appointment.ends_at - appointment.starts_at
    if visit.desk_id != appointment.counter.desk_id:  # sent on by the desk of the appointment
        return Waiting(visit.id, Why.TIME, came_at, length_booked)
    services = _services(appointment)
    if came_at > appointment.starts_at + grace_of(appointment):
        return Waiting(visit.id, Why.LATE, came_at, length_booked, services)
    return Waiting(visit.id, Why.TIME, appointment.starts_at, length_booked, services)


def share_of(desk: Desk, now: datetime) -> Share:
    """What walk-ins are given of this hour, and who was called in it."""
    local = now.astimezone(ZoneInfo(desk.office.municipality.zone))
    percent = int(desk.walk_in_percents.get(str(local.hour), 0))
    if not percent:
        return Share()
    began = now - timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)
    called = (
        select(func.count(), func.count(Visit.appointment_id))
        .select_from(VisitStep)
        .join(Visit, Visit.id == VisitStep.visit_id)
        .where(VisitStep.desk_id == desk.id, VisitStep.step == "call", VisitStep.at >= began)
        .where(VisitStep.is_undone.is_(False))
    )
    calls, booked = db.session.execute(called).one()
    return Share(percent, calls, calls - booked)


def _servers(desk: Desk, underway: Sequence[Visit], now: datetime) -> list[Server]:
    """The counters that serve today from now on: free when the present visit has had its planned time."""
    busy = {one.counter_id: (one.called_at or now) + waiting_of(one).length for one in underway}
    lines, mine = office_lines(desk.office, now), {counter.id for counter in desk.counters}
    bit, found = tick_of(now) - lines.horizon.base, list[Server]()
    for line in lines.counters:
        opens = first_in((line.opening.open & _today_mask(lines)) >> bit << bit, lines.horizon.base)
        if opens is not None and line.counter_id in mine:
            found.append(Server(max(busy.get(line.counter_id, now), moment_of(opens), now), line.services))
    return found


def _today_mask(lines: OfficeLines) -> int:
    """The ticks of the horizon's first day."""
    first_day, zone = lines.horizon.first_day, lines.horizon.zone
    return between(0, day_start(first_day + timedelta(days=1), zone) - lines.horizon.base)


def _to_come(desk: Desk, now: datetime) -> list[Waiting]:
    """The appointments of the next hours whose citizens are still expected."""
    query = (
        select(Appointment)
        .join(Appointment.counter)
        .outerjoin(Appointment.visit)
        .where(Counter.desk_id == desk.id, Appointment.state == "booked")
        .where(Appointment.starts_at > now, Appointment.starts_at < now + timedelta(hours=6))
        .where(or_(Visit.id.is_(None), Visit.state == VisitState.EXPECTED))
        .options(selectinload(Appointment.items))
    )
    return [
        Waiting(-one.id, Why.TIME, one.starts_at, one.ends_at - one.starts_at, _services(one))
        for one in db.session.scalars(query)
    ]


def _services(appointment: Appointment) -> frozenset[int]:
    return frozenset(item.service_id for item in appointment.items)


def _today(desk: Desk, now: datetime) -> date:
    return now.astimezone(ZoneInfo(desk.office.municipality.zone)).date()


def place_of(visit: Visit, now: datetime) -> tuple[int, Place] | None:
    """How many stand in front of the visit, and its place; None where it does not wait."""
    if state_of(visit) != VisitState.ARRIVED or visit.came_on != _today(db.session.get_one(Desk, visit.desk_id), now):
        return None
    places = line_of(db.session.get_one(Desk, visit.desk_id), now).places
    return next(((number, place) for number, place in enumerate(places) if place.visit.id == visit.id), None)
