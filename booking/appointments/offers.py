"""What is on offer: the starts at which a visit fits, computed from the timelines of an office's counters."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from functools import cache, cached_property, lru_cache
from itertools import islice
from operator import itemgetter
from zoneinfo import ZoneInfo

from booking.appointments.timelines import CounterLine, OfficeLines, office_lines
from booking.slots.choice import Candidate, best
from booking.slots.clock import TICK_MINUTES, day_start, moment_of, tick_from, tick_of
from booking.slots.timeline import first_in, mask_of, ticks_in
from booking.townhall import releases
from booking.townhall.hours import Horizon
from booking.townhall.models import Office, Service
from booking.townhall.revisions import revisions

Item = tuple[Service, int]  # a service for so many people
SOON = timedelta(minutes=5)  # what a clerk needs to type a name


@dataclass(frozen=True)
class Demand:
    """What a citizen asks for at one counter: a service for so many people, and others that are dealt with as well;
    `extra` minutes more, in an office whose `access` has what they need."""

    service: Service
    people: int = 1
    others: tuple[Item, ...] = ()
    extra: int = 0
    needs: frozenset[str] = frozenset()

    @property
    def items(self) -> tuple[Item, ...]:
        """All services, each with its people."""
        return ((self.service, self.people), *self.others)

    @cached_property
    def service_ids(self) -> frozenset[int]:
        return frozenset([self.service.id, *(service.id for service, _people in self.others)])

    @cached_property
    def minutes(self) -> int:
        """How long it takes: the minutes of the services add up."""
        others = sum(service.length(people) for service, people in self.others)
        return self.service.length(self.people) + others + self.extra

    @property
    def length(self) -> timedelta:
        return timedelta(minutes=self.minutes)

    @cached_property
    def ticks(self) -> int:
        return self.minutes // TICK_MINUTES


@dataclass(frozen=True)
class Offer:
    """The free starts of one office: a mask of ticks over its horizon."""

    office_id: int
    zone: ZoneInfo
    base: int
    mask: int

    @property
    def first_tick(self) -> int | None:
        return first_in(self.mask, self.base)

    @property
    def first(self) -> datetime | None:
        tick = self.first_tick
        return None if tick is None else moment_of(tick)

    @property
    def starts(self) -> Iterator[datetime]:
        """The free starts, earliest first, in the zone of the office."""
        return (moment_of(tick).astimezone(self.zone) for tick in ticks_in(self.mask, self.base))

    @property
    def days(self) -> Iterator[date]:
        """The local dates that have free starts."""
        first = self.first_tick
        while first is not None:
            day = moment_of(first).astimezone(self.zone).date()
            yield day
            end = day_start(day + timedelta(days=1), self.zone) - self.base
            first = first_in(self.mask >> end << end, self.base)

    def on(self, day: date) -> list[int]:
        """The free starts of a local date, as ticks."""
        first, mask = self._day(day)
        return list(ticks_in(mask, first))

    def count_on(self, day: date) -> tuple[int, int]:
        """How many free starts a local date has, and the first of them as a tick (0 where there is none)."""
        first, mask = self._day(day)
        return mask.bit_count(), first_in(mask, first) or 0

    def _day(self, day: date) -> tuple[int, int]:
        """The tick with which a local date begins, and the mask from there to its end."""
        first = day_start(day, self.zone) - self.base
        end = day_start(day + timedelta(days=1), self.zone) - self.base
        return self.base + first, (self.mask & ((1 << end) - 1)) >> first if first >= 0 else 0

    def around(self, moment: datetime, count: int) -> list[datetime]:
        """The last `count` free starts before the moment and the first ones from it on, in the office's zone."""
        bit = max(tick_from(moment) - self.base, 0)
        before, after = self.mask & ((1 << bit) - 1), self.mask >> bit
        ticks = list(islice(ticks_in(after, self.base + bit), count))
        while before and len(ticks) < 2 * count:
            ticks.append(self.base + before.bit_length() - 1)
            before ^= 1 << (before.bit_length() - 1)
        return [moment_of(tick).astimezone(self.zone) for tick in ticks]

    def has(self, moment: datetime) -> bool:
        tick = tick_of(moment)
        is_tick = tick_from(moment) == tick  # two moments of a repeated hour never compare as equal
        return is_tick and tick >= self.base and bool(self.mask >> (tick - self.base) & 1)

    def but_for(self, moment: datetime) -> Offer:
        """The offer without one start: who moves is not shown the time they have."""
        bit = tick_of(moment) - self.base
        return replace(self, mask=self.mask & ~(1 << bit)) if bit >= 0 else self


Nearby = tuple[datetime, int]  # a free start and the id of its office


def offer(lines: OfficeLines, demand: Demand, now: datetime) -> Offer:
    """The starts free at any counter of the office that does all services, within their notice and horizon."""
    return _offer(lines, demand, _window(demand, now, lines.horizon))


def next_release(lines: OfficeLines, demand: Demand, now: datetime) -> datetime | None:
    """When more times for the demand are released to citizens; None where nothing waits to be."""
    doing = (line for line in lines.counters if demand.service_ids <= line.services)
    return releases.next_release((part for line in doing for part in line.parts), lines.horizon, now)


def staff_offer(lines: OfficeLines, demand: Demand, now: datetime) -> Offer:
    """The same for staff: what was freed at once, and without the notice that citizens must give."""
    zone, base = lines.horizon.zone, lines.horizon.base
    farthest = min(service.max_days_ahead for service, _people in demand.items)
    last_day = now.astimezone(zone).date() + timedelta(days=farthest)
    mask = lines.for_staff().fitting(demand.service_ids, demand.ticks)
    mask &= _between(tick_from(now + SOON), last_day, zone, base)
    return Offer(lines.office_id, zone, base, mask)


def offers(
    offices: Sequence[Office], demand: Demand, now: datetime, known: Mapping[int, int] | None = None
) -> list[Offer]:
    """What each office offers, by their revisions where these are `known`, else by the present ones."""
    known = known or revisions([office.id for office in offices])
    window = cache(lambda horizon: _window(demand, now, horizon))  # the same for all offices of a town
    found = (office_lines(office, now, known[office.id]) for office in offices)
    return [_offer(lines, demand, window(lines.horizon)) for lines in found]


def soonest(offices: Sequence[Office], demands: Sequence[Demand], now: datetime) -> list[datetime | None]:
    """For each demand the first time that any of the offices has free."""
    known = revisions([office.id for office in offices])
    lines = [office_lines(office, now, known[office.id]) for office in offices]
    found = (first_free(offer(one, demand, now) for one in lines) for demand in demands)
    return [first and first[1] for first in found]


def _offer(lines: OfficeLines, demand: Demand, window: int) -> Offer:
    mask = lines.fitting(demand.service_ids, demand.ticks) if demand.needs <= lines.access else 0
    return Offer(lines.office_id, lines.horizon.zone, lines.horizon.base, mask & window)


def _window(demand: Demand, now: datetime, horizon: Horizon) -> int:
    """The ticks that are neither too near nor too far for any of the services."""
    window = -1
    for service, _people in demand.items:
        window &= bookable(service, now, horizon.zone, horizon.base)
    return window


def bookable(service: Service, now: datetime, zone: ZoneInfo, base: int) -> int:
    """The ticks that are neither too near (the service's notice) nor too far (its days ahead)."""
    first = tick_from(now + timedelta(hours=service.min_notice_hours))
    last_day = now.astimezone(zone).date() + timedelta(days=service.max_days_ahead)
    return _between(first, last_day, zone, base)


@lru_cache(maxsize=1024)
def _between(first: int, last_day: date, zone: ZoneInfo, base: int) -> int:
    return mask_of([range(first, day_start(last_day + timedelta(days=1), zone))], base)


def first_free(offers: Iterable[Offer]) -> tuple[Offer, datetime] | None:
    """The earliest start over several offices, with the office's offer."""
    ticks = ((tick, given) for given in offers if (tick := given.first_tick) is not None)
    found = min(ticks, key=itemgetter(0), default=None)
    return found and (found[1], moment_of(found[0]))


def together(found: Sequence[Offer]) -> Offer | None:
    """What any of these offices of one municipality offers; None where there are no offices."""
    if not found:
        return None
    mask = 0
    for one in found:
        mask |= one.mask
    return replace(found[0], mask=mask)


def nearest(offers: Iterable[Offer], wanted: datetime, count: int) -> list[Nearby]:
    """The free starts closest to the wanted one, with their offices; earliest first."""
    found = [(start, given.office_id) for given in offers for start in given.around(wanted, count)]
    closest = sorted(found, key=lambda one: (abs(one[0].timestamp() - wanted.timestamp()), _order(one)))
    return sorted(closest[:count], key=_order)


def _order(one: Nearby) -> tuple[float, int]:
    """By moment: wall-clock times know no order within a repeated hour."""
    return one[0].timestamp(), one[1]


def tightest(lines: OfficeLines, demand: Demand, start: datetime, among: Set[int] | None = None) -> CounterLine | None:
    """The counter that loses least by this visit, of those that are free for it (and `among` these, by their ids);
    None where none is."""
    base, tick, ids = lines.horizon.base, tick_of(start), demand.service_ids
    fitting = {
        line.counter_id: line
        for line in lines.counters
        if ids <= line.services
        and demand.needs <= lines.access
        and (among is None or line.counter_id in among)
        and tick >= base
        and line.fits(demand.ticks) >> (tick - base) & 1
    }
    if len(fitting) < 2:
        return next(iter(fitting.values()), None)
    day, zone = lines.local_day(tick), lines.horizon.zone
    ticks = range(day_start(day, zone), day_start(day + timedelta(days=1), zone))
    counters = {line.counter_id: _candidate(line, lines, ticks) for line in lines.counters}
    found = best([counters[id] for id in fitting], list(counters.values()), range(tick, tick + demand.ticks), ticks)
    return fitting[found.id] if found else None


def _candidate(line: CounterLine, lines: OfficeLines, day: range) -> Candidate:
    """The counter on this day and the next, into which a visit may run."""
    first, mask, opening = day.start - lines.horizon.base, (1 << 2 * len(day)) - 1, line.opening
    return Candidate(
        line.counter_id,
        opening.open >> first & mask,
        line.taken >> first & mask,
        opening.grid >> first & mask,
        line.buffer,
        {id: lines.lengths[id] for id in line.services},
    )
