"""Everything a municipality has, in open formats: one ZIP of CSV files. Without the persons of appointments.

On top lie the files that can be imported again, and lists for people; in tables/ each table of the database with its
ids, without what is secret or names a citizen. It goes out while it is written: a town of any size fits in memory.
"""

from __future__ import annotations

import base64
import io
import json
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import chain
from typing import Any

from sqlalchemy import ColumnElement, Executable, Table, select

from booking.appointments.models import Appointment, AppointmentService, Booking
from booking.db import Base, db, one_moment
from booking.exchange.imports import PARTS
from booking.exchange.places import places_of
from booking.townhall.models import Closure, Counter, Desk, Municipality, Office, Service
from booking.townhall.sheets import sheet_lines

BATCH = 500  # rows
PIECE = 64 * 1024  # bytes that are sent together
BOM = "\ufeff"  # by which spreadsheets know UTF-8

# Tables that are in no export, and why.
LEFT_OUT = {
    "attempt": "pseudonyms of who failed to sign in",
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


def archive(municipality_id: int) -> Iterator[bytes]:
    """The ZIP file, piece by piece, as all of it was at one moment; in a transaction of its own that ends with it.

    Whoever stops in between ends the transaction. What was cut off lacks its end, and no program opens it.
    """
    pieces = _Pieces()
    with one_moment():
        municipality = db.session.get_one(Municipality, municipality_id)
        with zipfile.ZipFile(pieces, "w", zipfile.ZIP_DEFLATED) as file:
            for name, lines in _files(municipality):
                with file.open(name, "w", force_zip64=True) as member:  # nobody knows how long it will be
                    for line in chain([BOM], lines):
                        member.write(line.encode())
                        if pieces.size >= PIECE:
                            yield pieces.take()
                yield pieces.take()
        yield pieces.take()


class _Pieces(io.RawIOBase):
    """What was written and not taken yet; it has no place to go back to."""

    def __init__(self) -> None:
        self._written = bytearray()

    @property
    def size(self) -> int:
        return len(self._written)

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._written += data
        return len(data)

    def take(self) -> bytes:
        taken = bytes(self._written)
        self._written.clear()
        return taken


def _files(municipality: Municipality) -> Iterator[tuple[str, Iterable[str]]]:
    """The files by name, each in pieces."""
    for part in PARTS:
        yield f"{part.name}.csv", [part.written(municipality)]
    yield "closures.csv", _closures(municipality)
    yield "appointments.csv", _appointments(municipality)
    for table in tables():
        yield f"tables/{table.name}.csv", _rows(table, municipality.id)


def tables() -> list[Table]:
    """The tables that are exported."""
    return [table for table in Base.metadata.sorted_tables if table.name not in LEFT_OUT]


def columns(table: Table) -> list[Any]:
    """The columns of it that are."""
    return [column for column in table.columns if column.name not in NEVER.get(table.name, frozenset())]


def _rows(table: Table, municipality_id: int) -> Iterator[str]:
    wanted = columns(table)
    query = select(*wanted).where(_is_of(table, municipality_id)).order_by(*table.primary_key)
    rows = _in_batches(query)
    return sheet_lines([column.name for column in wanted], ([_plain(value) for value in row] for row in rows))


def _in_batches(query: Executable) -> Iterable[Any]:
    """The rows, of which so many are in memory at a time."""
    return db.session.execute(query, execution_options={"yield_per": BATCH})


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


def _closures(municipality: Municipality) -> Iterator[str]:
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
    return sheet_lines(
        header,
        (
            [called[one.office_id], key, number, one.starts_at.isoformat(), one.ends_at.isoformat()]
            + [one.reasons.get(language, "") for language in languages]
            for one, key, number in _in_batches(query)
        ),
    )


def _appointments(municipality: Municipality) -> Iterator[str]:
    """A line for each service of each appointment, without anything of the person."""
    times = (Appointment.starts_at, Appointment.ends_at, Appointment.state, Booking.channel, Booking.made_at)
    query = (
        select(Appointment.id, Office.id, Desk.key, Counter.number, Service.key, AppointmentService.people, *times)
        .select_from(Appointment)
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
    return sheet_lines(header, _lines(_in_batches(query), called))


def _lines(rows: Iterable[Any], called: dict[int, str]) -> Iterable[Sequence[Any]]:
    for id, office_id, desk, counter, service, people, starts, ends, state, channel, made in rows:
        times = (starts.isoformat(), ends.isoformat(), state.value, channel.value, made.date())
        yield (id, called[office_id], desk, counter, service, people, *times)
