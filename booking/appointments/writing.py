"""How a new booking gets into the database: what must be looked at once the office waits, and all its rows at once.

Every confirming POST comes through here and many come at the same moment, so statements count: one makes the others
of the office wait and looks, one writes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import BindParameter, Select, bindparam, insert, null, select, update
from sqlalchemy.orm.attributes import set_committed_value

from booking.appointments.limits import (
    Contact,
    check_address,
    check_counts,
    check_proof,
    count_values,
    counts_of,
    made_from,
)
from booking.appointments.models import Appointment, AppointmentService, Booking, Hold, Occupancy
from booking.appointments.references import new_reference
from booking.db import Together, UtcDateTime, know, next_id, run, table, values_of
from booking.outbox.models import Message, MessageChannel
from booking.staff.models import AuditLine
from booking.townhall.models import Office
from booking.townhall.revisions import raise_activity_and_read


class BookedMeanwhile(Exception):
    """The hold became a booking by another request while this one waited: roll back, and look at the hold again."""


@dataclass(frozen=True)
class Ids:
    """What a new booking will be called, by the database and by people, and the revision of its office."""

    booking: int
    appointment: int
    reference: str
    revision: int


def look(held: Hold, office: Office, contacts: Sequence[Contact], now: datetime) -> Ids:
    """Raises the activity of the office, reads the hold again, counts what the contacts have, and draws ids.

    The rows of the contacts are taken before, so what is counted is sure. The hold may still change while this waits
    for the office: write() finds that out. Raises ContactLimit, AddressLimit, ProofLimit, unless the hold is a booking
    already.
    """
    reference, municipality = new_reference(), office.municipality
    channels = tuple(contact.channel for contact in contacts)
    asks_proof = municipality.asks_proof and held.address is not None
    statement = _looking(channels, asks_proof)
    values = {"hold": held.id, "reference": reference, "from_address": held.address}
    values |= count_values(municipality, contacts, now)
    found = raise_activity_and_read(office.id, now, statement, values)
    set_committed_value(held, "booking_id", found.booking_id)
    set_committed_value(held, "expires_at", found.expires_at)
    if held.booking_id is None:
        check_address(municipality, found.made, found.made_without, has_contact=bool(contacts))
        if asks_proof:
            check_proof(municipality, held, found.unproven)
        check_counts(municipality, found[-1 - 2 * len(channels) : -1])
        if found.is_somebodys:
            return look(held, office, contacts, now)
    return Ids(found.new_booking, found.new_appointment, reference, found.revision)


@dataclass(frozen=True)
class Written:
    """The rows of a new booking, but for its ticks."""

    booking: Booking
    appointment: Appointment
    item: AppointmentService
    messages: Sequence[Mapping[str, Any]]
    line: Mapping[str, Any]


def write(rows: Written, held: Hold, now: datetime) -> set[int]:
    """Inserts the rows, makes the hold the booking's, and hands its ticks over if it lives; which ticks those are.

    Raises BookedMeanwhile.
    """
    found = {"booking": rows.booking, "appointment": rows.appointment, "item": rows.item}
    given: list[tuple[str, Mapping[str, Any]]] = [(prefix, values_of(row)) for prefix, row in found.items()]
    given += [("line", rows.line), *((f"message{n}", message) for n, message in enumerate(rows.messages))]
    values = {_parameter(prefix, name): value for prefix, row in given for name, value in row.items()}
    statement = _writing(tuple((prefix, tuple(row)) for prefix, row in given))
    ticks = set(statement.run(values | {"now": now, "from_hold": held.id}).scalars())
    if not ticks and run(_BECAME, {"from_hold": held.id}).scalar_one() != rows.booking.id:
        raise BookedMeanwhile
    set_committed_value(held, "booking_id", rows.booking.id)
    know(rows.booking, rows.appointment, rows.item)
    return ticks


def hand_over(held: Hold, appointment: Appointment, now: datetime) -> set[int]:
    """Makes the hold of a further desk the booking's, and hands its ticks over if it lives; which ticks those are."""
    values = {"from_hold": held.id, "booking_id": appointment.booking_id, "appointment_id": appointment.id, "now": now}
    run(_BECOME, values)
    set_committed_value(held, "booking_id", appointment.booking_id)
    return set(run(_HAND_OVER, values).scalars())


@lru_cache(maxsize=16)
def _looking(channels: tuple[MessageChannel, ...], asks_proof: bool) -> Select[Any]:
    holds, bookings = table(Hold), table(Booking)
    made, without_contact, unproven = made_from(bindparam("from_address"))
    same = (bookings.c.municipality_id == bindparam("town"), bookings.c.reference == bindparam("reference"))
    return select(
        holds.c.booking_id,
        holds.c.expires_at,
        next_id(Booking).label("new_booking"),
        next_id(Appointment).label("new_appointment"),
        select(bookings.c.id).where(*same).exists().label("is_somebodys"),
        made.label("made"),
        without_contact.label("made_without"),
        *([unproven.label("unproven")] if asks_proof else []),
        *(count for channel in channels for count in counts_of(channel)),
    ).where(holds.c.id == bindparam("hold"))


@lru_cache(maxsize=64)
def _writing(rows: tuple[tuple[str, tuple[str, ...]], ...]) -> Together:
    """The statement for rows with these columns."""
    models = {"booking": Booking, "appointment": Appointment, "item": AppointmentService, "line": AuditLine}
    inserts = []
    for prefix, columns in rows:
        into = table(models.get(prefix, Message))
        names = {name: bindparam(_parameter(prefix, name), type_=into.c[name].type) for name in columns}
        inserts.append(insert(into).values(names))
    return Together(*inserts, _BECOME, _HAND_OVER)


# What rows have in common is one parameter: the driver keeps no statement that has more than fifty.
_COMMON = {
    "appointment_booking_id": "booking_id",
    "item_appointment_id": "appointment_id",
    "line_object_id": "appointment_id",
    "line_municipality_id": "booking_municipality_id",
    "booking_made_at": "now",
    "appointment_changed_at": "now",
    "line_at": "now",
}
_OF_ALL_MESSAGES = {
    "municipality_id": "booking_municipality_id",
    "subject_id": "appointment_id",
    "subject_kind": "line_object_kind",
    "sequence": "appointment_sequence",
    "made_at": "now",
    "state": "message_state",
    "attempts": "message_attempts",
}


@lru_cache(maxsize=256)
def _parameter(prefix: str, column: str) -> str:
    name = f"{prefix}_{column}"
    return _OF_ALL_MESSAGES.get(column, name) if prefix.startswith("message") else _COMMON.get(name, name)


_HOLD, _OCCUPANCY = table(Hold), table(Occupancy)
_FROM: BindParameter[int] = bindparam("from_hold")
_BECOME = (
    update(_HOLD).where(_HOLD.c.id == _FROM, _HOLD.c.booking_id.is_(None)).values(booking_id=bindparam("booking_id"))
)
_BECAME = select(_HOLD.c.booking_id).where(_HOLD.c.id == _FROM)
_HAND_OVER = (
    update(_OCCUPANCY)
    .where(_OCCUPANCY.c.hold_id == _FROM, _OCCUPANCY.c.expires_at > bindparam("now", type_=UtcDateTime()))
    .values(appointment_id=bindparam("appointment_id"), hold_id=null(), expires_at=null())
    .returning(_OCCUPANCY.c.tick)
)
