"""How a new booking gets into the database: all its rows at once, with what decides whether they may stay.

Every confirming POST comes through here and many come at the same moment. So statements count, and the others of the
office wait as briefly as can be: the last statement before the commit raises it, writes, and reads what must be looked
at while it is ours. What must not stay is rolled back.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from itertools import chain
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Dialect,
    Enum,
    Executable,
    FromClause,
    Integer,
    Select,
    String,
    bindparam,
    false,
    func,
    insert,
    literal_column,
    null,
    select,
    true,
    union_all,
    update,
)
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import SessionTransaction
from sqlalchemy.orm.attributes import set_committed_value
from sqlalchemy.types import TypeEngine, UserDefinedType

from booking.appointments.limits import (
    Contact,
    check_address,
    check_contact,
    check_proof,
    count_values,
    made_by,
    made_from,
)
from booking.appointments.models import Appointment, AppointmentService, Booking, Hold, Occupancy
from booking.db import Base, UtcDateTime, ask, db, next_id, run, table
from booking.outbox.models import Message, MessageChannel
from booking.staff.models import AuditLine
from booking.townhall.revisions import activity_raised, raise_activity, raised_activity


class HoldChanged(Exception):
    """The hold became something else while this waited for the office: roll back, and begin again with the hold."""


class NewIds(NamedTuple):
    """The ids of a booking and its appointment before they are written."""

    booking: int
    appointment: int


# They can be drawn with any row that the transaction reads before: one question less.
IDS = (next_id(Booking).label("new_booking"), next_id(Appointment).label("new_appointment"))
_kept: WeakKeyDictionary[SessionTransaction, NewIds] = WeakKeyDictionary()


def keep_ids(row: dict[str, Any]) -> None:
    """Takes the columns of IDS out of a row that was read with them, for the next booking of this transaction.

    On SQLite an id is the next one only until somebody inserts a row: it is drawn again right before.
    """
    kept = NewIds(row.pop("new_booking"), row.pop("new_appointment"))
    transaction = db.session().get_transaction()
    if transaction is not None and db.engine.dialect.name == "postgresql":
        _kept[transaction] = kept


def new_ids() -> NewIds:
    """The ids for the next booking of this transaction: those that are kept, once, or new ones."""
    transaction = db.session().get_transaction()
    kept = _kept.pop(transaction, None) if transaction is not None else None
    return kept or NewIds(*run(select(*IDS)).one())


@dataclass(frozen=True)
class Written:
    """The rows of a new booking, but for its ticks."""

    booking: Mapping[str, Any]
    appointment: Mapping[str, Any]
    item: Mapping[str, Any]
    messages: Sequence[Mapping[str, Any]]
    line: Mapping[str, Any]

    def parts(self) -> list[tuple[str, Mapping[str, Any]]]:
        """Each row with the name of its part."""
        first = [("booking", self.booking), ("appointment", self.appointment), ("item", self.item), ("line", self.line)]
        return [*first, *(("message", one) for one in self.messages)]


@dataclass(frozen=True)
class Handed:
    """What the hold handed over: its ticks, if it still lived, and the revision of the office from then on."""

    ticks: frozenset[int]
    revision: int


def write(rows: Written, held: Hold, contacts: Sequence[Contact], now: datetime) -> Handed:
    """Raises the activity of the office, inserts the rows, makes the hold the booking's, and hands its ticks over.

    The contacts are taken before, so what they have is counted surely. Raises HoldChanged, ContactLimit, AddressLimit,
    ProofLimit: then nothing of it may stay.
    """
    office, parts = held.counter.desk.office, rows.parts()
    shape = _shape(parts, contacts)
    given = zip(_parameters(shape), chain.from_iterable(row.values() for _part, row in parts), strict=True)
    values = {name: value for name, value in given if name is not None}
    values |= {"from_hold": held.id, "from_address": held.address, "office": office.id}
    values |= count_values(office.municipality, contacts, now)
    try:
        found = (_at_once if db.engine.dialect.name == "postgresql" else _in_turn)(shape, values)
    except IntegrityError as refusal:
        if "reference" in f"{refusal.orig}":  # of 34 billion it drew one that somebody has
            raise HoldChanged from refusal
        raise
    if not found["became"]:
        raise HoldChanged
    _check(found, held, contacts)
    set_committed_value(held, "booking_id", rows.booking["id"])
    return Handed(frozenset(found["ticks"] or ()), found["revision"])


def hand_over(held: Hold, appointment: Appointment, now: datetime) -> frozenset[int]:
    """Makes the hold of a further desk the booking's, and hands its ticks over if it lives; which ticks those are."""
    values = {
        "from_hold": held.id,
        "now": now,
        "new_booking": appointment.booking_id,
        "new_appointment": appointment.id,
    }
    run(_BECOME, values)
    set_committed_value(held, "booking_id", appointment.booking_id)
    return frozenset(run(_HAND_OVER, values).scalars())


def _check(found: Mapping[str, Any], held: Hold, contacts: Sequence[Contact]) -> None:
    municipality = held.counter.desk.office.municipality
    check_address(municipality, found["made"], found["without_contact"], has_contact=bool(contacts))
    if municipality.asks_proof and held.address is not None:
        check_proof(municipality, held, found["unproven"])
    for contact in contacts:
        check_contact(municipality, found[f"{contact.channel}_to_come"], found[f"{contact.channel}_made"])


@dataclass(frozen=True)
class _Shape:
    """All that makes one statement differ from another: the columns of each row, and what is counted."""

    parts: tuple[tuple[str, tuple[str, ...], tuple[Any, ...]], ...]  # with the values that stand in the statement
    contacts: tuple[tuple[str, int], ...]  # how many pseudonyms each has


_MODELS: dict[str, type[Base]] = {
    "booking": Booking,
    "appointment": Appointment,
    "item": AppointmentService,
    "line": AuditLine,
    "message": Message,
}
# What is the same word or number in each new booking stands in the statement, because each parameter costs time.
_SAME = {
    "booking": ("generation",),
    "appointment": ("sequence", "state", "is_exception", "is_beyond_quota"),
    "item": ("position",),
    "line": ("actor", "action", "object_kind", "details"),
    "message": ("subject_kind", "sequence", "kind", "channel", "state", "attempts"),
}
_COMMON = {
    "booking_id": "new_booking",
    "appointment_id": "new_appointment",
    "appointment_booking_id": "new_booking",
    "item_appointment_id": "new_appointment",
    "line_object_id": "new_appointment",
    "message_subject_id": "new_appointment",
    "line_municipality_id": "town",
    "booking_municipality_id": "town",
    "message_municipality_id": "town",
    "booking_made_at": "now",
    "appointment_changed_at": "now",
    "line_at": "now",
    "message_made_at": "now",
}


def _shape(parts: Sequence[tuple[str, Mapping[str, Any]]], contacts: Sequence[Contact]) -> _Shape:
    rows = ((part, tuple(row), tuple([_plain(row[name]) for name in _SAME[part]])) for part, row in parts)
    return _Shape(tuple(rows), tuple([(contact.channel.value, len(contact.subjects)) for contact in contacts]))


def _plain(value: Any) -> Any:
    """A word as itself (what an enumeration says of it takes long), and details as their text."""
    if isinstance(value, str):
        return str.__str__(value)
    return _json(tuple(value.items())) if isinstance(value, dict) else value


@lru_cache(maxsize=64)  # an encoder is made for each text
def _json(details: tuple[tuple[str, str], ...]) -> str:
    return json.dumps(dict(details))


@lru_cache(maxsize=256)
def _parameters(shape: _Shape) -> tuple[str | None, ...]:
    """The name of each value, row by row; None for those that stand in the statement."""
    columns = [(part, n, name) for n, (part, names, _same) in enumerate(shape.parts) for name in names]
    return tuple(None if name in _SAME[part] else _parameter(part, n, name) for part, n, name in columns)


def _parameter(part: str, number: int, column: str) -> str:
    common = _COMMON.get(f"{part}_{column}")
    return common or f"{part[0]}{number}_{column}"


_HOLD, _OCCUPANCY = table(Hold), table(Occupancy)
_FROM: BindParameter[int] = bindparam("from_hold")
_NOW = bindparam("now", type_=UtcDateTime())
_BECOME = (
    update(_HOLD)
    .where(_HOLD.c.id == _FROM, _HOLD.c.booking_id.is_(None))
    .values(booking_id=bindparam("new_booking", type_=table(Booking).c.id.type))
    .returning(_HOLD.c.id)
)
_HAND_OVER = (
    update(_OCCUPANCY)
    .where(_OCCUPANCY.c.hold_id == _FROM, _OCCUPANCY.c.expires_at > _NOW)
    .values(appointment_id=bindparam("new_appointment", type_=table(Appointment).c.id.type))
    .values(hold_id=null(), expires_at=null())
    .returning(_OCCUPANCY.c.tick)
)


def _at_once(shape: _Shape, values: Mapping[str, Any]) -> Mapping[str, Any]:
    """PostgreSQL gets all as one statement: the round trips cost more than the rows."""
    found = ask(_as_one(shape), values)[0]
    raised_activity()
    return found


def _in_turn(shape: _Shape, values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Other databases get one after the other: nobody else writes meanwhile."""
    known = raise_activity([values["office"]], values["now"])
    reading, *inserts = _in_parts(shape)
    found = run(reading, values).one()._mapping
    for statement in inserts:
        run(statement, values)
    became, ticks = run(_BECOME, values).scalars().all(), run(_HAND_OVER, values).scalars().all()
    return {**found, "revision": known[values["office"]], "became": len(became), "ticks": ticks}


@lru_cache(maxsize=256)
def _in_parts(shape: _Shape) -> tuple[Executable, ...]:
    counted, columns = _counts(shape)
    return select(*columns).select_from(counted), *_inserts(shape)


@lru_cache(maxsize=256)
def _as_one(shape: _Shape) -> Select[Any]:
    """The office first: what is changed of the hold waits for it, as everybody does who changes one."""
    raised = activity_raised()
    is_ours = select(raised.c.revision).exists()
    became, handed = _BECOME.where(is_ours).cte("became"), _HAND_OVER.where(is_ours).cte("handed")
    inserted = [one.cte(f"new_{n}") for n, one in enumerate(_inserts(shape))]
    found = {
        "revision": select(raised.c.revision).scalar_subquery(),
        "became": select(func.count()).select_from(became).scalar_subquery(),
        "ticks": select(func.array_agg(handed.c.tick)).scalar_subquery(),
    }
    counted, columns = _counts(shape)
    answer = select(*(column.label(name) for name, column in found.items()), *columns).select_from(counted)
    return answer.add_cte(*inserted)


def _counts(shape: _Shape) -> tuple[FromClause, list[ColumnElement[Any]]]:
    """What is compared with the limits, as it is without this booking: one row, and its columns."""
    there = made_from(bindparam("from_address"))
    counted: FromClause = there
    columns: list[ColumnElement[Any]] = list(there.c)
    for channel, keys in shape.contacts:
        made = made_by(MessageChannel(channel), keys)
        counted = counted.join(made, true())
        columns += [made.c[name].label(f"{channel}_{name}") for name in ("to_come", "made")]
    return counted, columns


def _inserts(shape: _Shape) -> list[Any]:
    """One for each table: that of the messages has a SELECT for each of them."""
    found, messages = [], []
    for n, (part, names, same) in enumerate(shape.parts):
        alike = dict(zip(_SAME[part], same, strict=True))
        row = {name: _value((part, n, name), alike.get(name)) for name in names}
        if part == "message":
            messages.append(row)
        else:
            found.append(insert(table(_MODELS[part])).values(row))
    if messages:
        rows = union_all(*(select(*row.values()) for row in messages))
        found.append(insert(table(Message)).from_select(list(messages[0]), rows))
    return found


def _value(place: tuple[str, int, str], same: Any) -> ColumnElement[Any]:
    part, number, name = place
    if same is None:
        return bindparam(_parameter(part, number, name), type_=_without_cast(table(_MODELS[part]).c[name].type))
    if isinstance(same, bool):
        return true() if same else false()
    return literal_column(f"'{same}'" if isinstance(same, str) else f"{same}")


class _AsItIs(UserDefinedType[Any]):
    """The type of a parameter whose place says what it is: a cast at each would make a long statement.

    Its values go into the database as ever: SQLite compares moments as texts, and only texts of one form.
    """

    cache_ok = True

    def __init__(self, of: TypeEngine[Any]) -> None:
        self.of = of

    def bind_processor(self, dialect: Dialect) -> Any:
        return self.of.dialect_impl(dialect).bind_processor(dialect)


def _without_cast(of: TypeEngine[Any]) -> TypeEngine[Any]:
    is_plain = isinstance(of, String | Integer | UtcDateTime) and not isinstance(of, Enum)
    return _AsItIs(of) if is_plain else of
