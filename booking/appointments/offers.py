"""What is free: timelines of an office's counters, and the starts at which a visit fits.

Each process keeps the timelines of an office by its revision. A request reads the revision by primary key and
answers from memory while it is unchanged and no hold has run out. What is shown may come from here; what is sold
is decided by the key of the occupancy table.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from itertools import groupby
from weakref import WeakKeyDictionary
from zoneinfo import ZoneInfo

from sqlalchemy import Engine, and_, func, or_, select

from booking.appointments.models import Occupancy
from booking.db import db
from booking.slots.clock import TICK_MINUTES, day_start, moment_of, tick_from, tick_of
from booking.slots.timeline import first_in, mask_of, room_around, starts, ticks_in
from booking.townhall.hours import Horizon, Opening, WeeklyRule, opening
from booking.townhall.models import (
    Closure,
    Counter,
    CounterService,
    Desk,
    Office,
    OpeningHours,
    Service,
)
from booking.townhall.revisions import is_raised_here


@dataclass(frozen=True)
class CounterLine:
    """One counter over the horizon: when it serves, what is taken, which services it does."""

    counter_id: int
    opening: Opening
    taken: int
    buffer: int  # ticks kept free after a visit
    services: frozenset[int]

    @property
    def free(self) -> int:
        return self.opening.open & ~self.taken

    def fits(self, length: int) -> int:
        """The starts at which a visit of `length` ticks fits, with its buffer behind it."""
        unbroken = starts(self.opening.open, length)
        return unbroken & starts(~self.taken, length + self.buffer) & self.opening.grid


@dataclass(frozen=True)
class OfficeLines:
    """All counters of an office as they were at `revision`; no longer true from `valid_until` on."""

    office_id: int
    revision: int
    horizon: Horizon
    valid_until: datetime
    counters: tuple[CounterLine, ...]


@dataclass(frozen=True)
class Demand:
    """What a citizen asks for: a service for so many people."""

    service: Service
    people: int = 1

    @property
    def length(self) -> timedelta:
        return timedelta(minutes=self.service.length(self.people))

    @property
    def ticks(self) -> int:
        return self.service.length(self.people) // TICK_MINUTES


@dataclass(frozen=True)
class Offer:
    """The free starts of one office: a mask of ticks over its horizon."""

    office_id: int
    zone: ZoneInfo
    base: int
    mask: int

    @property
    def first(self) -> datetime | None:
        tick = first_in(self.mask, self.base)
        return None if tick is None else moment_of(tick)

    @property
    def starts(self) -> Iterator[datetime]:
        """The free starts, earliest first, in the zone of the office."""
        return (moment_of(tick).astimezone(self.zone) for tick in ticks_in(self.mask, self.base))

    @property
    def days(self) -> list[tuple[date, list[datetime]]]:
        """The free starts by local date."""
        return [(day, list(times)) for day, times in groupby(self.starts, key=lambda start: start.date())]

    def has(self, moment: datetime) -> bool:
        tick = tick_of(moment)
        is_tick = tick_from(moment) == tick  # two moments of a repeated hour never compare as equal
        return is_tick and tick >= self.base and bool(self.mask >> (tick - self.base) & 1)

    def but_for(self, moment: datetime) -> Offer:
        """The offer without one start: who moves is not shown the time they have."""
        bit = tick_of(moment) - self.base
        return replace(self, mask=self.mask & ~(1 << bit)) if bit >= 0 else self


Nearby = tuple[datetime, int]  # a free start and the id of its office

_kept: WeakKeyDictionary[Engine, dict[int, OfficeLines]] = WeakKeyDictionary()


def offer(office: Office, demand: Demand, now: datetime, lines: OfficeLines | None = None) -> Offer:
    """The starts free at any counter of the office that does the service, within its notice and horizon."""
    lines = lines or office_lines(office, now)
    zone, base = lines.horizon.zone, lines.horizon.base
    mask = 0
    for counter in lines.counters:
        if demand.service.id in counter.services:
            mask |= counter.fits(demand.ticks)
    return Offer(office.id, zone, base, mask & bookable(demand.service, now, zone, base))


def bookable(service: Service, now: datetime, zone: ZoneInfo, base: int) -> int:
    """The ticks that are neither too near (the service's notice) nor too far (its days ahead)."""
    first = tick_from(now + timedelta(hours=service.min_notice_hours))
    last_day = now.astimezone(zone).date() + timedelta(days=service.max_days_ahead)
    return mask_of([range(first, day_start(last_day + timedelta(days=1), zone))], base)


def first_free(offers: Iterable[Offer]) -> tuple[Offer, datetime] | None:
    """The earliest start over several offices, with the office's offer."""
    found = [(given.first, given) for given in offers if given.first is not None]
    return min(((given, start) for start, given in found), key=lambda pair: pair[1], default=None)


def nearest(offers: Iterable[Offer], wanted: datetime, count: int) -> list[Nearby]:
    """The free starts closest to the wanted one, with their offices; earliest first."""
    found = [(start, given.office_id) for given in offers for start in given.starts]
    closest = sorted(found, key=lambda one: (abs(one[0].timestamp() - wanted.timestamp()), _order(one)))
    return sorted(closest[:count], key=_order)


def _order(one: Nearby) -> tuple[float, int]:
    """By moment: wall-clock times know no order within a repeated hour."""
    return one[0].timestamp(), one[1]


def office_lines(office: Office, now: datetime) -> OfficeLines:
    """The office's timelines, kept by revision."""
    revision = db.session.scalars(select(Office.revision).where(Office.id == office.id)).one()
    kept = _kept.setdefault(db.engine, {})
    lines = kept.get(office.id)
    if lines and lines.revision == revision and _covers(lines, now):
        return lines
    lines = load_lines(office, revision, _horizon(office, now), now)
    if not is_raised_here():
        kept[office.id] = lines
    return lines


def lines_around(office: Office, start: datetime, now: datetime) -> OfficeLines:
    """The timelines of the local day of `start` and the next, read afresh: for a change under way, never kept."""
    zone = ZoneInfo(office.municipality.zone)
    revision = db.session.scalars(select(Office.revision).where(Office.id == office.id)).one()
    return load_lines(office, revision, Horizon(start.astimezone(zone).date(), 2, zone), now)


def tightest(lines: OfficeLines, demand: Demand, start: datetime) -> CounterLine | None:
    """The free counter whose day this visit breaks up least, or None; among equals the least busy, then the first."""
    bit = tick_of(start) - lines.horizon.base
    fitting = [
        counter
        for counter in lines.counters
        if demand.service.id in counter.services and counter.fits(demand.ticks) >> bit & 1
    ]
    return min(
        fitting,
        key=lambda c: (room_around(c.free, bit, demand.ticks), c.taken.bit_count(), c.counter_id),
        default=None,
    )


def load_lines(office: Office, revision: int, horizon: Horizon, now: datetime) -> OfficeLines:
    """Reads all that decides the office's offer over the horizon: four queries whatever its size."""
    counters = db.session.execute(
        select(Counter.id, Desk.step_minutes, Desk.buffer_minutes)
        .join(Desk)
        .where(Desk.office_id == office.id)
        .order_by(Counter.id)
    ).all()
    ids = [counter.id for counter in counters]
    rules, closures = _rules(ids), _closures(office.id, ids)
    taken, valid_until = _taken(ids, horizon, now)
    services = _services(ids)
    return OfficeLines(
        office.id,
        revision,
        horizon,
        valid_until,
        tuple(
            CounterLine(
                id,
                opening(rules[id], closures[id], step, horizon),
                taken[id],
                buffer // TICK_MINUTES,
                services[id],
            )
            for id, step, buffer in counters
        ),
    )


def _covers(lines: OfficeLines, now: datetime) -> bool:
    return now < lines.valid_until and lines.horizon.first_day == now.astimezone(lines.horizon.zone).date()


def _horizon(office: Office, now: datetime) -> Horizon:
    """From today to the farthest day that any service may be booked, and one more: a visit may run past midnight."""
    zone = ZoneInfo(office.municipality.zone)
    farthest = select(func.max(Service.max_days_ahead)).where(Service.municipality_id == office.municipality_id)
    return Horizon(now.astimezone(zone).date(), (db.session.scalar(farthest) or 0) + 2, zone)


def _rules(ids: list[int]) -> dict[int, tuple[WeeklyRule, ...]]:
    found: dict[int, tuple[WeeklyRule, ...]] = dict.fromkeys(ids, ())
    query = select(OpeningHours).where(OpeningHours.counter_id.in_(ids)).order_by(OpeningHours.id)
    for row in db.session.scalars(query):
        found[row.counter_id] += (WeeklyRule(row.weekday, row.opens, row.closes, row.from_on, row.until_on),)
    return found


def _closures(office_id: int, ids: list[int]) -> dict[int, tuple[tuple[datetime, datetime], ...]]:
    found: dict[int, tuple[tuple[datetime, datetime], ...]] = dict.fromkeys(ids, ())
    for row in db.session.scalars(select(Closure).where(Closure.office_id == office_id).order_by(Closure.id)):
        for id in ids if row.counter_id is None else [row.counter_id]:
            found[id] += ((row.starts_at, row.ends_at),)
    return found


def _services(ids: list[int]) -> dict[int, frozenset[int]]:
    found: dict[int, set[int]] = {id: set() for id in ids}
    query = select(CounterService.counter_id, CounterService.service_id).where(CounterService.counter_id.in_(ids))
    for counter_id, service_id in db.session.execute(query):
        found[counter_id].add(service_id)
    return {id: frozenset(services) for id, services in found.items()}


def _taken(ids: list[int], horizon: Horizon, now: datetime) -> tuple[dict[int, int], datetime]:
    """The taken ticks of each counter, and the moment at which the first of them ends by itself."""
    base, end = horizon.base, horizon.base + (horizon.days * 25 * 60) // TICK_MINUTES
    ticks: dict[int, list[int]] = defaultdict(list)
    valid_until = moment_of(day_start(horizon.first_day + timedelta(days=1), horizon.zone))
    lasting = or_(Occupancy.expires_at.is_(None), Occupancy.expires_at > now)
    query = select(Occupancy.counter_id, Occupancy.tick, Occupancy.expires_at).where(
        and_(Occupancy.counter_id.in_(ids), Occupancy.tick >= base, Occupancy.tick < end, lasting)
    )
    for counter_id, tick, expires_at in db.session.execute(query):
        ticks[counter_id].append(tick)
        valid_until = valid_until if expires_at is None else min(valid_until, expires_at)
    return {id: _mask(ticks[id], base) for id in ids}, valid_until


def _mask(ticks: list[int], base: int) -> int:
    """The integer with these ticks set, by way of bytes: a shift for each tick would copy the integer each time."""
    if not ticks:
        return 0
    bits = bytearray((max(ticks) - base) // 8 + 1)
    for tick in ticks:
        bits[(tick - base) >> 3] |= 1 << ((tick - base) & 7)
    return int.from_bytes(bits, "little")
