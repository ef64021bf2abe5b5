"""Looking up what the town hall has: services, desks, offices and their hours."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from flask_babel import lazy_gettext as _l
from sqlalchemy import or_, select
from sqlalchemy.orm import joinedload, selectinload

from booking.db import db
from booking.townhall.hours import WeeklyRule
from booking.townhall.models import Counter, CounterService, Desk, Municipality, Office, OpeningHours, Service

ACCESS = {
    "step_free": _l("Entrance without steps"),
    "lift": _l("Lift"),
    "toilet": _l("Accessible toilet"),
    "loop": _l("Hearing loop"),
    "parking": _l("Parking for people with a disability"),
    "seats": _l("Seats while you wait"),
}  # what helps people get into an office, by the words of office.access


def services(municipality: Municipality) -> Sequence[Service]:
    """All services with their texts, in the order of the catalogue."""
    query = select(Service).where(Service.municipality_id == municipality.id).order_by(Service.id)
    return db.session.scalars(query).all()


def service_with(municipality: Municipality, key: str) -> Service | None:
    return db.session.scalar(select(Service).where(Service.municipality_id == municipality.id, Service.key == key))


def offices_for(municipality: Municipality, service: Service) -> Sequence[Office]:
    """The offices with a counter that does the service."""
    doing = (
        select(Desk.office_id)
        .join(Counter, Counter.desk_id == Desk.id)
        .join(CounterService, CounterService.counter_id == Counter.id)
        .where(CounterService.service_id == service.id)
    )
    query = select(Office).where(Office.municipality_id == municipality.id, Office.id.in_(doing))
    return db.session.scalars(query.order_by(Office.position)).all()


def desks(municipality: Municipality) -> Sequence[Desk]:
    """All desks, office by office."""
    query = select(Desk).join(Office).where(Office.municipality_id == municipality.id)
    return db.session.scalars(query.order_by(Office.position, Desk.position).options(joinedload(Desk.office))).all()


def desk_with(municipality: Municipality, id: int) -> Desk | None:
    whole = (joinedload(Desk.office).joinedload(Office.municipality), selectinload(Desk.counters))
    query = select(Desk).join(Office).where(Office.municipality_id == municipality.id, Desk.id == id)
    return db.session.scalar(query.options(*whole))


def office_with(municipality: Municipality, id: int) -> Office | None:
    return db.session.scalar(select(Office).where(Office.municipality_id == municipality.id, Office.id == id))


def service_by_id(municipality: Municipality, id: int) -> Service | None:
    return db.session.scalar(select(Service).where(Service.municipality_id == municipality.id, Service.id == id))


def counter_with(municipality: Municipality, id: int) -> Counter | None:
    query = select(Counter).join(Desk).join(Office).where(Office.municipality_id == municipality.id, Counter.id == id)
    return db.session.scalar(query)


@dataclass(frozen=True)
class DayHours:
    """When an office serves on a weekday: stretches of wall-clock minutes in which at least one counter is open."""

    weekday: int
    stretches: tuple[tuple[int, int], ...]


def weekly_hours(offices: Iterable[Office], on: date) -> dict[int, list[DayHours]]:
    """The hours of each office on the seven days from this date on, Monday first; by its id.

    A day without hours has no stretches.
    """
    rules: dict[int, list[WeeklyRule]] = {office.id: [] for office in offices}
    columns = (OpeningHours.weekday, OpeningHours.opens, OpeningHours.closes, OpeningHours.from_on)
    query = (
        select(Desk.office_id, *columns, OpeningHours.until_on, OpeningHours.every_weeks)
        .join(Counter, Counter.id == OpeningHours.counter_id)
        .join(Desk)
        .where(Desk.office_id.in_(rules))
        .where(or_(OpeningHours.until_on.is_(None), OpeningHours.until_on >= on))
        .order_by(OpeningHours.opens)
        .distinct()
    )
    rows: Iterable[Any] = db.session.execute(query) if rules else ()
    for office_id, *rule in rows:
        rules[office_id].append(WeeklyRule(*rule))
    return {office_id: _week(found, on) for office_id, found in rules.items()}


def _week(rules: Iterable[WeeklyRule], on: date) -> list[DayHours]:
    days = {day.weekday(): day for day in (on + timedelta(days=n) for n in range(7))}
    by_day: dict[int, list[tuple[int, int]]] = {weekday: [] for weekday in range(7)}
    for rule in rules:
        merged = by_day[rule.weekday]
        if not rule.holds_on(days[rule.weekday]):
            continue
        if merged and rule.opens <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], rule.closes))
        else:
            merged.append((rule.opens, rule.closes))
    return [DayHours(weekday, tuple(stretches)) for weekday, stretches in by_day.items()]
