"""What would be on offer if the hours were others: carried out, looked at, rolled back. Nothing is saved."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from booking.appointments.offers import Demand, Offer, first_free, offer
from booking.appointments.timelines import office_lines
from booking.db import db
from booking.planning.impact import outside_hours_of
from booking.townhall.models import Office, Service
from booking.townhall.plans import Plan, carry_out, offices_of
from booking.townhall.revisions import raise_office

AHEAD = 14  # days


@dataclass(frozen=True)
class Outlook:
    """What a service has on offer: the first time, and the number of starts on each of the coming days."""

    first: datetime | None
    starts: tuple[int, ...]

    @property
    def total(self) -> int:
        return sum(self.starts)


@dataclass(frozen=True)
class Comparison:
    service: Service
    now: Outlook
    then: Outlook


@dataclass(frozen=True)
class WhatIf:
    """The services whose offer would change, most changed first, and how many appointments the plan would hit."""

    days: Sequence[date]
    services: Sequence[Comparison]
    hits: int


def what_if(plan: Plan, services: Iterable[Service], now: datetime) -> WhatIf:
    """Looks at the offices that the plan changes, before and after. The caller rolls back."""
    office_ids = offices_of(plan)
    raise_office(office_ids, now)
    offices = [db.session.get_one(Office, id) for id in office_ids]
    wanted, first_day = list(services), _today(offices, now)
    before, hit_before = _outlooks(offices, wanted, now), outside_hours_of(office_ids, now)
    carry_out(plan, now)
    after, hit_after = _outlooks(offices, wanted, now), outside_hours_of(office_ids, now)
    found = [Comparison(one, before[one.id], after[one.id]) for one in wanted if before[one.id] != after[one.id]]
    found.sort(key=lambda one: abs(one.now.total - one.then.total), reverse=True)
    days = [first_day + timedelta(days=n) for n in range(AHEAD)]
    return WhatIf(days, found, len(hit_after - hit_before))


def _today(offices: Sequence[Office], now: datetime) -> date:
    return office_lines(offices[0], now).horizon.first_day if offices else now.date()


def _outlooks(offices: Sequence[Office], services: Iterable[Service], now: datetime) -> Mapping[int, Outlook]:
    lines = [office_lines(office, now) for office in offices]
    days = [_today(offices, now) + timedelta(days=n) for n in range(AHEAD)]
    return {one.id: _outlook([offer(line, Demand(one), now) for line in lines], days) for one in services}


def _outlook(offers: Sequence[Offer], days: Iterable[date]) -> Outlook:
    first = first_free(offers)
    return Outlook(first[1] if first else None, tuple(sum(len(one.on(day)) for one in offers) for day in days))
