"""Free slots and holds made straight in the database, so that nothing but the confirming POST is measured; and the
check that no counter has two visits at once."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from sqlalchemy import ColumnElement, Connection, and_, func, insert, select, update

from bench.data import TICKS_A_DAY
from bench.databases import KEY, Databases
from bench.load import Broken
from bench.town import CLOSES, LENGTHS, OPENS, SLUG, ZONE, today, working_days
from booking.appointments.models import Appointment, AppointmentState, Hold, Occupancy
from booking.links import token
from booking.slots.clock import TICK_MINUTES, day_start, moment_of, tick_of
from booking.townhall.models import Change, Counter, Desk, Office

TICKS = LENGTHS[0] // TICK_MINUTES  # of a visit to the service that is asked for
LIFE = timedelta(minutes=60)

Slot = tuple[int, int]  # a counter and the tick at which it is free


def free_slots(databases: Databases, name: str) -> dict[int, list[Slot]]:
    """Each office's free slots for the first service, from the day after next on, in no order."""
    town, chance = databases.towns[name], random.Random(11)
    with databases.connection(name) as connection:
        offices = _offices(connection)
        ends = tick_of(datetime.now(UTC)) + 50 * TICKS_A_DAY
        taken = set(
            connection.execute(
                select(Occupancy.counter_id, Occupancy.tick).where(
                    Occupancy.tick >= tick_of(datetime.now(UTC)), Occupancy.tick < ends
                )
            ).tuples()
        )
    found: dict[int, list[Slot]] = {office_id: [] for office_id in town.office_ids}
    for counter_id in town.counter_ids:
        found[offices[counter_id]] += [
            (counter_id, tick) for tick in _starts() if not any((counter_id, tick + n) in taken for n in range(TICKS))
        ]
    for slots in found.values():
        chance.shuffle(slots)
    return found


def _offices(connection: Connection) -> dict[int, int]:
    """Counter → its office."""
    return dict(connection.execute(select(Counter.id, Desk.office_id).join(Desk)).tuples().all())


def _starts() -> Iterator[int]:
    for day in working_days(today() + timedelta(days=2), 25):
        first = day_start(day, ZONE) + OPENS // TICK_MINUTES
        yield from range(first, first + (CLOSES - OPENS) // TICK_MINUTES, TICKS)


def hold_slots(databases: Databases, name: str, slots: list[Slot]) -> list[str]:
    """Holds these slots for an hour, and returns the path of each hold's form."""
    service_id, now = databases.towns[name].service_ids[0], datetime.now(UTC)
    ends = {"made_at": now, "expires_at": now + LIFE}
    rows = [
        {"counter_id": counter_id, "service_id": service_id, "people": 1, "starts_at": moment_of(tick), **ends}
        for counter_id, tick in slots
    ]
    with databases.connection(name) as connection:
        held = list(connection.scalars(insert(Hold).returning(Hold.id, sort_by_parameter_order=True), rows))
        ticks = [
            {"counter_id": counter_id, "tick": tick + n, "hold_id": id, "expires_at": now + LIFE}
            for id, (counter_id, tick) in zip(held, slots, strict=True)
            for n in range(TICKS)
        ]
        connection.execute(insert(Occupancy), ticks)
        _say_what_changed(connection, slots, now)
    return [f"/{SLUG}/nl/hold/{token((KEY,), 'hold', id, 0)}" for id in held]


def _say_what_changed(connection: Connection, slots: list[Slot], now: datetime) -> None:
    """As the application does, so that the servers follow these holds instead of reading whole offices again."""
    offices = _offices(connection)
    raised = update(Office).where(Office.id.in_({offices[counter_id] for counter_id, _ in slots}))
    numbers = dict(
        connection.execute(raised.values(revision=Office.revision + 1).returning(Office.id, Office.revision))
        .tuples()
        .all()
    )
    lines = [
        {
            "office_id": offices[counter_id],
            "revision": numbers[offices[counter_id]],
            "counter_id": counter_id,
            "first_tick": tick,
            "end_tick": tick + TICKS,
            "at": now,
        }
        for counter_id, tick in slots
    ]
    connection.execute(insert(Change), lines)


def booked(databases: Databases, name: str) -> int:
    """How many appointments there are still to come."""
    with databases.connection(name) as connection:
        return connection.scalar(select(func.count()).where(_to_come())) or 0


def check_no_double(databases: Databases, name: str) -> None:
    """Raises Broken if two appointments to come overlap at a counter."""
    before = func.max(Appointment.ends_at).over(
        partition_by=Appointment.counter_id, order_by=(Appointment.starts_at, Appointment.id), rows=(None, -1)
    )
    each = select(Appointment.starts_at, before.label("before")).where(_to_come()).subquery()
    with databases.connection(name) as connection:
        count = connection.scalar(select(func.count()).select_from(each).where(each.c.starts_at < each.c.before))
    if count:
        raise Broken(f"{count} appointments overlap another one at the same counter ({databases.engine}, {name}).")


def free_at(slots: list[Slot]) -> dict[int, list[Slot]]:
    """The free slots by their tick."""
    found: dict[int, list[Slot]] = {}
    for counter_id, tick in slots:
        found.setdefault(tick, []).append((counter_id, tick))
    return found


def _to_come() -> ColumnElement[bool]:
    return and_(Appointment.state == AppointmentState.BOOKED, Appointment.starts_at > datetime.now(UTC))
