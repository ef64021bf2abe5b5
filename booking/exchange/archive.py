"""Everything a municipality has, in open formats: one ZIP of CSV files. Without the persons of appointments.

On top lie the files that can be imported again, and lists for people; in tables/ each table of the database with its
ids, without what is secret or names a citizen.
"""

from __future__ import annotations

import base64
import io
import json
import zipfile
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Table, select

from booking.appointments.models import Appointment, AppointmentService, Booking
from booking.db import Base, db
from booking.exchange.imports import PARTS
from booking.exchange.places import places_of
from booking.townhall.models import Closure, Counter, Desk, Municipality, Office, Service
from booking.townhall.sheets import sheet

BOM = "\ufeff"  # by which spreadsheets know UTF-8

# Tables that are in no export, and why.
LEFT_OUT = {
    "attempt": "pseudonyms of who failed to sign in",
    "limited": "pseudonyms of contacts",
    "heartbeat": "belongs to the installation",
    "provider": "belongs to the installation",
    "change": "what processes have still to read",
    "departure": "what calendars have still to show",
    "hold": "ends by itself within minutes",
    "occupancy": "follows from appointments",
    "identity": "the names of staff in another system, which lets them in",
    "upload": "an export that comes back",
    "crowd_place": "who waits in a line, forgotten within hours",
}
# Columns that are secret, name a citizen or tell where somebody was.
NEVER: dict[str, frozenset[str]] = {
    "booking": frozenset(
        {"reference", "name", "email", "phone", "email_key", "phone_key", "needs", "answers", "generation"}
    ),
    "visit": frozenset({"note"}),
    "message": frozenset({"content", "provider_id", "reason"}),
    "staff": frozenset({"password_hash", "generation", "totp_generation", "totp_step"}),
    "sign_in_provider": frozenset({"secret"}),
    "feed": frozenset({"generation"}),
    "device": frozenset({"generation"}),
    "audit_line": frozenset({"origin"}),
    "appointment": frozenset({"uid"}),
}


def archive(municipality: Municipality) -> bytes:
    """The ZIP file."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as file:
        for part in PARTS:
            file.writestr(f"{part.name}.csv", BOM + part.written(municipality))
        file.writestr("closures.csv", BOM + _closures(municipality))
        file.writestr("appointments.csv", BOM + _appointments(municipality))
        for table in tables():
            file.writestr(f"tables/{table.name}.csv", BOM + _rows(table, municipality.id))
    return made.getvalue()


def tables() -> list[Table]:
    """The tables that are exported."""
    return [table for table in Base.metadata.sorted_tables if table.name not in LEFT_OUT]


def columns(table: Table) -> list[Any]:
    """The columns of it that are."""
    return [column for column in table.columns if column.name not in NEVER.get(table.name, frozenset())]


def _rows(table: Table, municipality_id: int) -> str:
    wanted = columns(table)
    query = select(*wanted).where(_is_of(table, municipality_id)).order_by(*table.primary_key)
    rows = db.session.execute(query)
    return sheet([column.name for column in wanted], ([_plain(value) for value in row] for row in rows))


def _is_of(table: Table, municipality_id: int) -> ColumnElement[bool]:
    """Whether a row belongs to the municipality: by its own column, or by what it cannot be without."""
    if table.name == "municipality":
        return table.c.id == municipality_id
    if "municipality_id" in table.c:
        return table.c.municipality_id == municipality_id
    above = next(key for key in table.foreign_keys if not key.parent.nullable and key.column.table is not table)
    parent = above.column.table
    assert isinstance(parent, Table)  # noqa: S101  (keys lead to tables)
    return above.parent.in_(select(above.column).where(_is_of(parent, municipality_id)))


def _plain(value: Any) -> Any:
    """The value as text that any program reads."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else value


def _closures(municipality: Municipality) -> str:
    """The closures, each with its reason in every language."""
    called = {office.id: name for name, office in places_of(municipality).offices.items() if office is not None}
    query = (
        select(Closure, Desk.key, Counter.number)
        .outerjoin(Counter, Counter.id == Closure.counter_id)
        .outerjoin(Desk, Desk.id == Counter.desk_id)
        .where(Closure.office_id.in_(called))
        .order_by(Closure.starts_at, Closure.id)
    )
    languages = municipality.languages
    header = ("office", "desk", "counter", "starts", "ends", *(f"reason_{one}" for one in languages))
    return sheet(
        header,
        (
            [called[one.office_id], key, number, one.starts_at.isoformat(), one.ends_at.isoformat()]
            + [one.reasons.get(language, "") for language in languages]
            for one, key, number in db.session.execute(query)
        ),
    )


def _appointments(municipality: Municipality) -> str:
    """A line for each service of each appointment, without anything of the person."""
    query = (
        select(Appointment, Booking, Counter.number, Desk.key, Office.id, Service.key, AppointmentService.people)
        .join(Booking, Booking.id == Appointment.booking_id)
        .join(Counter, Counter.id == Appointment.counter_id)
        .join(Desk, Desk.id == Counter.desk_id)
        .join(Office, Office.id == Desk.office_id)
        .join(AppointmentService, AppointmentService.appointment_id == Appointment.id)
        .join(Service, Service.id == AppointmentService.service_id)
        .where(Booking.municipality_id == municipality.id)
        .order_by(Appointment.id, AppointmentService.position)
    )
    called = {office.id: name for name, office in places_of(municipality).offices.items() if office is not None}
    header = ("id", "office", "desk", "counter", "service", "people", "starts", "ends", "state", "channel", "made")
    return sheet(header, _lines(db.session.execute(query), called))


def _lines(rows: Iterable[Any], called: dict[int, str]) -> Iterable[Sequence[Any]]:
    for one, booking, counter, desk, office_id, service, people in rows:
        times = (one.starts_at.isoformat(), one.ends_at.isoformat())
        made = (one.state.value, booking.channel.value, booking.made_at.date())
        yield (one.id, called[office_id], desk, counter, service, people, *times, *made)
