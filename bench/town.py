"""The town halls that are measured: how big each is, and their offices, desks, counters, hours, services and staff."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import insert

from booking.db import Base, db
from booking.staff.accounts import add, grant
from booking.staff.models import Role
from booking.townhall.models import (
    Counter,
    CounterService,
    Desk,
    Municipality,
    Office,
    OpeningHours,
    Service,
    ServiceText,
)

SLUG, DESK = "meetstad", "civil"
ZONE = ZoneInfo("Europe/Brussels")
EMAIL, PASSWORD = "clerk@meetstad.example.org", "a long password for one run"
OPENS, CLOSES = 8 * 60, 18 * 60  # minutes after midnight, Monday to Friday
LENGTHS = (15, 5, 10, 20, 30, 45, 60, 90)  # minutes; services take them in turns, the first is the one asked for
LANGUAGES = ("nl", "fr", "de", "en")


@dataclass(frozen=True)
class Plan:
    """How big a town hall is. Days are working days; about half of each is taken."""

    offices: int = 1
    counters: int = 10  # in all offices together
    services: int = 8
    common: int = 8  # so many of the services every office has; the others are spread over the offices
    days_back: int = 30
    days_ahead: int = 30
    horizon: int = 42  # calendar days that may be booked ahead
    step_minutes: int = 15
    closes: int = CLOSES
    is_empty: bool = False  # nothing is taken yet
    only_on: date | None = None  # the one day on which its counters serve


@dataclass(frozen=True)
class Town:
    """The ids of a town hall that was made; those of its services stand in the order of their keys."""

    municipality_id: int
    office_ids: tuple[int, ...]
    desk_id: int  # of the first office
    counter_ids: tuple[int, ...]
    service_ids: tuple[int, ...]
    services_of: dict[int, tuple[int, ...]]  # office → positions of its services in `service_ids`
    busy_day: date  # the desk has three hundred appointments then


def service_key(position: int) -> str:
    return f"service-{position}"


def today() -> date:
    return datetime.now(UTC).astimezone(ZONE).date()


def working_days(first: date, count: int) -> list[date]:
    """So many days from Monday to Friday, the first on or after `first`."""
    found: list[date] = []
    while len(found) < count:
        found += [first] if first.weekday() < 5 else []
        first += timedelta(days=1)
    return found


def busy_day() -> date:
    return working_days(today() + timedelta(days=1), 6)[-1]


def make_town(plan: Plan) -> Town:
    """Makes the rows of the town hall, without appointments; in bulk, past what watches each change. Commits."""
    municipality = make_municipality()
    service_ids = _inserted(Service, [_service(municipality.id, position, plan) for position in range(plan.services)])
    db.session.execute(insert(ServiceText), [row for n, id in enumerate(service_ids) for row in _texts(n, id)])
    office_ids = _inserted(Office, [_office(municipality.id, number) for number in range(1, plan.offices + 1)])
    desk_ids = _inserted(Desk, [_desk(office_id, plan.step_minutes) for office_id in office_ids])
    places = [divmod(n, plan.offices) for n in range(plan.counters)]
    counter_ids = _inserted(Counter, [{"desk_id": desk_ids[desk], "number": row + 1} for row, desk in places])
    services_of = {office_id: _positions(plan, n) for n, office_id in enumerate(office_ids)}
    _add_hours(counter_ids, plan)
    doing = [
        {"counter_id": counter_id, "service_id": service_ids[position]}
        for counter_id, (_row, office) in zip(counter_ids, places, strict=True)
        for position in services_of[office_ids[office]]
    ]
    db.session.execute(insert(CounterService), doing)
    grant(add(municipality.id, EMAIL, "A clerk", "nl", PASSWORD), Role.CLERK)
    db.session.commit()
    return Town(municipality.id, office_ids, desk_ids[0], counter_ids, service_ids, services_of, busy_day())


def _inserted(table: type[Base], rows: list[dict[str, Any]]) -> tuple[int, ...]:
    """Inserts the rows; their ids, in the same order."""
    id = table.__table__.c.id
    return tuple(db.session.scalars(insert(table).returning(id, sort_by_parameter_order=True), rows))


def make_municipality() -> Municipality:
    """An empty one. Flushes."""
    municipality = Municipality(
        slug=SLUG,
        names=dict.fromkeys(LANGUAGES, "Meetstad"),
        zone=ZONE.key,
        languages=list(LANGUAGES),
        language="nl",
        phone="+3215000000",
        email="info@meetstad.example.org",
        reminders=[
            {"occasion": "day-before", "days": 1, "at": "18:00", "channels": ["email"]},
            {"occasion": "two-hours-before", "hours": 2, "channels": ["sms"]},
        ],
    )
    db.session.add(municipality)
    db.session.flush()
    return municipality


def _office(municipality_id: int, number: int) -> dict[str, Any]:
    return {
        "municipality_id": municipality_id,
        "position": number,
        "names": {"nl": f"Kantoor {number}", "en": f"Office {number}"},
        "address": f"Marktplein {number}, 1000 Meetstad",
        "directions": {"nl": "Ingang aan het plein.", "en": "Entrance on the square."},
        "activity_at": datetime.now(UTC),
    }


def _desk(office_id: int, step_minutes: int) -> dict[str, Any]:
    return {
        "office_id": office_id,
        "key": DESK,
        "position": 1,
        "names": {"nl": "Burgerzaken", "en": "Civil registry"},
        "email": "burgerzaken@meetstad.example.org",
        "step_minutes": step_minutes,
    }


def _service(municipality_id: int, position: int, plan: Plan) -> dict[str, Any]:
    return {
        "municipality_id": municipality_id,
        "key": service_key(position),
        "desk_key": DESK,
        "minutes": LENGTHS[position % len(LENGTHS)],
        "extra_person_minutes": 5,
        "max_people": 4,
        "in_person": "yes",
        "walk_in": "no",
        "online": "no",
        "is_sensitive": False,
        "min_notice_hours": 2,
        "max_days_ahead": plan.horizon,
    }


def _texts(position: int, service_id: int) -> list[dict[str, Any]]:
    return [
        {
            "service_id": service_id,
            "language": language,
            "name": f"Service {position} ({language})",
            "summary": "You apply for a document, which is ready after two weeks.",
            "who": "You come yourself, because we take your fingerprints.",
            "bring": ["identity card", "recent photo", "bank card"],
            "words": ["document", "card"],
        }
        for language in LANGUAGES
    ]


def _positions(plan: Plan, office: int) -> tuple[int, ...]:
    """The services of an office: the common ones, and one share of ten of the others."""
    others = range(plan.common, plan.services)
    return (*range(plan.common), *(position for position in others if position % 10 == office % 10))


def _add_hours(counter_ids: tuple[int, ...], plan: Plan) -> None:
    days = {"from_on": plan.only_on or date(2020, 1, 1), "until_on": plan.only_on}
    rows = [
        {"counter_id": id, "weekday": weekday, "opens": OPENS, "closes": plan.closes, **days}
        for id in counter_ids
        for weekday in range(5)
    ]
    db.session.execute(insert(OpeningHours), rows)
