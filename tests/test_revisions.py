"""Who changes a row of the town hall raises what is kept in memory of it, and of nobody else."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime

import pytest
from flask import Flask
from sqlalchemy import select

from booking.db import Base, begin_write, db
from booking.townhall.models import (
    Closure,
    Counter,
    CounterService,
    Desk,
    Municipality,
    Office,
    OpeningHours,
    Service,
    Way,
)
from booking.townhall.standing import standing
from tests.factories import Town, make_desk, make_office, make_town

pytestmark = pytest.mark.townhall

EVENING = datetime(2026, 12, 24, 16, tzinfo=UTC)


@pytest.fixture
def elders(context: Flask, town: Town) -> Town:
    """Another town of the same installation."""
    made = make_town("elders")
    make_office(db.session.get_one(Municipality, town.municipality_id), 2)
    db.session.commit()
    return made


def numbers(town: Town) -> tuple[int, list[int]]:
    """The revision of the municipality, and those of its offices."""
    db.session.rollback()
    offices = select(Office.revision).where(Office.municipality_id == town.municipality_id).order_by(Office.id)
    found = db.session.get_one(Municipality, town.municipality_id).revision, list(db.session.scalars(offices))
    db.session.rollback()
    return found


def renamed(model: type[Base], id: int) -> None:
    row = db.session.get_one(model, id)
    row.names = {"nl": "Anders"}  # type: ignore[attr-defined]


def removed_desk(town: Town) -> None:
    db.session.delete(db.session.scalars(select(Desk).where(Desk.key == "empty")).one())


WHOLE: dict[str, Callable[[Town], object]] = {
    "a municipality": lambda town: renamed(Municipality, town.municipality_id),
    "a service": lambda town: setattr(db.session.get_one(Service, town.passport_id), "minutes", 20),
    "a text": lambda town: setattr(db.session.get_one(Service, town.passport_id).texts[0], "name", "Anders"),
}
ONE_OFFICE: dict[str, Callable[[Town], object]] = {
    "an office": lambda town: renamed(Office, town.office_id),
    "a desk": lambda town: renamed(Desk, town.desk_id),
    "a desk that is gone": removed_desk,
    "a counter": lambda town: db.session.add(Counter(desk_id=town.desk_id, number=9)),
    "hours": lambda town: db.session.delete(db.session.scalars(select(OpeningHours)).first()),
    "a closure": lambda town: db.session.add(
        Closure(office_id=town.office_id, starts_at=EVENING, ends_at=EVENING.replace(hour=18), reasons={})
    ),
    "who does what": lambda town: db.session.delete(
        db.session.get_one(CounterService, (town.counter_ids[0], town.passport_id))
    ),
}


@pytest.mark.parametrize("what", [*WHOLE, *ONE_OFFICE])
def test_a_change_raises_its_own_town_and_no_other(elders: Town, town: Town, what: str) -> None:
    make_desk(db.session.get_one(Office, town.office_id), key="empty")
    db.session.commit()
    other, (revision, offices) = numbers(elders), numbers(town)
    begin_write()

    (WHOLE | ONE_OFFICE)[what](town)
    db.session.commit()

    first, second = offices
    assert numbers(town) == (revision + 1, [first + 1, second + (what in WHOLE)])
    assert numbers(elders) == other


def test_a_way_raises_both_its_offices(elders: Town, town: Town) -> None:
    revision, offices = numbers(town)
    begin_write()
    one, two = db.session.scalars(select(Office.id).where(Office.municipality_id == town.municipality_id)).all()

    db.session.add(Way(one_id=min(one, two), other_id=max(one, two), minutes=10))
    db.session.commit()

    assert numbers(town) == (revision + 1, [number + 1 for number in offices])


def test_a_removed_office_is_gone_for_everybody(elders: Town, town: Town) -> None:
    revision, offices = numbers(town)
    assert len(shown_offices(town)) == 2
    begin_write()

    db.session.delete(db.session.scalars(select(Office).where(Office.position == 2)).one())
    db.session.commit()

    assert numbers(town) == (revision + 1, offices[:1])
    assert len(shown_offices(town)) == 1


def shown_offices(town: Town) -> list[int]:
    found = standing(town.slug)
    assert found is not None
    return list(found[0].offices)


def test_thousands_of_rows_are_changed_at_once(elders: Town, town: Town) -> None:
    """A database says no to an expression of a thousand parts."""
    revision, _offices = numbers(town)
    begin_write()

    for n in range(1500):
        days = {"from_on": date(2030, 1, 1), "until_on": date(2030 + n % 9, 1, 1)}
        db.session.add(
            OpeningHours(counter_id=town.counter_ids[0], weekday=n % 7, opens=n % 100 * 5, closes=900, **days)
        )
    db.session.commit()

    assert numbers(town)[0] == revision + 1
