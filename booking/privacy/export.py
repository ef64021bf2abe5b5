"""Everything a municipality has, in open formats: one ZIP of CSV files. Appointments without persons."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import select

from booking.appointments.models import Appointment, AppointmentService, Booking
from booking.db import db
from booking.spoken import wall_clock
from booking.staff.models import Staff, StaffRole
from booking.townhall.catalogue import written
from booking.townhall.models import (
    Closure,
    Counter,
    CounterService,
    Desk,
    Municipality,
    Office,
    OpeningHours,
    Service,
)
from booking.townhall.sheets import harmless

BOM = "\ufeff"  # by which spreadsheets know UTF-8


def archive(municipality: Municipality) -> bytes:
    """The ZIP file."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("services.csv", written(municipality))
        for name, (columns, rows) in _tables(municipality).items():
            file.writestr(f"{name}.csv", BOM + _csv(columns, rows))
    return made.getvalue()


_COUNTERS = (
    select(Counter.number)
    .select_from(Counter)
    .join(Desk, Desk.id == Counter.desk_id)
    .join(Office, Office.id == Desk.office_id)
)
_PLACES = (
    select(Office, Desk, Counter)
    .select_from(Counter)
    .join(Desk, Desk.id == Counter.desk_id)
    .join(Office, Office.id == Desk.office_id)
)
_CLOSURES = (
    select(Office, Closure, Counter.number)
    .select_from(Closure)
    .join(Office, Office.id == Closure.office_id)
    .outerjoin(Counter, Counter.id == Closure.counter_id)
)

Table = tuple[Sequence[str], Iterable[Sequence[Any]]]


def _tables(municipality: Municipality) -> dict[str, Table]:
    own, language = Office.municipality_id == municipality.id, municipality.language
    counters = _all(_PLACES.where(own))
    hours = _all(
        _COUNTERS.add_columns(OpeningHours).join(OpeningHours, OpeningHours.counter_id == Counter.id).where(own)
    )
    closures = _all(_CLOSURES.where(own))
    doing = select(Counter.number, Service.key).join(CounterService, CounterService.counter_id == Counter.id)
    doing = doing.join(Service, Service.id == CounterService.service_id)
    staff = (
        select(Staff, StaffRole.role, Desk)
        .select_from(Staff)
        .outerjoin(Staff.roles)
        .outerjoin(Desk, Desk.id == StaffRole.desk_id)
    )
    return {
        "counters": (
            ("office", "address", "desk", "desk_key", "step_minutes", "buffer_minutes", "counter"),
            ((o.name(language), o.address, d.name(language), d.key, d.step_minutes, d.buffer_minutes, c.number)
             for o, d, c in counters),
        ),
        "hours": (
            ("counter", "weekday", "opens", "closes", "from", "until", "every_weeks"),
            ((n, h.weekday + 1, wall_clock(h.opens), wall_clock(h.closes), h.from_on, h.until_on or "", h.every_weeks)
             for n, h in hours),
        ),
        "closures": (
            ("office", "counter", "starts", "ends", "reason"),
            ((o.name(language), n or "", c.starts_at.isoformat(), c.ends_at.isoformat(), c.reasons.get(language, ""))
             for o, c, n in closures),
        ),
        "who_does_what": (("counter", "service"), _all(doing.where(Service.municipality_id == municipality.id))),
        "staff": (
            ("email", "name", "language", "role", "desk", "active"),
            ((s.email, s.name, s.language, r.value if r else "", d.key if d else "", s.is_active)
             for s, r, d in _all(staff.where(Staff.municipality_id == municipality.id))),
        ),
        "appointments": (("id", "counter", "service", "people", "starts", "ends", "state", "channel", "made"),
                         _appointments(municipality)),
    }  # fmt: skip


def _appointments(municipality: Municipality) -> Iterable[Sequence[Any]]:
    """A line for each service of each appointment, without anything of the person."""
    query = (
        select(Appointment.id, Counter.number, Service.key, AppointmentService.people, Appointment.starts_at)
        .add_columns(Appointment.ends_at, Appointment.state, Booking.channel, Booking.made_at)
        .join(Counter, Counter.id == Appointment.counter_id)
        .join(AppointmentService, AppointmentService.appointment_id == Appointment.id)
        .join(Service, Service.id == AppointmentService.service_id)
        .join(Booking, Booking.id == Appointment.booking_id)
        .where(Booking.municipality_id == municipality.id)
    )
    for id, counter, service, people, starts, ends, state, channel, made in _all(query.order_by(Appointment.id)):
        yield (
            id,
            counter,
            service,
            people,
            starts.isoformat(),
            ends.isoformat(),
            state.value,
            channel.value,
            made.date(),
        )


def _all(query: Any) -> Sequence[Any]:
    found: Sequence[Any] = db.session.execute(query).all()
    return found


def _csv(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerows([[harmless(cell) if isinstance(cell, str) else cell for cell in row] for row in rows])
    return text.getvalue()
