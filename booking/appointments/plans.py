"""Visits of several desks: which services share an appointment, in which order the desks are seen, and when all fit.

What is found here comes from memory, like every offer; what is sold is decided by the key of the occupancy table.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from itertools import pairwise, permutations

from booking.appointments.offers import Demand, Item, Offer, bookable
from booking.appointments.timelines import CounterLine, OfficeLines
from booking.slots import chain
from booking.slots.clock import TICK_MINUTES, moment_of, tick_of
from booking.townhall.models import Desk
from booking.townhall.standing import Standing

MOST = 5  # services in one visit


@dataclass(frozen=True)
class Stop:
    """One desk of a visit: what for, where and when."""

    demand: Demand
    desk: Desk
    starts_at: datetime

    @property
    def ends_at(self) -> datetime:
        return self.starts_at + self.demand.length


Plan = tuple[Stop, ...]


def demands_for(items: Sequence[Item], lines: Iterable[OfficeLines]) -> tuple[Demand, ...]:
    """The appointments that these services need: those that combine share one, where a counter does them all."""
    together = {line.services for office in lines for line in office.counters}
    groups: list[list[Item]] = []
    for item in items:
        for group in groups:
            ids = {item[0].id, *(service.id for service, _people in group)}
            if all(item[0].combines_with(one) for one, _people in group) and any(ids <= done for done in together):
                group.append(item)
                break
        else:
            groups.append([item])
    return tuple(Demand(*group[0], tuple(group[1:])) for group in groups)


@dataclass(frozen=True)
class Errands:
    """What somebody comes for in one visit, a demand an appointment, and the timelines of the offices, by their ids."""

    demands: tuple[Demand, ...]
    standing: Standing
    lines: Mapping[int, OfficeLines]
    now: datetime

    def offers(self) -> list[Offer]:
        """For each office the starts of visits that begin there and find all desks free, one after the other."""
        found: dict[int, int] = dict.fromkeys(self.lines, 0)
        for order in self._orders if found else ():
            for desk_id, mask in chain.beginnings(self._stops(order), self._gaps).items():
                found[self._desks[desk_id].office_id] |= mask
        return [Offer(id, self.lines[id].horizon.zone, self._base, mask) for id, mask in found.items() if mask]

    def plan(self, office_id: int, start: datetime) -> Plan | None:
        """The visit that begins at this office and time and is over first; None if not all desks are free for it."""
        bit = tick_of(start) - self._base
        if bit < 0 or moment_of(bit + self._base) != start:
            return None
        found = [
            (sum(demand.ticks for demand in order[-1:]) + ticks[-1][1], n, ticks)
            for n, order in enumerate(self._orders)
            for desk in self._desks.values()
            if desk.office_id == office_id
            for ticks in [chain.soonest_over(self._stops(order), self._gaps, desk.id, bit)]
            if ticks is not None
        ]
        if not found:
            return None
        _end, n, ticks = min(found)
        return self._planned(self._orders[n], ticks)

    def _planned(self, order: Sequence[Demand], ticks: Sequence[tuple[int, int]]) -> Plan:
        desks = [self._desks[desk_id] for desk_id, _tick in ticks]
        starts = [moment_of(self._base + tick) for _desk_id, tick in ticks]
        return tuple(Stop(*one) for one in zip(order, desks, starts, strict=True))

    @property
    def _base(self) -> int:
        return next(iter(self.lines.values())).horizon.base  # the offices of a town share its zone, so its days

    @cached_property
    def _orders(self) -> list[tuple[Demand, ...]]:
        """The orders that the services allow, in none of which anybody comes back to a desk."""
        return [order for order in permutations(self.demands) if _is_allowed(order)]

    @cached_property
    def _desks(self) -> dict[int, Desk]:
        """The desks that can serve one of the demands."""
        served = {self._desk_of(line) for demand in self.demands for line in self._doing(demand)}
        return {desk.id: desk for desk in served if desk is not None}

    def _desk_of(self, line: CounterLine) -> Desk | None:
        counter = self.standing.counters.get(line.counter_id)
        return counter.desk if counter else None

    def _doing(self, demand: Demand) -> Iterable[CounterLine]:
        ids = demand.service_ids
        offices = (office for office in self.lines.values() if demand.needs <= office.access)
        return (line for office in offices for line in office.counters if ids <= line.services)

    def _stops(self, order: Sequence[Demand]) -> list[chain.Stop]:
        return [self._stop_of[demand] for demand in order]

    @cached_property
    def _stop_of(self) -> dict[Demand, chain.Stop]:
        return {demand: self._stop(demand) for demand in self.demands}

    def _stop(self, demand: Demand) -> chain.Stop:
        """Where and when the demand alone could be met."""
        zone = next(iter(self.lines.values())).horizon.zone
        bookable_ticks = -1
        for service, _people in demand.items:
            bookable_ticks &= bookable(service, self.now, zone, self._base)
        found: dict[int, int] = {}
        for line in self._doing(demand):
            desk = self._desk_of(line)
            if desk is not None:
                found[desk.id] = found.get(desk.id, 0) | line.fits(demand.ticks) & bookable_ticks
        return chain.Stop(demand.ticks, found)

    @cached_property
    def _gaps(self) -> dict[tuple[int, int], tuple[int, int]]:
        """How many ticks may lie between the end at one desk and the start at another."""
        wait = self.standing.municipality.longest_wait_minutes // TICK_MINUTES
        found = {}
        for one in self._desks.values():
            for other in self._desks.values():
                minutes = walk(self.standing, one, other)
                if minutes is not None:
                    least = -(-minutes // TICK_MINUTES)
                    kept = one.buffer_minutes // TICK_MINUTES if one is other else 0  # it may be the same counter
                    found[one.id, other.id] = max(least, kept), max(least + wait, kept)
        return found


def walk(standing: Standing, one: Desk, other: Desk) -> int | None:
    """The minutes from desk to desk; None between offices that no visit combines."""
    if one.id == other.id:
        return 0
    if one.office_id == other.office_id:
        return one.office.walk_minutes
    return standing.ways.get((one.office_id, other.office_id))


def _is_allowed(order: Sequence[Demand]) -> bool:
    """Whether every service comes after those that it must follow, and each desk is seen once only."""
    for n, demand in enumerate(order):
        later = [service for following in order[n + 1 :] for service, _people in following.items]
        if any(service.must_follow(other) for service, _people in demand.items for other in later):
            return False
    keys = [demand.service.desk_key for demand in order]
    return sum(one != other for one, other in pairwise(keys)) == len(set(keys)) - 1
