"""The timelines of an office's counters, kept in memory by revision and brought up to date by what changed.

Each process keeps the offices it was asked for. A request reads the revision and answers from memory while it is
unchanged and nothing has ended by itself (a hold, the delay of a freed slot, the day). Otherwise only the stretches
that changed are read again; reading one twice is harmless. The revision is read before what it stands for, so that
memory may be newer than its number, never older; what others wrote meanwhile is read again with their number. What
is shown may come from here; what is sold is decided by the key of the occupancy table.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from functools import cached_property
from threading import Lock
from typing import Any
from weakref import WeakKeyDictionary
from zoneinfo import ZoneInfo

from sqlalchemy import Engine, and_, bindparam, func, or_, select, tuple_

from booking.appointments.models import Occupancy
from booking.db import db, run
from booking.slots.clock import TICK_MINUTES, day_start, moment_of, tick_of
from booking.slots.timeline import starts
from booking.townhall.hours import Horizon, Opening, WeeklyRule, opening
from booking.townhall.models import Change, Closure, Counter, CounterService, Desk, Office, OpeningHours, Service
from booking.townhall.releases import Part, next_release, parts, unreleased, waves_of
from booking.townhall.revisions import raised_here, revisions
from booking.townhall.shares import kept_for_walk_ins

MANY = 500  # changes to follow one by one; more than that, and reading the office again is faster


@dataclass(frozen=True)
class CounterLine:
    """One counter over the horizon, as integers of ticks: when it serves and what is taken."""

    counter_id: int
    opening: Opening
    taken: int  # by appointments, living holds and freed slots that are not back yet
    buffer: int  # ticks kept free after a visit
    services: frozenset[int]
    held: int = 0  # the part of `taken` that holds keep; those that became bookings meanwhile may be in it
    kept_back: int = 0  # open, but for walk-ins: no citizen can book it
    parts: tuple[Part, ...] = ()  # of its hours, where these are released to citizens in waves
    unreleased: int = 0  # of these what citizens cannot book yet, or never
    freed: int = 0  # the part of `taken` that was given back and returns by itself; staff may use it
    ends: Mapping[int, datetime] = field(default_factory=dict)  # tick → when it ends by itself
    _fits: dict[int, int] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def free(self) -> int:
        return self.bookable & ~self.taken

    @property
    def bookable(self) -> int:
        """When citizens may come with an appointment."""
        return self.opening.open & ~(self.kept_back | self.unreleased)

    def fits(self, length: int) -> int:
        """The starts at which a visit of `length` ticks fits, with its buffer behind it."""
        found = self._fits.get(length)
        if found is None:
            unbroken = starts(self.bookable, length)
            found = unbroken & starts(~self.taken, length + self.buffer) & self.opening.grid
            self._fits[length] = found
        return found


@dataclass(frozen=True)
class OfficeLines:
    """All counters of an office as they were at `revision`; no longer true from `valid_until` on."""

    office_id: int
    revision: int
    horizon: Horizon
    valid_until: datetime
    counters: tuple[CounterLine, ...]
    access: frozenset[str] = frozenset()  # what helps people get in, as the office says it
    lengths: Mapping[int, int] = field(default_factory=dict)  # of the services done here, in ticks, for one person
    _fitting: dict[tuple[Sequence[frozenset[int]], int], int] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def fitting(self, service_ids: frozenset[int], length: int) -> int:
        """The starts at which a visit of `length` ticks fits at any counter that does all these services."""
        doing = tuple([services for services in self._teams if service_ids <= services])  # many services share these
        found = self._fitting.get((doing, length))
        if found is None:
            found = 0
            for counter in (counter for services in doing for counter in self._teams[services]):
                found |= counter.fits(length)
            self._fitting[doing, length] = found
        return found

    @cached_property
    def _teams(self) -> Mapping[frozenset[int], Sequence[CounterLine]]:
        """The counters by the services they do: those of a desk mostly do the same."""
        found: dict[frozenset[int], list[CounterLine]] = {}
        for counter in self.counters:
            found.setdefault(counter.services, []).append(counter)
        return found

    def local_day(self, tick: int) -> date:
        """The local date on which the tick begins."""
        return moment_of(tick).astimezone(self.horizon.zone).date()

    def for_staff(self) -> OfficeLines:
        """The lines as staff see them, who may use a freed slot at once, and hours before they are released."""
        seen = (replace(one, taken=one.taken & ~one.freed, unreleased=0) for one in self.counters)
        return replace(self, counters=tuple(seen))

    def beyond_quota(self) -> OfficeLines:
        """The lines with what is kept back for walk-ins."""
        return replace(self, counters=tuple(replace(one, kept_back=0) for one in self.counters))


_kept: WeakKeyDictionary[Engine, dict[int, OfficeLines]] = WeakKeyDictionary()

_loading = Lock()


def office_lines(office: Office, now: datetime, revision: int | None = None) -> OfficeLines:
    """The office's timelines at this revision or a later one; the present one where none is given.

    Inside a transaction that has raised the office they hold all that was committed before it, and its own
    changes: nobody else can change the office until it ends.
    """
    if revision is None:
        revision = revisions([office.id])[office.id]
    kept = _kept.setdefault(db.engine, {})
    lines = kept.get(office.id)
    if lines and _holds(lines, revision, now):
        return lines
    fresh = _followed(lines, revision, now) if lines and _covers(lines, now) else None
    fresh = fresh or _loaded(office, revision, now)
    newest = kept.get(office.id)
    if office.id not in raised_here() and (newest is None or newest.revision <= fresh.revision):
        kept[office.id] = fresh
    return fresh


def lines_of_day(office: Office, lines: OfficeLines, start: datetime, now: datetime) -> OfficeLines:
    """The lines, or where they do not reach the start those of its own day: what is held was once within the days
    ahead of its service, and stays so when these are made fewer."""
    if tick_of(start) < lines.horizon.end:
        return lines
    return load_lines(office, lines.revision, Horizon(lines.local_day(tick_of(start)), 2, lines.horizon.zone), now)


def _loaded(office: Office, revision: int, now: datetime) -> OfficeLines:
    """The whole office, read by one thread at a time: the others find what it has kept."""
    if office.id in raised_here():
        return load_lines(office, revision, _horizon(office, now), now)
    with _loading:
        lines = _kept[db.engine].get(office.id)
        if lines and _holds(lines, revision, now):
            return lines
        return load_lines(office, revision, _horizon(office, now), now)


def load_lines(office: Office, revision: int, horizon: Horizon, now: datetime) -> OfficeLines:
    """Reads all that decides the office's offer over the horizon: five queries whatever its size."""
    counters = db.session.execute(
        select(Counter.id, Counter.desk_id, Desk.step_minutes, Desk.buffer_minutes, Desk.walk_in_percents)
        .add_columns(Desk.releases)
        .join(Desk)
        .where(Desk.office_id == office.id)
        .order_by(Counter.id)
    ).all()
    ids = [counter.id for counter in counters]
    rules, closures = _rules(ids), _closures(office.id, ids)
    services, lengths = _services(ids)
    empty = tuple(
        CounterLine(id, opening(rules[id], closures[id], step, horizon), 0, buffer // TICK_MINUTES, services[id])
        for id, _, step, buffer, *_ in counters
    )
    empty = tuple(_in_waves(line, one.releases, horizon) for line, one in zip(empty, counters, strict=True))
    shares = {one.desk_id: one.walk_in_percents for one in counters if one.walk_in_percents}
    if shares:
        empty = _with_shares(empty, {id: desk_id for id, desk_id, *_ in counters}, shares, horizon)
    access = frozenset(office.access)
    lines = OfficeLines(office.id, revision, horizon, _midnight(horizon), empty, access, lengths)
    end = horizon.base + (horizon.days * 25 * 60) // TICK_MINUTES
    lasting = or_(Occupancy.expires_at.is_(None), Occupancy.expires_at > now)
    taken = select(*_TICK).where(
        and_(Occupancy.counter_id.in_(ids), Occupancy.tick >= horizon.base, Occupancy.tick < end, lasting)
    )
    return _with(lines, {}, db.session.execute(taken), now)


def _with_shares(
    lines: tuple[CounterLine, ...], desks: Mapping[int, int], shares: Mapping[int, Mapping[str, int]], horizon: Horizon
) -> tuple[CounterLine, ...]:
    """The counters of each desk, less what it keeps back for walk-ins."""
    masks: dict[int, int] = {}
    for desk_id, percents in shares.items():
        opening = {line.counter_id: line.opening.open for line in lines if desks[line.counter_id] == desk_id}
        masks |= kept_for_walk_ins(opening, percents, horizon)
    return tuple(replace(line, kept_back=masks.get(line.counter_id, 0)) for line in lines)


def _in_waves(line: CounterLine, rows: Sequence[Mapping[str, Any]], horizon: Horizon) -> CounterLine:
    """The counter with its hours shared out among the waves of its desk."""
    waves = waves_of(rows)
    return replace(line, parts=parts(line.counter_id, line.opening.open, waves, horizon)) if waves else line


def _released(line: CounterLine, horizon: Horizon, now: datetime) -> CounterLine:
    return replace(line, unreleased=unreleased(line.parts, horizon, now)) if line.parts else line


def _holds(lines: OfficeLines, revision: int, now: datetime) -> bool:
    """Whether the lines are true now; asked for each of a hundred offices. None is valid beyond its first day."""
    return lines.revision >= revision and lines.horizon.base <= tick_of(now) and now < lines.valid_until


def _covers(lines: OfficeLines, now: datetime) -> bool:
    return lines.horizon.first_day == now.astimezone(lines.horizon.zone).date()


def _horizon(office: Office, now: datetime) -> Horizon:
    """From today to the farthest day that any service may be booked, and one more: a visit may run past midnight."""
    zone = ZoneInfo(office.municipality.zone)
    farthest = select(func.max(Service.max_days_ahead)).where(Service.municipality_id == office.municipality_id)
    return Horizon(now.astimezone(zone).date(), (db.session.scalar(farthest) or 0) + 2, zone)


def _midnight(horizon: Horizon) -> datetime:
    return moment_of(day_start(horizon.first_day + timedelta(days=1), horizon.zone))


_TICK = (Occupancy.counter_id, Occupancy.tick, Occupancy.expires_at, Occupancy.hold_id)
TickRow = tuple[int, int, datetime | None, int | None]

_FOLLOW = (
    select(Change.revision, Change.counter_id, Change.first_tick, Change.end_tick)
    .add_columns(Occupancy.tick, Occupancy.expires_at, Occupancy.hold_id)
    .outerjoin(
        Occupancy,
        and_(
            Occupancy.counter_id == Change.counter_id,
            Occupancy.tick >= Change.first_tick,
            Occupancy.tick < Change.end_tick,
        ),
    )
    .where(Change.office_id == bindparam("office"), Change.revision > bindparam("revision"))
)

_ENDED = select(*_TICK).where(
    tuple_(Occupancy.counter_id, Occupancy.tick).in_(bindparam("ticks", expanding=True)),
)


def _followed(lines: OfficeLines, revision: int, now: datetime) -> OfficeLines | None:
    """The lines brought to `revision` or later; None where a revision between does not say what it changed."""
    if revision - lines.revision > MANY:
        return None
    again: dict[int, set[int]] = defaultdict(set)  # the ticks to read again, by counter
    found: list[TickRow] = []
    if revision > lines.revision:
        told = {raised_here().get(lines.office_id)}
        rows: Sequence[Any] = run(_FOLLOW, {"office": lines.office_id, "revision": lines.revision}).all()
        for number, counter_id, first, end, tick, expires_at, hold_id in rows:
            told.add(number)
            again[counter_id].update(range(first, end))
            if tick is not None:
                found.append((counter_id, tick, expires_at, hold_id))
        newest = max(revision, *(row.revision for row in rows)) if rows else revision
        if not told.issuperset(range(lines.revision + 1, newest + 1)):
            return None
        lines = replace(lines, revision=newest)
    ended = [
        (line.counter_id, tick)
        for line in lines.counters
        for tick, end_at in line.ends.items()
        if end_at <= now and tick not in again[line.counter_id]
    ]
    if ended:
        for counter_id, tick in ended:
            again[counter_id].add(tick)
        found += run(_ENDED, {"ticks": ended}).all()
    return _with(lines, again, found, now)


def _with(lines: OfficeLines, again: Mapping[int, set[int]], rows: Iterable[TickRow], now: datetime) -> OfficeLines:
    """The lines in which the ticks of `again` are as the rows say: those are all the rows there are for them."""
    base, limit = lines.horizon.base, lines.horizon.days * 25 * 60 // TICK_MINUTES
    taken: dict[int, list[int]] = defaultdict(list)
    held: dict[int, list[int]] = defaultdict(list)
    freed: dict[int, list[int]] = defaultdict(list)
    ends: dict[int, dict[int, datetime]] = defaultdict(dict)
    for counter_id, tick, expires_at, hold_id in rows:
        if (expires_at is not None and expires_at <= now) or not 0 <= tick - base < limit:
            continue
        taken[counter_id].append(tick - base)
        if expires_at is not None:
            (freed if hold_id is None else held)[counter_id].append(tick - base)
            ends[counter_id][tick] = expires_at
    counters = tuple(
        replace(
            line,
            taken=line.taken & stays | _mask(taken[id]),
            held=line.held & stays | _mask(held[id]),
            freed=line.freed & stays | _mask(freed[id]),
            ends={tick: end_at for tick, end_at in line.ends.items() if tick not in gone} | ends[id],
        )
        if gone or id in taken
        else line
        for line in lines.counters
        for id in (line.counter_id,)
        for gone in (again.get(id, ()),)
        for stays in (~_mask([tick - base for tick in gone if 0 <= tick - base < limit]),)
    )
    counters = tuple(_released(line, lines.horizon, now) for line in counters)
    ending = [end_at for line in counters for end_at in line.ends.values()]
    release = next_release((part for line in counters for part in line.parts), lines.horizon, now)
    moments = [_midnight(lines.horizon), *ending, *([release] if release else [])]
    return replace(lines, counters=counters, valid_until=min(moments))


def _mask(bits: Sequence[int]) -> int:
    """The integer with these bits set, by way of bytes: a shift for each bit would copy the integer each time."""
    if not bits:
        return 0
    made = bytearray(max(bits) // 8 + 1)
    for bit in bits:
        made[bit >> 3] |= 1 << (bit & 7)
    return int.from_bytes(made, "little")


def _rules(ids: list[int]) -> dict[int, tuple[WeeklyRule, ...]]:
    found: dict[int, tuple[WeeklyRule, ...]] = dict.fromkeys(ids, ())
    columns: tuple[Any, ...] = (OpeningHours.counter_id, OpeningHours.weekday, OpeningHours.opens, OpeningHours.closes)
    columns += (OpeningHours.from_on, OpeningHours.until_on, OpeningHours.every_weeks)
    query = select(*columns).where(OpeningHours.counter_id.in_(ids)).order_by(OpeningHours.id)
    for id, *rule in db.session.execute(query):
        found[id] += (WeeklyRule(*rule),)
    return found


def _closures(office_id: int, ids: list[int]) -> dict[int, tuple[tuple[datetime, datetime], ...]]:
    found: dict[int, tuple[tuple[datetime, datetime], ...]] = dict.fromkeys(ids, ())
    query = select(Closure.counter_id, Closure.starts_at, Closure.ends_at).where(Closure.office_id == office_id)
    for counter_id, starts_at, ends_at in db.session.execute(query.order_by(Closure.id)):
        for id in ids if counter_id is None else [counter_id]:
            found[id] += ((starts_at, ends_at),)
    return found


def _services(ids: list[int]) -> tuple[dict[int, frozenset[int]], dict[int, int]]:
    """The services of each counter, and how many ticks each takes for one person."""
    found: dict[int, set[int]] = {id: set() for id in ids}
    lengths: dict[int, int] = {}
    query = (
        select(CounterService.counter_id, Service.id, Service.minutes)
        .join(Service, Service.id == CounterService.service_id)
        .where(CounterService.counter_id.in_(ids))
    )
    for counter_id, service_id, minutes in db.session.execute(query):
        found[counter_id].add(service_id)
        lengths[service_id] = minutes // TICK_MINUTES
    same: dict[frozenset[int], frozenset[int]] = {}  # one object for all counters that do the same
    done = {id: frozenset(services) for id, services in found.items()}
    return {id: same.setdefault(services, services) for id, services in done.items()}, lengths
