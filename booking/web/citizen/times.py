"""The free times as pages show them: the first one, days as a list, a month; and what they are narrowed down to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from functools import cached_property
from heapq import nsmallest
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

from flask import g, request, url_for

from booking.appointments.offers import Demand, Offer, first_free, next_release, offers, together
from booking.appointments.timelines import office_lines
from booking.appointments.wishes import Wish, wished
from booking.townhall.models import Office
from booking.townhall.next_days import NextDay, next_day
from booking.townhall.questions import questions_in, walk
from booking.web.citizen.crowds import Gate, closed
from booking.web.language import language
from booking.web.pages import MANY, now, today
from booking.web.towns import here, seen_revisions, town

DAYS_A_PAGE = 8
SHOWN = 3  # offices a day, where more than MANY have free times
STEP_FREE = "step_free"
WEEK = timedelta(days=7)


@dataclass(frozen=True)
class Day:
    """A day with free times, office by office."""

    on: date
    times: Sequence[tuple[Office, list[int]]]  # ticks; of few offices only, where there are many

    @property
    def count(self) -> int:
        return sum(len(times) for _office, times in self.times)


@dataclass(frozen=True)
class Times:
    """The times page: the first free one, a page of days, and where later days begin."""

    first: tuple[Office, datetime] | None
    days: list[Day]
    earlier: bool
    later: date | None
    is_cut: bool = False  # some days have more times than are shown


@dataclass(frozen=True)
class Month:
    """A month as weeks of seven days, Monday first: each with its number of free times, None beside the month."""

    first: date
    weeks: list[list[tuple[date, int] | None]]
    earlier: str | None  # "2026-11", where it has free times
    later: str | None


@dataclass(frozen=True)
class Narrowed:
    """The times of a service, and what the address narrows them down to: office, part of the day, access."""

    demand: Demand
    offices: Sequence[Office]  # all that do the service
    lines: Sequence[Gate]  # of them those that let nobody in just now
    office: Office | None
    wish: Wish | None
    is_step_free: bool
    answers: Sequence[int] = ()  # to the questions of the service
    bring: Sequence[str] = ()  # what they ask for beside the usual

    @cached_property
    def chosen(self) -> list[Office]:
        """The offices that are asked for."""
        closed = {line.desk.office_id for line in self.lines}
        asked = [one for one in self.offices if one.id not in closed and self.office in (None, one)]
        return [office for office in asked if not self.is_step_free or STEP_FREE in office.access]

    @property
    def waiting(self) -> list[Gate]:
        """Where one waits for times, of the offices that are asked for."""
        return [line for line in self.lines if self.office is None or line.desk.office_id == self.office.id]

    @property
    def is_narrow(self) -> bool:
        return self.office is not None or self.wish is not None or self.is_step_free

    @property
    def can_be_step_free(self) -> bool:
        """Whether it makes a difference to ask for an entrance without steps."""
        return self.is_step_free or 0 < sum(STEP_FREE in office.access for office in self.offices) < len(self.offices)

    def offers(self) -> list[Offer]:
        found = offers(self.chosen, self.demand, now(), seen_revisions())
        return [wished(one, self.wish) for one in found] if self.wish else found

    @property
    def kept(self) -> list[tuple[str, Any]]:
        """What the address asks for besides the office, for a form that chooses one."""
        asked = [
            ("people", self.demand.people),
            ("at", self.wish),
            ("access", STEP_FREE if self.is_step_free else None),
        ]
        return [(name, value) for name, value in [*asked, *(("a", one) for one in self.answers)] if value is not None]

    def address(self, **changes: Any) -> str:
        """The address of the page with something else asked for; `from` and `month` only when given."""
        asked = {
            "people": self.demand.people if self.demand.people > 1 else None,
            "office": self.office.id if self.office else None,
            "at": self.wish,
            "access": STEP_FREE if self.is_step_free else None,
            "a": list(self.answers) or None,
        }
        return url_for("citizen.service", key=self.demand.service.key, _anchor="when", **{**asked, **changes})


@dataclass(frozen=True)
class Elsewhere:
    """What there is when nothing is free: the first time without what was asked for, else when new times come."""

    first: tuple[Office, datetime] | None
    released_at: datetime | None  # when a further part of the hours is released
    release: NextDay | None


def narrowed(demand: Demand) -> Narrowed:
    """What the address asks for; what it cannot ask for is left out."""
    asked: Mapping[str, str] = request.args
    offices = here().offices_for(demand.service)
    wanted = asked.get("office")
    office = next((one for one in offices if str(one.id) == wanted), None) if wanted else None
    wish = next((one for one in Wish if one == asked.get("at")), None)
    given = answers_given()
    way = walk(questions_in(demand.service.text(language()).questions or ""), given)
    given = given[: len(way.steps)]
    lines = closed([demand.service])
    return Narrowed(demand, offices, lines, office, wish, asked.get("access") == STEP_FREE, given, way.bring)


def answers_given() -> list[int]:
    """The answers to questions that stand in the address, or came with the form, each by its place."""
    given = request.values.getlist("a")[:20] or [str(one) for one in g.get("answers", ())]
    return [int(one) for one in given if one.isascii() and one.isdigit() and len(one) < 3]


def free_times(offices: Sequence[Office], found: Sequence[Offer]) -> Times:
    """The page of days that the address asks for (?from=), over these offices."""
    by_id = {office.id: office for office in offices}
    all_of_them, begins = together(found), _from()
    days = all_of_them.days if all_of_them else iter(())
    wanted = list(islice((on for on in days if on >= begins), DAYS_A_PAGE + 1))
    few = found if len(found) <= MANY else nsmallest(SHOWN, (one for one in found if one.mask), key=_soonest)
    soonest = first_free(few)
    page = [_day(on, by_id, found, few) for on in wanted[:DAYS_A_PAGE]]
    later = wanted[DAYS_A_PAGE] if len(wanted) > DAYS_A_PAGE else None
    has_earlier = all_of_them is not None and next(all_of_them.days, begins) < begins
    first = (by_id[soonest[0].office_id], soonest[1]) if soonest else None
    return Times(first, page, has_earlier, later, is_cut=len(few) < len(found))


def _soonest(one: Offer) -> int:
    return one.first_tick or 0


def _day(on: date, offices: Mapping[int, Office], found: Sequence[Offer], few: Sequence[Offer]) -> Day:
    """The free times of a day at these few offices, or, where they have none, at the first others that have some."""
    times = [(offices[one.office_id], ticks) for one in few if (ticks := one.on(on))]
    if not times:
        having = ((offices[one.office_id], ticks) for one in found if (ticks := one.on(on)))
        times = list(islice(having, SHOWN))
    return Day(on, times)


def one_of_many(offices: Sequence[Office], own_id: int) -> Sequence[Office]:
    """The offices; where they are many, the one that the address asks for (?office=), else the one with this id."""
    if len(offices) <= MANY:
        return offices
    asked = request.args.get("office", str(own_id))
    return [office for office in offices if str(office.id) == asked] or offices


def month(found: Sequence[Offer]) -> Month | None:
    """The month that the address asks for (?month=2026-12, or the first with free times); None where it asks for
    none."""
    asked = request.args.get("month")
    all_of_them = together(found) if asked else None
    days = list(all_of_them.days) if all_of_them else []
    if not days:
        return None
    months = sorted({f"{on:%Y-%m}" for on in days})
    name = asked if asked in months else months[0]
    first = date.fromisoformat(f"{name}-01")
    counts = {on: sum(one.count_on(on)[0] for one in found) for on in days if f"{on:%Y-%m}" == name}
    at = months.index(name)
    return Month(
        first,
        _weeks(first, counts),
        months[at - 1] if at else None,
        months[at + 1] if at + 1 < len(months) else None,
    )


def elsewhere(asked: Narrowed) -> Elsewhere:
    """What to say when nothing is free as it was asked for."""
    wider = replace(asked, office=None, wish=None, is_step_free=False)
    soonest = first_free(wider.offers()) if asked.is_narrow else None
    by_id = {office.id: office for office in asked.offices}
    first = (by_id[soonest[0].office_id], soonest[1]) if soonest else None
    if first is not None:
        return Elsewhere(first, None, None)
    released_at = _released_at(asked.chosen, asked.demand)
    day = next_day(asked.demand.service, asked.chosen, today(), ZoneInfo(town().zone)) if not released_at else None
    return Elsewhere(None, released_at, day)


def _released_at(offices: Sequence[Office], demand: Demand) -> datetime | None:
    """When more times are released at one of these offices."""
    lines = (office_lines(office, now(), seen_revisions()[office.id]) for office in offices)
    return min((at for one in lines if (at := next_release(one, demand, now()))), default=None)


def _weeks(first: date, counts: Mapping[date, int]) -> list[list[tuple[date, int] | None]]:
    monday = first - timedelta(days=first.weekday())
    weeks = []
    while monday <= first or monday.month == first.month:
        days = [monday + timedelta(days=n) for n in range(7)]
        weeks.append([(on, counts.get(on, 0)) if on.month == first.month else None for on in days])
        monday += WEEK
    return weeks


def _from() -> date:
    try:
        return date.fromisoformat(request.args.get("from", ""))
    except ValueError:
        return date.min
