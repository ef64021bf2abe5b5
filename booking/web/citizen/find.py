"""What do you come for? The front page, the lists of services, and a service with its times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from flask import abort, g, render_template, request
from flask.typing import ResponseReturnValue

from booking.appointments.demand import most_wanted
from booking.appointments.offers import Demand, Offer, first_free, offer, office_lines
from booking.townhall import directory
from booking.townhall.models import Office, Service
from booking.townhall.search import index, ranking
from booking.web.citizen import citizen
from booking.web.pages import now, today
from booking.web.towns import town

DAYS_A_PAGE = 8
WANTED = 8


@dataclass(frozen=True)
class Day:
    """A day with free times, office by office."""

    on: date
    times: list[tuple[Office, list[datetime]]]

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
    all_services = {service.id: service for service in directory.services(town())}
    wanted = [all_services[id] for id in most_wanted(town().id, now(), WANTED)]
    hours = [(office, directory.weekly_hours(office, today())) for office in town().offices]
    return render_template("citizen/home.html", wanted=wanted, desks=_desks_by_key(), hours=hours)


@citizen.get("/services")
def services() -> ResponseReturnValue:
    """All services, those of one desk (?desk=), or those that answer a search (?q=)."""
    query, key = request.args.get("q", "").strip()[:200], request.args.get("desk", "")
    found = list(directory.services(town()))
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
    found = directory.service_with(town(), key) or abort(404)
    return service_page(Demand(found, _people(found)))


def service_page(demand: Demand, taken: datetime | None = None, nearest: Sequence[object] = ()) -> str:
    """The service and its times; with what was `taken` meanwhile and the times nearest to it, if so."""
    g.shown_as = ("citizen.service", {"key": demand.service.key, "people": demand.people})  # also after a POST
    offices = directory.offices_for(town(), demand.service)
    chosen = [office for office in offices if str(office.id) == request.args.get("office")] or offices
    times = free_times(chosen, [offer(one, demand, now(), office_lines(one, now())) for one in chosen])
    return render_template(
        "citizen/service.html",
        service=demand.service,
        text=demand.service.text,
        demand=demand,
        desk=_desks_by_key().get(demand.service.desk_key),
        offices=offices,
        chosen=chosen,
        times=times,
        taken=taken,
        nearest=nearest,
    )


def free_times(offices: Sequence[Office], offers: Sequence[Offer]) -> Times:
    """The page of days that the address asks for (?from=), over these offices."""
    by_id = {office.id: office for office in offices}
    found = first_free(offers)
    days: dict[date, list[tuple[Office, list[datetime]]]] = {}
    for one in offers:
        for on, times in one.days:
            days.setdefault(on, []).append((by_id[one.office_id], times))
    wanted = sorted(on for on in days if on >= _from())
    page = [Day(on, days[on]) for on in wanted[:DAYS_A_PAGE]]
    later = wanted[DAYS_A_PAGE] if len(wanted) > DAYS_A_PAGE else None
    first = (by_id[found[0].office_id], found[1]) if found else None
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
    for desk in directory.desks(town()):
        found.setdefault(desk.key, desk)
    return found
