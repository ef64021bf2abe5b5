"""Limits against those who take more than their share: of holds, and of appointments of one contact.

What is counted may lie in several offices, so its subject (a browser, an address, a contact) is locked first; offices
are raised after that. Subjects are pseudonyms made with a key outside the database. Staff have no limits. How many
there may be stands in the municipality.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any
from weakref import WeakKeyDictionary
from zoneinfo import ZoneInfo

from sqlalchemy import (
    BigInteger,
    BindParameter,
    ColumnElement,
    Select,
    Subquery,
    and_,
    bindparam,
    func,
    or_,
    select,
)
from sqlalchemy.orm import SessionTransaction

from booking.appointments.models import Appointment, AppointmentState, Booking, Hold, Occupancy
from booking.appointments.timelines import OfficeLines
from booking.db import UtcDateTime, ask, db, run, table
from booking.links import Keys, pseudonym
from booking.outbox.models import Kind, MessageChannel
from booking.outbox.queue import Notice, queue_once
from booking.slots.clock import day_start
from booking.slots.timeline import between
from booking.staff.audit import count_lines
from booking.townhall.models import Municipality

A_DAY = timedelta(days=1)
MOVES_A_DAY = 5


class HoldLimit(Exception):
    """There are as many holds as one may have (`of` is "browser" or "address"), or as a day bears (`of` is "day")."""

    def __init__(self, of: str) -> None:
        super().__init__(f"The limit of holds is reached: {of}.")
        self.of = of


class ContactLimit(Exception):
    """The contact has as many appointments, or made as many bookings within a day, as one contact may."""


class AddressLimit(Exception):
    """From this address as many bookings were made within a day as one address may make."""


class ProofLimit(Exception):
    """From this address as many bookings were made within a day without a proof of work as one address may make."""


@dataclass(frozen=True)
class Holder:
    """Who holds: pseudonyms of browser and address, the hold that is given back for the new one, and the revisions of
    the offices that they have just `seen`, where they are known."""

    browser: str | None = None
    address: str | None = None
    gives_back: Hold | None = None
    is_staff: bool = False
    exceeds_quota: bool = False  # may take what is kept back for walk-ins
    seen: Mapping[int, int] | None = None
    needs: frozenset[str] = frozenset()  # that the demand was made for; see needs.py
    answers: str | None = None  # to the questions of the service; see papers.py

    @property
    def gives_back_id(self) -> int | None:
        return self.gives_back.id if self.gives_back else None


@dataclass(frozen=True)
class Contact:
    """An e-mail address or a phone number as its pseudonyms, one a key and the newest first, to find it again."""

    channel: MessageChannel
    subjects: tuple[str, ...]


def contact_of(keys: Keys, channel: MessageChannel, typed: str) -> Contact:
    """The contact behind what was typed: "Ann+balie@Example.org" and "ann@example.org" are one."""
    name, at, domain = typed.strip().lower().rpartition("@")
    plain = f"{name.partition('+')[0]}@{domain}" if at else typed
    return Contact(channel, tuple(pseudonym(key, "contact", plain) for key in keys))


def take_turn(holder: Holder) -> None:
    """Waits for others of the same browser or address: what they hold can then be read."""
    take_subjects([subject for subject in (holder.browser, holder.address) if subject])


def check_holds(municipality: Municipality, holder: Holder, now: datetime) -> None:
    """Raises HoldLimit when the browser or the address holds as many slots as it may, the one given back aside."""
    rules = [
        (holder.browser, Hold.browser, municipality.holds_per_browser),
        (holder.address, Hold.address, municipality.holds_per_address),
    ]
    rules = [rule for rule in rules if rule[0]]
    lives = and_(Hold.expires_at > now, Hold.booking_id.is_(None), Hold.first_id.is_(None))  # a visit counts once
    lives &= Hold.id != (holder.gives_back_id or 0)
    counted = [
        select(func.count(Hold.id)).where(column == subject, lives).scalar_subquery() for subject, column, _ in rules
    ]
    counts = db.session.execute(select(*counted)).one() if counted else ()
    for count, (_, column, limit) in zip(counts, rules, strict=True):
        if count >= limit:
            raise HoldLimit(column.key)


def check_day(lines: OfficeLines, municipality: Municipality, wanted: range, now: datetime) -> None:
    """Raises HoldLimit when these ticks would make the holds more than their part of the office's local day.

    One hold is always possible, however small the day is.
    """
    base, zone = lines.horizon.base, ZoneInfo(municipality.zone)
    day = lines.local_day(wanted.start)
    ticks = range(day_start(day, zone), day_start(day + A_DAY, zone))
    mask = between(ticks.start - base, ticks.stop - base)
    is_open = sum((line.opening.open & mask).bit_count() for line in lines.counters)
    room = municipality.held_percent * is_open / 100 - len(wanted)
    if sum((line.held & mask).bit_count() for line in lines.counters) <= room:
        return
    held = _held([line.counter_id for line in lines.counters], ticks, now)
    if held and held > room:
        raise HoldLimit("day")


def _held(counter_ids: Sequence[int], ticks: range, now: datetime) -> int:
    """How many ticks living holds keep. (In memory those that became bookings meanwhile still count.)"""
    query = select(func.count()).where(
        Occupancy.counter_id.in_(counter_ids),
        Occupancy.tick >= ticks.start,
        Occupancy.tick < ticks.stop,
        Occupancy.hold_id.is_not(None),
        Occupancy.expires_at > now,
    )
    return db.session.scalar(query) or 0


def take_counted(held: Hold, contacts: Sequence[Contact]) -> None:
    """Waits, before a booking, for others with one of these contacts: what they have can then be counted.

    Who has no contact, or no proof of work where one is asked for, is counted by their address. Others behind one
    address do not wait for each other.
    """
    take_subjects([contact.subjects[0] for contact in contacts])
    lacks_proof = held.counter.desk.office.municipality.asks_proof and not held.is_proven
    if held.address is not None and (lacks_proof or not contacts):
        take_subjects([held.address])


def take_contacts_and_read(
    contacts: Sequence[Contact], reading: Select[Any], values: Mapping[str, Any]
) -> dict[str, Any] | None:
    """The same for these contacts and one row, in one statement: to ask costs more than to wait.

    What is read is as it was before this waited. Where there is no such row, nothing is taken.
    """
    locks = _not_taken([contact.subjects[0] for contact in contacts])
    found = ask(_locking_too(reading, len(locks)), {**values, **_numbered(locks)})
    if not found:
        return None
    _taken_here().update(locks)
    return {name: value for name, value in found[0].items() if not name.startswith(_LOCK)}


def made_by(channel: MessageChannel, keys: int) -> Subquery:
    """One row: how many appointments a contact with so many pseudonyms has to come, and how many bookings it made
    within a day; to be selected with the values of count_values()."""
    bookings, appointments = table(Booking), table(Appointment)
    key = bookings.c[_KEYS[channel]]
    has_it = or_(*(key == bindparam(f"{channel}_{n}", type_=key.type) for n in range(keys)))
    comes = and_(
        appointments.c.state == AppointmentState.BOOKED,
        appointments.c.starts_at > bindparam("now", type_=UtcDateTime()),
    )
    is_new = bookings.c.made_at > bindparam("yesterday", type_=UtcDateTime())
    counted = [
        func.count(appointments.c.id).filter(comes).label("to_come"),
        func.count(bookings.c.id.distinct()).filter(is_new).label("made"),
    ]
    both = bookings.outerjoin(appointments, appointments.c.booking_id == bookings.c.id)
    mine = select(*counted).select_from(both).where(bookings.c.municipality_id == bindparam("town"), has_it)
    return mine.subquery(f"by_{channel}")


def made_from(address: BindParameter[str | None]) -> Subquery:
    """One row: how many bookings were made from an address within a day, how many of them without a contact, and how
    many without a proof of work. Holds know the address, for as long as they are kept."""
    holds, bookings = table(Hold), table(Booking)
    has_none = and_(bookings.c.email_key.is_(None), bookings.c.phone_key.is_(None))
    counted = [
        func.count().label("made"),
        func.count().filter(has_none).label("without_contact"),
        func.count().filter(holds.c.is_proven.is_(False)).label("unproven"),
    ]
    made = select(*counted).select_from(holds.join(bookings, bookings.c.id == holds.c.booking_id))
    is_new = bookings.c.made_at > bindparam("yesterday", type_=UtcDateTime())
    return made.where(holds.c.address == address, is_new).subquery("from_there")


def count_values(municipality: Municipality, contacts: Sequence[Contact], now: datetime) -> dict[str, Any]:
    """The parameters of made_by() for these contacts, and of made_from()."""
    subjects: dict[str, Any] = {
        f"{contact.channel}_{n}": subject for contact in contacts for n, subject in enumerate(contact.subjects)
    }
    return {"town": municipality.id, "now": now, "yesterday": now - A_DAY, **subjects}


def check_contact(municipality: Municipality, to_come: int, made: int) -> None:
    """Raises ContactLimit when a contact has all that it may have."""
    if to_come >= municipality.open_per_contact or made >= municipality.made_per_contact:
        raise ContactLimit


def check_address(municipality: Municipality, made: int, without_contact: int, *, has_contact: bool) -> None:
    """Raises AddressLimit: without a contact, which nobody can check, an address makes as many bookings a day as it
    may hold slots at once; with contacts ten times as many, because whole networks share an address."""
    if made >= 10 * municipality.holds_per_address:
        raise AddressLimit
    if not has_contact and without_contact >= municipality.holds_per_address:
        raise AddressLimit


def check_proof(municipality: Municipality, held: Hold, unproven: int) -> None:
    """Raises ProofLimit: who has no scripts, or a slow device, may book without the proof, but a tenth of what an
    address may hold at once is a day's share of all of them together."""
    if not held.is_proven and unproven >= max(municipality.holds_per_address // 10, 1):
        raise ProofLimit


def has_moved_enough(appointment: Appointment, now: datetime) -> bool:
    """Whether citizens have moved it as often within a day as they may: each move writes to a contact that nobody has
    confirmed, at the town's cost."""
    return count_lines("move", ("appointment", appointment.id), now - A_DAY) >= MOVES_A_DAY


_KEYS = {MessageChannel.EMAIL: "email_key", MessageChannel.SMS: "phone_key"}


def open_appointments(booking: Booking, channel: MessageChannel, now: datetime) -> Sequence[Appointment]:
    """What the contact of this booking has still to come, earliest first."""
    key = Booking.email_key if channel == MessageChannel.EMAIL else Booking.phone_key
    mine = booking.email_key if channel == MessageChannel.EMAIL else booking.phone_key
    query = select(Appointment).join(Appointment.booking).where(key == mine, _open(now))
    return db.session.scalars(
        query.where(Booking.municipality_id == booking.municipality_id).order_by(Appointment.starts_at)
    ).all()


def send_lists(municipality: Municipality, contacts: Iterable[Contact], now: datetime) -> None:
    """Queues the list of what is still to come for each contact, once a day: not for whoever typed it. Flushes."""
    for contact in contacts:
        query = select(Appointment.id, Appointment.sequence).join(Appointment.booking)
        query = query.where(_bookings_of(municipality, contact), _open(now)).order_by(Appointment.id.desc()).limit(1)
        found = db.session.execute(query).first()
        if found is not None:
            notice = Notice(Kind.LIST, f"limit-{now:%Y-%m-%d}", contact.channel, now, now + A_DAY)
            queue_once(municipality.id, (found.id, found.sequence), notice, now)


def back_at(municipality: Municipality, now: datetime) -> datetime:
    """When what is freed now comes back: at random within the municipality's minutes, so that nobody waits for it."""
    return now + timedelta(seconds=secrets.randbelow(60 * municipality.freed_minutes + 1))


def take_subjects(subjects: Iterable[str]) -> None:
    """Waits for whoever has taken one of these subjects, and keeps them until this transaction ends.

    They are taken in one order, whoever comes: so nobody waits in a circle. SQLite has one writer at a time anyway.
    """
    locks = _not_taken(subjects)
    if locks:
        run(_locking(len(locks)), _numbered(locks))
        _taken_here().update(locks)


def _not_taken(subjects: Iterable[str]) -> list[int]:
    """The locks of those that this transaction has not yet, in their order. Each is a number of 64 bits: where two
    subjects have the same, they wait for each other, and no more."""
    if db.engine.dialect.name != "postgresql":
        return []
    digests = (hashlib.sha256(subject.encode()).digest() for subject in subjects)
    return sorted({int.from_bytes(digest[:8], signed=True) for digest in digests} - _taken_here())


def _taken_here() -> set[int]:
    """The locks that this transaction has."""
    transaction = db.session().get_transaction()
    return _taken.setdefault(transaction, set()) if transaction is not None else set()


_LOCK = "lock_"
_taken: WeakKeyDictionary[SessionTransaction, set[int]] = WeakKeyDictionary()


def _numbered(locks: Sequence[int]) -> dict[str, int]:
    return {f"{_LOCK}{n}": lock for n, lock in enumerate(locks)}


@lru_cache(maxsize=8)
def _locking(count: int) -> Select[Any]:
    return select(*(_lock(n) for n in range(count)))


@lru_cache(maxsize=16)
def _locking_too(reading: Select[Any], count: int) -> Select[Any]:
    return reading.add_columns(*(_lock(n) for n in range(count)))


def _lock(number: int) -> ColumnElement[Any]:
    name = f"{_LOCK}{number}"
    return func.pg_advisory_xact_lock(bindparam(name, type_=BigInteger())).label(name)


def _bookings_of(municipality: Municipality, contact: Contact) -> ColumnElement[bool]:
    key = Booking.email_key if contact.channel == MessageChannel.EMAIL else Booking.phone_key
    return and_(Booking.municipality_id == municipality.id, key.in_(contact.subjects))


def _open(now: datetime) -> ColumnElement[bool]:
    return and_(Appointment.state == AppointmentState.BOOKED, Appointment.starts_at > now)
