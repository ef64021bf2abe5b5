"""What do you come for? The front page, the lists of services, and a service with its times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from flask import abort, g, render_template, request
from flask.typing import ResponseReturnValue

from booking.appointments.demand import most_wanted
from booking.appointments.offers import Demand, Offer, first_free, next_release, offers, together
from booking.appointments.timelines import office_lines
from booking.townhall import directory
from booking.townhall.models import Office, Service
from booking.townhall.search import index, ranking
from booking.web.citizen import citizen
from booking.web.pages import now, today
from booking.web.towns import here, seen_revisions, town

DAYS_A_PAGE = 8
WANTED = 8


@dataclass(frozen=True)
class Day:
    """A day with free times, office by office."""

    on: date
    times: list[tuple[Office, list[int]]]  # ticks

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


@citizen.get("/")
def home() -> ResponseReturnValue:
    all_services = {service.id: service for service in here().services}
    wanted = [all_services[id] for id in most_wanted(town().id, now(), WANTED) if id in all_services]
    hours = [(office, directory.weekly_hours(office, today())) for office in town().offices]
    return render_template("citizen/home.html", wanted=wanted, desks=_desks_by_key(), hours=hours)


@citizen.get("/services")
def services() -> ResponseReturnValue:
    """All services, those of one desk (?desk=), or those that answer a search (?q=)."""
    query, key = request.args.get("q", "").strip()[:200], request.args.get("desk", "")
    found = list(here().services)
    desks = _desks_by_key()
    if query:
        by_id = {service.id: service for service in found}
        found = [by_id[id] for id in ranking(index(found), query)]
    elif key:
        found = [service for service in found if service.desk_key == key]
        if key not in desks:
            abort(404)
    return render_template("citizen/services.html", services=found, query=query, desk=desks.get(key), desks=desks)


@citizen.get("/service/<key>")
def service(key: str) -> ResponseReturnValue:
    """What to know about a service, and its times."""
    found = here().service(key) or abort(404)
    return service_page(Demand(found, _people(found)))


def service_page(
    demand: Demand, taken: datetime | None = None, limit: str | None = None, nearest: Sequence[object] = ()
) -> str:
    """The service and its times; with what was `taken` meanwhile, or which `limit` of holds stands in the way, and
    the times nearest to the wanted one."""
    g.shown_as = ("citizen.service", {"key": demand.service.key, "people": demand.people})  # also after a POST
    offices = here().offices_for(demand.service)
    chosen = [office for office in offices if str(office.id) == request.args.get("office")] or offices
    times = free_times(chosen, offers(chosen, demand, now(), seen_revisions()))
    return render_template(
        "citizen/service.html",
        service=demand.service,
        text=demand.service.text,
        demand=demand,
        desk=_desks_by_key().get(demand.service.desk_key),
        offices=offices,
        chosen=chosen,
        times=times,
        next_release=_next_release(chosen, demand),
        taken=taken,
        limit=limit,
        nearest=nearest,
    )


def _next_release(offices: Sequence[Office], demand: Demand) -> datetime | None:
    """When more times are released at one of these offices."""
    lines = (office_lines(office, now(), seen_revisions()[office.id]) for office in offices)
    return min((at for one in lines if (at := next_release(one, demand, now()))), default=None)


def free_times(offices: Sequence[Office], found: Sequence[Offer]) -> Times:
    """The page of days that the address asks for (?from=), over these offices."""
    by_id = {office.id: office for office in offices}
    soonest, all_of_them = first_free(found), together(found)
    days = list(all_of_them.days) if all_of_them else []
    wanted = [on for on in days if on >= _from()]
    page = [
        Day(on, [(by_id[one.office_id], ticks) for one in found if (ticks := one.on(on))])
        for on in wanted[:DAYS_A_PAGE]
    ]
    later = wanted[DAYS_A_PAGE] if len(wanted) > DAYS_A_PAGE else None
    first = (by_id[soonest[0].office_id], soonest[1]) if soonest else None
    return Times(first, page, len(wanted) < len(days), later)


def _from() -> date:
    try:
        return date.fromisoformat(request.args.get("from", ""))
    except ValueError:
        return date.min


def _people(service: Service) -> int:
    """How many people come (?people=), kept within what the service allows."""
    asked = request.args.get("people", "1")
    is_number = asked.isascii() and asked.isdigit() and len(asked) < 4
    return min(max(int(asked) if is_number else 1, 1), service.max_people)


def _desks_by_key() -> dict[str, object]:
    """One desk for each department, to name it."""
    found: dict[str, object] = {}
    for desk in here().desks:
        found.setdefault(desk.key, desk)
    return found
