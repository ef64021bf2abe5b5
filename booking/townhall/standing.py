"""The municipality as its pages need it, kept in memory by its revision: one read tells whether it is still true.

What is kept is read only and belongs to no session: its rows know each other and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import Engine, bindparam, select
from sqlalchemy.orm import Session, selectinload
from sqlalchemy.orm.attributes import set_committed_value

from booking.db import db, read_once, snapshot
from booking.townhall.models import Counter, CounterService, Desk, Municipality, Office, Service, Way
from booking.townhall.search import Index, index


@dataclass(frozen=True)
class Standing:
    """A municipality with its offices, desks, counters and services as they stand at `revision`."""

    municipality: Municipality
    revision: int
    services: Sequence[Service]  # in the order of the catalogue
    services_by_key: Mapping[str, Service]
    services_by_id: Mapping[int, Service]
    offices: Mapping[int, Office]
    desks: Sequence[Desk]  # office by office
    counters: Mapping[int, Counter]
    doing: Mapping[int, tuple[Office, ...]]  # service id → the offices with a counter that does it
    crowded: Mapping[int, tuple[Desk, ...]]  # service id → the desks that do it and let in so many people at once
    ways: Mapping[tuple[int, int], int]  # two offices' ids → minutes from one to the other

    @cached_property
    def index(self) -> Index:
        """Of all services, to search them."""
        return index(self.services)

    @cached_property
    def office_of(self) -> dict[int, int]:
        """Desk id → office id."""
        return {desk.id: desk.office_id for desk in self.desks}

    def service(self, key: str) -> Service | None:
        return self.services_by_key.get(key)

    def offices_for(self, service: Service) -> Sequence[Office]:
        """The offices with a counter that does the service."""
        return self.doing.get(service.id, ())


_kept: WeakKeyDictionary[Engine, dict[str, Standing]] = WeakKeyDictionary()

_NUMBERS = (
    select(Municipality.revision, Office.id, Office.revision.label("office_revision"), Office.activity)
    .outerjoin(Office, Office.municipality_id == Municipality.id)
    .where(Municipality.slug == bindparam("slug"))
)


@dataclass(frozen=True)
class Numbers:
    """How often the offices had changed when they were asked: their offers, and what their agendas show."""

    revisions: Mapping[int, int]
    activities: Mapping[int, int]


def standing(slug: str) -> tuple[Standing, Numbers] | None:
    """The municipality of this short name, and the present numbers of its offices; None if there is none.

    One read outside any transaction, and nothing else while the municipality is as it was.
    """
    rows: Sequence[Any] = read_once(_NUMBERS, slug=slug)
    if not rows:
        return None
    kept = _kept.setdefault(db.engine, {})
    found = kept.get(slug)
    if found is None or found.revision < rows[0][0]:
        found = _load(slug)
        kept[slug] = found
    revisions = {id: revision for _town, id, revision, _activity in rows if id is not None}
    activities = {id: activity for _town, id, _revision, activity in rows if id is not None}
    return found, Numbers(revisions, activities)


def kept_standing(slug: str) -> Standing | None:
    """The municipality as this process saw it last, if it has."""
    return _kept.get(db.engine, {}).get(slug)


def _load(slug: str) -> Standing:
    """Reads all of it in one snapshot, and lets go of the session."""
    structure = selectinload(Municipality.offices).selectinload(Office.desks).selectinload(Desk.counters)
    with snapshot() as connection, Session(connection) as session:
        town = session.scalars(
            select(Municipality).where(Municipality.slug == slug).options(structure, selectinload(Municipality.logo))
        ).one()
        all_services = session.scalars(
            select(Service).where(Service.municipality_id == town.id).order_by(Service.id)
        ).all()
        doing = session.execute(
            select(CounterService.service_id, Desk.office_id, Desk.id.label("desk_id"))
            .join(Counter, Counter.id == CounterService.counter_id)
            .join(Desk, Desk.id == Counter.desk_id)
            .join(Office, Office.id == Desk.office_id)
            .where(Office.municipality_id == town.id)
            .order_by(Office.position, Desk.id)
            .distinct()
            .add_columns(Office.position)
        ).all()
        offices = {office.id: office for office in town.offices}
        ways = session.scalars(select(Way).where(Way.one_id.in_(offices))).all()
        _know_each_other(town, all_services)
        session.expunge_all()
    desks = [desk for office in town.offices for desk in office.desks]
    by_service: dict[int, dict[int, Office]] = {}
    crowded: dict[int, tuple[Desk, ...]] = {}
    for service_id, office_id, desk_id, _position in doing:
        by_service.setdefault(service_id, {})[office_id] = offices[office_id]
        if found := [desk for desk in desks if desk.id == desk_id and desk.crowd_size]:
            crowded[service_id] = (*crowded.get(service_id, ()), *found)
    return Standing(
        municipality=town,
        revision=town.revision,
        services=all_services,
        services_by_key={service.key: service for service in all_services},
        services_by_id={service.id: service for service in all_services},
        offices=offices,
        desks=desks,
        counters={counter.id: counter for desk in desks for counter in desk.counters},
        doing={id: tuple(found.values()) for id, found in by_service.items()},
        crowded=crowded,
        ways={pair: way.minutes for way in ways for pair in ((way.one_id, way.other_id), (way.other_id, way.one_id))},
    )


def _know_each_other(town: Municipality, services: Sequence[Service]) -> None:
    """Sets the ways back, so that none is asked of the database later."""
    for office in town.offices:
        set_committed_value(office, "municipality", town)
        for desk in office.desks:
            set_committed_value(desk, "office", office)
            for counter in desk.counters:
                set_committed_value(counter, "desk", desk)
    for service in services:
        for text in service.texts:
            set_committed_value(text, "service", service)
