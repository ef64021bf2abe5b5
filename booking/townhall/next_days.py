"""When times of a further day are put on offer: every midnight the last bookable day of a service moves on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import or_, select

from booking.db import db
from booking.slots.clock import moment_of
from booking.slots.timeline import first_in
from booking.townhall.hours import Horizon, WeeklyRule, opening
from booking.townhall.models import Closure, Counter, CounterService, Desk, Office, OpeningHours, Service

LOOK_AHEAD = 60  # days


@dataclass(frozen=True)
class NextDay:
    """From the beginning of `on` the times of `day` may be booked."""

    on: date
    day: date


def next_day(service: Service, offices: Sequence[Office], today: date, zone: ZoneInfo) -> NextDay | None:
    """When new times of the service come at these offices: the next day beyond the bookable ones on which a counter
    that does it is open. None where there is none within two months."""
    beyond = Horizon(today + timedelta(days=service.max_days_ahead + 1), LOOK_AHEAD, zone)
    rules, closures = _hours(service, [office.id for office in offices])
    is_open = 0
    for counter_id, of_counter in rules.items():
        is_open |= opening(tuple(of_counter), tuple(closures[counter_id]), 5, beyond).grid
    first = first_in(is_open, beyond.base)
    if first is None:
        return None
    day = moment_of(first).astimezone(zone).date()
    return NextDay(day - timedelta(days=service.max_days_ahead), day)


def _hours(
    service: Service, office_ids: Sequence[int]
) -> tuple[dict[int, list[WeeklyRule]], dict[int, list[tuple[datetime, datetime]]]]:
    """The weekly rules and the closures of the counters that do the service, by counter."""
    query = (
        select(OpeningHours)
        .join(CounterService, CounterService.counter_id == OpeningHours.counter_id)
        .join(Counter, Counter.id == OpeningHours.counter_id)
        .join(Desk, Desk.id == Counter.desk_id)
        .where(CounterService.service_id == service.id, Desk.office_id.in_(office_ids))
    )
    rules: defaultdict[int, list[WeeklyRule]] = defaultdict(list)
    for row in db.session.scalars(query):
        rules[row.counter_id].append(WeeklyRule(row.weekday, row.opens, row.closes, row.from_on, row.until_on))
    closed = (
        select(Counter.id, Closure.starts_at, Closure.ends_at)
        .join(Desk, Desk.id == Counter.desk_id)
        .join(Closure, Closure.office_id == Desk.office_id)
        .where(Counter.id.in_(list(rules)), or_(Closure.counter_id.is_(None), Closure.counter_id == Counter.id))
    )
    closures: defaultdict[int, list[tuple[datetime, datetime]]] = defaultdict(list)
    for counter_id, starts_at, ends_at in db.session.execute(closed):
        closures[counter_id].append((starts_at, ends_at))
    return rules, closures
