"""What do you come for? The front page, the lists of services, and a service with its times."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

from flask import abort, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from booking.appointments.demand import most_wanted
from booking.appointments.offers import Demand
from booking.appointments.wishes import Wish
from booking.townhall import directory
from booking.townhall.models import Office, Service
from booking.townhall.search import ranking
from booking.townhall.spelling import words_in
from booking.web.citizen import citizen
from booking.web.citizen.times import elsewhere, free_times, month, narrowed
from booking.web.pages import MANY, now, paged, today
from booking.web.towns import here, town

WANTED = 8
CHECKED_ON = date(2026, 11, 25)  # when the pages were last looked at for the statement on accessibility
DEEP = ("office", "people", "at", "access")  # what a link from elsewhere may ask for besides the service


@citizen.get("/")
def home() -> ResponseReturnValue:
    """The front page; with ?service= it leads to that service, so that a town's site can link to it (?office= too)."""
    if key := request.args.get("service"):
        asked: dict[str, Any] = {name: value for name, value in request.args.items() if name in DEEP}
        return redirect(url_for("citizen.service", key=key, **asked))
    all_services = {service.id: service for service in here().services}
    wanted = [all_services[id] for id in most_wanted(town().id, now(), WANTED) if id in all_services]
    places = town().offices if len(town().offices) <= MANY else []
    hours = directory.weekly_hours(places, today())
    return render_template("citizen/home.html", wanted=wanted, desks=_desks_by_key(), places=places, hours=hours)


@citizen.get("/offices")
def offices() -> ResponseReturnValue:
    """All offices with their hours, or those that answer a search (?q=), page by page."""
    wanted = words_in(request.args.get("q", "")[:200])
    found = [office for office in town().offices if _says(office, wanted)]
    page = paged(found, MANY)
    hours = directory.weekly_hours(page.items, today())
    return render_template("citizen/offices.html", page=page, hours=hours, total=len(found), asked=bool(wanted))


def _says(office: Office, wanted: Sequence[str]) -> bool:
    """Whether the office's name and address have all these words, or beginnings of them."""
    words = words_in(" ".join([office.address, *office.names.values()]))
    return all(any(word.startswith(one) for word in words) for one in wanted)


@citizen.get("/services")
def services() -> ResponseReturnValue:
    """All services, those of one desk (?desk=), or those that answer a search (?q=)."""
    query, key = request.args.get("q", "").strip()[:200], request.args.get("desk", "")
    found = list(here().services)
    desks = _desks_by_key()
    if query:
        by_id = {service.id: service for service in found}
        found = [by_id[id] for id in ranking(here().index, query)]
    elif key:
        found = [service for service in found if service.desk_key == key]
        if key not in desks:
            abort(404)
    return render_template("citizen/services.html", services=found, query=query, desk=desks.get(key), desks=desks)


@citizen.get("/accessibility")
def accessibility() -> ResponseReturnValue:
    """What was looked at, when, and what is not good yet."""
    return render_template("citizen/accessibility.html", checked_on=CHECKED_ON)


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
    asked = narrowed(demand)
    found = asked.offers()
    times = free_times(asked.chosen, found)
    return render_template(
        "citizen/service.html",
        service=demand.service,
        text=demand.service.text,
        demand=demand,
        desk=_desks_by_key().get(demand.service.desk_key),
        offices=asked.offices,
        asked=asked,
        wishes=Wish,
        times=times,
        month=month(found),
        elsewhere=None if times.first or asked.waiting else elsewhere(asked),
        taken=taken,
        limit=limit,
        nearest=nearest,
    )


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
