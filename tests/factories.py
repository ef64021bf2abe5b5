"""Plain functions that make what a test needs, and return ids: nothing of them outlives its session."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TypeVar

from argon2 import PasswordHasher

from booking.db import db
from booking.staff.accounts import grant
from booking.staff.models import Place, Role, Staff
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

T = TypeVar("T")
LANGUAGES = ("nl", "fr", "de", "en")
PASSWORD = "a long password of the tests"
HASH = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1).hash(PASSWORD)  # cheap: nobody attacks a test
WEEKDAYS = range(5)


@dataclass(frozen=True)
class Town:
    """A town with one office, one desk (civil), two counters open on weekdays 09:00-12:00 and 13:00-16:00."""

    slug: str
    municipality_id: int
    office_id: int
    desk_id: int
    counter_ids: tuple[int, ...]
    passport_id: int  # 15 minutes, 10 more for each further person, at most 4
    wedding_id: int  # 60 minutes, sensitive


def make_town(slug: str = "testdorp", zone: str = "Europe/Brussels", counters: int = 2) -> Town:
    """Flushes; the test commits."""
    municipality = make_municipality(slug, zone)
    office = make_office(municipality)
    desk = make_desk(office)
    made = [make_counter(desk, number) for number in range(1, counters + 1)]
    for counter in made:
        for weekday in WEEKDAYS:
            make_hours(counter, weekday, 9 * 60, 12 * 60)
            make_hours(counter, weekday, 13 * 60, 16 * 60)
    passport = make_service(municipality, "passport", made, minutes=15, extra_person_minutes=10, max_people=4)
    wedding = make_service(municipality, "wedding", made, minutes=60, is_sensitive=True)
    return Town(
        slug, municipality.id, office.id, desk.id, tuple(counter.id for counter in made), passport.id, wedding.id
    )


def make_municipality(slug: str, zone: str = "Europe/Brussels") -> Municipality:
    municipality = Municipality(
        slug=slug,
        names={language: slug.title() for language in LANGUAGES},
        zone=zone,
        languages=list(LANGUAGES),
        language="nl",
        phone="+3215000000",
        email=f"info@{slug}.example.org",
        freed_minutes=0,
        open_per_contact=100,
        made_per_contact=100,
        reminders=[
            {"occasion": "day-before", "days": 1, "at": "18:00", "channels": ["email"]},
            {"occasion": "two-hours-before", "hours": 2, "channels": ["sms"]},
        ],
    )
    return _flushed(municipality)


def make_office(municipality: Municipality, position: int = 1) -> Office:
    return _flushed(
        Office(
            municipality=municipality,
            position=position,
            names={"nl": "Stadhuis", "en": "Town hall"},
            address="Marktplein 1, 1000 Testdorp",
            directions={"nl": "Ingang aan het plein.", "en": "Entrance on the square."},
            activity_at=datetime(2026, 1, 1, tzinfo=UTC),
        )
    )


def make_desk(office: Office, key: str = "civil", step_minutes: int = 5, buffer_minutes: int = 0) -> Desk:
    return _flushed(
        Desk(
            office=office,
            key=key,
            position=1,
            names={"nl": "Burgerzaken", "en": "Civil registry"},
            email="burgerzaken@testdorp.example.org",
            step_minutes=step_minutes,
            buffer_minutes=buffer_minutes,
        )
    )


def make_counter(desk: Desk, number: int = 1) -> Counter:
    return _flushed(Counter(desk=desk, number=number))


def make_hours(counter: Counter, weekday: int, opens: int, closes: int) -> OpeningHours:
    return _flushed(
        OpeningHours(counter_id=counter.id, weekday=weekday, opens=opens, closes=closes, from_on=date(2020, 1, 1))
    )


def make_service(municipality: Municipality, key: str, counters: list[Counter], **changes: object) -> Service:
    values: dict[str, object] = {
        "desk_key": "civil",
        "minutes": 15,
        "extra_person_minutes": 0,
        "max_people": 1,
        "in_person": "yes",
        "walk_in": "no",
        "online": "no",
        "is_sensitive": False,
        "fee": None,
        "min_notice_hours": 2,
        "max_days_ahead": 60,
    }
    service = Service(municipality_id=municipality.id, key=key, **{**values, **changes})
    service.texts = [
        ServiceText(
            language=language,
            name=f"{key.title()} ({language})",
            summary="What it is.",
            who="You come yourself.",
            bring=["identity card"],
            words=[key],
        )
        for language in LANGUAGES
    ]
    _flushed(service)
    db.session.add_all(CounterService(counter_id=counter.id, service_id=service.id) for counter in counters)
    db.session.flush()
    return service


def make_staff(
    municipality_id: int, email: str, role: Role = Role.CLERK, desk_id: int | None = None, office_id: int | None = None
) -> Staff:
    name = email.split("@")[0].title()
    staff = Staff(municipality_id=municipality_id, email=email, name=name, language="nl", password_hash=HASH)
    _flushed(staff)
    grant(staff, role, Place(desk_id, office_id))
    return staff


def _flushed(thing: T) -> T:
    db.session.add(thing)
    db.session.flush()
    return thing
