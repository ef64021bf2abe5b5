"""What files name: the town's offices, desks, counters and services, and those that the same files will add."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select

from booking.db import db
from booking.townhall.models import Counter, Desk, Municipality, Office, Service
from booking.townhall.sheets import _

DeskName = tuple[str, str]  # the name of the office in the authoritative language, the key of the desk
CounterName = tuple[str, str, int]


@dataclass(frozen=True)
class Places:
    """By what files call them; None for what a file will add. An office that is renamed keeps its old name here."""

    municipality: Municipality
    offices: dict[str, Office | None]
    desks: dict[DeskName, Desk | None]
    counters: dict[CounterName, int | None]  # ids
    services: dict[str, int | None]  # ids

    @property
    def desk_keys(self) -> list[str]:
        return sorted({key for _office, key in self.desks})

    def desk_problem(self, name: DeskName) -> str | None:
        """What is wrong with the office and desk that a line names."""
        office, key = name
        if office not in self.offices:
            return _("there is no office %(name)s; write it as it is called, or import it first.", name=repr(office))
        if name not in self.desks:
            return _("%(office)s has no desk %(key)s; correct it, or import it first.", office=office, key=repr(key))
        return None

    def counter_problem(self, name: CounterName) -> str | None:
        """What is wrong with the counter that a line names."""
        found = self.desk_problem(name[:2])
        if found is None and name not in self.counters:
            return _("this desk has no counter %(number)s; correct it, or import it first.", number=name[2])
        return found


def places_of(municipality: Municipality) -> Places:
    """What the municipality has; of offices with the same name the second is called "Library (2)"."""
    rows = db.session.scalars(
        select(Office).where(Office.municipality_id == municipality.id).order_by(Office.position, Office.id)
    ).all()
    offices: dict[str, Office | None] = {}
    for office in rows:
        name = office.name(municipality.language)
        same = sum(one is not None and one.name(municipality.language) == name for one in offices.values())
        offices[f"{name} ({same + 1})" if same else name] = office
    called = {office.id: name for name, office in offices.items() if office is not None}
    desks = db.session.scalars(select(Desk).where(Desk.office_id.in_(called)).order_by(Desk.position, Desk.id)).all()
    counters = db.session.execute(
        select(Counter.id, Counter.number, Desk.office_id, Desk.key)
        .join(Desk)
        .where(Desk.office_id.in_(called))
        .order_by(Counter.number, Counter.id)
    )
    services = select(Service.key, Service.id).where(Service.municipality_id == municipality.id)
    return Places(
        municipality,
        offices,
        {(called[desk.office_id], desk.key): desk for desk in desks},
        {(called[one.office_id], one.key, one.number): one.id for one in counters},
        dict(db.session.execute(services.order_by(Service.id)).all()),
    )
