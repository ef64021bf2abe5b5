"""From nothing to the first bookable slot: a municipality with its first office, desk, hours and service."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import insert, select

from booking.db import db
from booking.staff.accounts import add, grant
from booking.staff.models import Role, Staff
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

REMINDERS = (
    {"occasion": "day-before", "days": 1, "at": "18:00", "channels": ["email"]},
    {"occasion": "two-hours-before", "hours": 2, "channels": ["sms"]},
)


class Begun(Exception):
    """A municipality is there already: this page has done its work."""


@dataclass(frozen=True)
class Beginning:
    """What a new town says of itself."""

    slug: str
    name: str
    zone: str
    country: str
    languages: Sequence[str]
    language: str
    phone: str
    email: str
    address: str
    desk: str
    counters: int
    week: Sequence[tuple[int, int, int]]
    service: str
    minutes: int


@dataclass(frozen=True)
class Administrator:
    name: str
    email: str
    password: str


def is_nothing_there() -> bool:
    """Whether this database has no municipality yet."""
    return db.session.scalar(select(Municipality.id).limit(1)) is None


def open_town(wanted: Beginning, administrator: Administrator, now: datetime, today: date) -> Staff:
    """Makes all of it, and the administrator's account. Raises Begun. Flushes."""
    if not is_nothing_there():
        raise Begun
    town = _town(wanted)
    office = Office(
        municipality=town,
        position=1,
        names=dict.fromkeys(wanted.languages, wanted.name),
        address=wanted.address,
        directions={},
        access=[],
        activity_at=now,
    )
    desk = Desk(office=office, key="civil", position=1, names=dict.fromkeys(wanted.languages, wanted.desk))
    desk.email, desk.step_minutes = wanted.email, 10
    desk.counters = [Counter(number=number) for number in range(1, wanted.counters + 1)]
    db.session.add_all([town, office, desk])
    db.session.flush()
    hours = [
        {"counter_id": counter.id, "weekday": weekday, "opens": opens, "closes": closes, "from_on": today}
        for counter in desk.counters
        for weekday, opens, closes in wanted.week
    ]
    db.session.execute(insert(OpeningHours), hours)
    service = _service(town, wanted)
    db.session.add_all(CounterService(counter_id=counter.id, service_id=service.id) for counter in desk.counters)
    account = add(town.id, administrator.email, administrator.name, wanted.language, administrator.password)
    grant(account, Role.ADMINISTRATOR)
    return account


def _town(wanted: Beginning) -> Municipality:
    return Municipality(
        slug=wanted.slug,
        names=dict.fromkeys(wanted.languages, wanted.name),
        zone=wanted.zone,
        country=wanted.country,
        languages=list(wanted.languages),
        language=wanted.language,
        phone=wanted.phone,
        email=wanted.email,
        reminders=[dict(rule) for rule in REMINDERS],
    )


def _service(town: Municipality, wanted: Beginning) -> Service:
    """The first service; its texts are only a beginning."""
    service = Service(municipality_id=town.id, key="first", desk_key="civil", minutes=wanted.minutes)
    service.extra_person_minutes, service.max_people, service.is_sensitive, service.fee = 0, 1, False, None
    service.in_person, service.walk_in, service.online = "yes", "no", "no"
    service.min_notice_hours, service.max_days_ahead = 2, 60
    service.texts = [
        ServiceText(language=language, name=wanted.service, summary=wanted.service, who="–", bring=[], words=[])
        for language in wanted.languages
    ]
    db.session.add(service)
    db.session.flush()
    return service
