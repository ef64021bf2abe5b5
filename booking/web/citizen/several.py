"""Several services in one visit: choose them, and see when all of them fit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from flask import abort, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from booking.appointments.demand import most_wanted
from booking.appointments.models import Appointment, Hold
from booking.appointments.needs import with_needs
from booking.appointments.offers import Demand, Item, first_free
from booking.appointments.plans import MOST, Errands, Plan, demands_for, walk
from booking.appointments.timelines import office_lines
from booking.slots.clock import TICK_MINUTES
from booking.townhall.models import Desk, Office, Service
from booking.townhall.search import ranking
from booking.web.citizen import citizen
from booking.web.citizen.crowds import closed
from booking.web.citizen.times import free_times
from booking.web.language import language
from booking.web.pages import now
from booking.web.towns import here, seen_revisions, town

SUGGESTED = 8


@dataclass(frozen=True)
class Leg:
    """One desk of a visit as pages show it; `walk` and `wait` are the minutes before it."""

    starts_at: datetime
    ends_at: datetime
    items: Sequence[Item]
    desk: Desk
    counter: int | None = None
    walk: int = 0
    wait: int = 0


@citizen.get("/visit")
def visit() -> ResponseReturnValue:
    """The chosen services (?service=key.people, several times) and the times at which all of them fit."""
    items = asked_items(request.args.getlist("service"))
    if len(items) < 2:
        return redirect(times_address(items))
    return visit_page(items)


@citizen.get("/visit/add")
def add_service() -> ResponseReturnValue:
    """One more service for the visit: by search (?q=), or by desk (?desk=)."""
    items = asked_items(request.args.getlist("service"))
    if not items or len(items) >= MOST:
        return redirect(times_address(items))
    query, key = request.args.get("q", "").strip()[:200], request.args.get("desk", "")
    desks = {desk.key: desk for desk in reversed(here().desks)}
    return render_template(
        "citizen/add_service.html",
        names=[service.text(language()).name for service, _people in items],
        words=_words(items),
        back=times_address(items),
        found=[(one, times_address([*items, (one, 1)])) for one in _addable(items, query, key)],
        query=query,
        desk=desks.get(key),
        desks=dict(sorted(desks.items(), key=lambda pair: pair[1].position)),
    )


def times_address(items: Sequence[Item]) -> str:
    """The page on which times for these services are chosen."""
    if len(items) > 1:
        return url_for("citizen.visit", service=_words(items))
    return url_for("citizen.service", key=items[0][0].key, people=items[0][1]) if items else url_for("citizen.services")


def visit_page(
    items: Sequence[Item],
    taken: datetime | None = None,
    limit: str | None = None,
    nearest: Sequence[object] = (),
    needs: frozenset[str] = frozenset(),
) -> str:
    """The services of a visit and its times; with what was `taken` meanwhile, or which `limit` stands in the way."""
    words = _words(items)
    errands = errands_for(items, needs)
    all_offers = errands.offers()
    places = [here().offices[one.office_id] for one in all_offers]
    begin = next((office for office in places if str(office.id) == request.args.get("office")), None)
    offers = [one for one in all_offers if begin is None or one.office_id == begin.id]
    offices = [begin] if begin else places
    kept = {"service": words} | ({"office": begin.id} if begin else {})
    g.shown_as = ("citizen.visit", kept)  # also after a POST
    soonest = first_free(offers)
    plan = errands.plan(soonest[0].office_id, soonest[1]) if soonest else None
    return render_template(
        "citizen/visit.html",
        rows=[_Row(item, n, items) for n, item in enumerate(items)],
        words=words,
        kept=kept,
        asked=[("service", word) for word in words],
        places=places,
        begin=begin,
        demands=errands.demands,
        bring=bring_for(items),
        who=who_for(items),
        can_add=len(items) < MOST,
        first=legs_planned(plan) if plan else [],
        times=free_times(offices, offers),
        lines=closed(service for service, _people in items),
        offices=offices,
        taken=taken,
        limit=limit,
        nearest=nearest,
    )


@dataclass(frozen=True)
class _Row:
    """One chosen service, with the addresses of the visit without it and with other numbers of people."""

    item: Item
    position: int
    all: Sequence[Item]

    @property
    def service(self) -> Service:
        return self.item[0]

    @property
    def people(self) -> int:
        return self.item[1]

    @property
    def without(self) -> str:
        return times_address([one for n, one in enumerate(self.all) if n != self.position])

    def with_people(self, people: int) -> str:
        return times_address([(one[0], people) if n == self.position else one for n, one in enumerate(self.all)])


def asked_items(words: Iterable[str]) -> list[Item]:
    """The services that "key.people" words name, each once, at most as many as a visit may have; 404 for others."""
    found: dict[int, Item] = {}
    for word in words:
        key, _, people = word.partition(".")
        service = here().service(key) or abort(404)
        number = int(people) if people.isascii() and people.isdigit() and len(people) < 4 else 1
        found.setdefault(service.id, (service, min(max(number, 1), service.max_people)))
    return list(found.values())[:MOST]


def errands_for(items: Sequence[Item], needs: frozenset[str] = frozenset()) -> Errands:
    """The visit for these services and needs, with the offices as this request has read them; without those whose
    line this browser still stands in."""
    known, waiting = seen_revisions(), {line.desk.office_id for line in closed(service for service, _people in items)}
    offices = (office for office in offices_for(items) if office.id not in waiting)
    lines = {office.id: office_lines(office, now(), known[office.id]) for office in offices}
    demands = (with_needs(one, needs, town()) for one in demands_for(items, lines.values()))
    return Errands(tuple(demands), here(), lines, now())


def legs_planned(plan: Plan) -> list[Leg]:
    return _waiting([Leg(one.starts_at, one.ends_at, one.demand.items, one.desk) for one in plan])


def legs_held(holds: Mapping[Hold, Demand]) -> list[Leg]:
    """The desks of the holds of one visit, in their order."""
    return _waiting(
        [
            Leg(one.starts_at, one.starts_at + demand.length, demand.items, one.counter.desk, one.counter.number)
            for one, demand in holds.items()
        ]
    )


def legs_booked(appointments: Sequence[Appointment]) -> list[Leg]:
    return _waiting(
        [
            Leg(one.starts_at, one.ends_at, one.wanted, here().counters[one.counter_id].desk, one.counter.number)
            for one in appointments
        ]
    )


def bring_for(items: Iterable[Item]) -> list[str]:
    """One list of documents for all services, each thing once."""
    return list(dict.fromkeys(thing for service, _people in items for thing in service.text(language()).bring))


def who_for(items: Iterable[Item]) -> list[str]:
    """Who must come, each sentence once."""
    return list(dict.fromkeys(service.text(language()).who for service, _people in items))


def _waiting(legs: Sequence[Leg]) -> list[Leg]:
    """The legs, each with the way and the wait before it, where they follow each other on one day."""
    found = list(legs[:1])
    for one, following in pairwise(legs):
        between = int((following.starts_at - one.ends_at).total_seconds()) // 60
        way = walk(here(), one.desk, following.desk) or 0
        farthest = -(-way // TICK_MINUTES) * TICK_MINUTES + here().municipality.longest_wait_minutes
        is_near = way <= between <= farthest
        found.append(_after(following, way, between - way) if is_near else following)
    return found


def _after(leg: Leg, way: int, wait: int) -> Leg:
    return Leg(leg.starts_at, leg.ends_at, leg.items, leg.desk, leg.counter, way, wait)


def offices_for(items: Sequence[Item]) -> list[Office]:
    """The offices that do any of these services."""
    wanted = {office.id: office for service, _people in items for office in here().offices_for(service)}
    return [wanted[id] for id in sorted(wanted)]


def _words(items: Iterable[Item]) -> list[str]:
    return [f"{service.key}.{people}" for service, people in items]


def _addable(items: Sequence[Item], query: str, desk: str) -> list[Service]:
    """What else may be added: what was searched for, the services of a desk, or those that are wanted most."""
    chosen = {service.id for service, _people in items}
    others = [one for one in here().services if one.id not in chosen and here().offices_for(one)]
    if query:
        by_id = {one.id: one for one in others}
        return [by_id[id] for id in ranking(here().index, query) if id in by_id]
    if desk:
        return [one for one in others if one.desk_key == desk]
    by_id = {one.id: one for one in others}
    return [by_id[id] for id in most_wanted(town().id, now(), SUGGESTED) if id in by_id]
