"""Fills a town hall with appointments, half a million in seconds: days are drawn once, the database multiplies them.

A pattern is one counter's day. Each counter gets one of the patterns on each working day, and the rows of bookings,
appointments, services and ticks are then made by INSERT … SELECT, each consistent with the others.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    FromClause,
    Insert,
    Integer,
    MetaData,
    String,
    Table,
    case,
    cast,
    func,
    insert,
    literal,
    null,
    select,
    text,
)

from bench.town import LENGTHS, OPENS, ZONE, Plan, Town, today, working_days
from booking.appointments.models import (
    Appointment,
    AppointmentService,
    AppointmentState,
    Booking,
    Channel,
    Occupancy,
)
from booking.db import Base
from booking.slots.clock import DAY_MINUTES, TICK, TICK_MINUTES, day_start, tick_of

PATTERNS = 60
WEIGHTS = (50, 10, 30, 30, 20, 10, 5, 2)  # how often each of LENGTHS is wanted
KEPT_DAYS = 7  # after that a person is forgotten, as the town hall's worker would have done
TICKS_A_DAY = DAY_MINUTES // TICK_MINUTES

_scratch = MetaData()
_pattern = Table(
    "bench_pattern",
    _scratch,
    *(Column(name, Integer) for name in ("pattern", "first", "ticks", "position")),
    prefixes=["TEMPORARY"],
)
_workday = Table(
    "bench_workday",
    _scratch,
    *(Column(name, BigInteger) for name in ("counter_id", "tick", "pattern")),
    prefixes=["TEMPORARY"],
)
_service = Table(
    "bench_service", _scratch, Column("position", Integer), Column("service_id", BigInteger), prefixes=["TEMPORARY"]
)
_offset = Table("bench_offset", _scratch, Column("n", Integer), prefixes=["TEMPORARY"])
_visit = Table(
    "bench_visit",
    _scratch,
    Column("id", BigInteger),
    *(Column(name, Integer) for name in ("first", "ticks")),
    *(Column(name, BigInteger) for name in ("counter_id", "service_id")),
    prefixes=["TEMPORARY"],
)

Draw = tuple[int, int, int]  # tick after opening, ticks, position of the service


def fill(connection: Connection, plan: Plan, town: Town) -> int:
    """Inserts the appointments of all working days, and returns how many. The caller commits."""
    _scratch.create_all(connection)
    _draw(connection, plan, town)
    connection.execute(_visits())
    now = datetime.now(UTC)
    for statement in (_bookings(connection, town, now), _appointments(connection), _services(), _ticks()):
        with _without_indexes(connection, statement.table):
            connection.execute(statement)
    count = connection.scalar(select(func.count()).select_from(_visit)) or 0
    if connection.dialect.name == "postgresql":
        for name in ("booking", "appointment"):
            connection.execute(text(f"SELECT setval(pg_get_serial_sequence('{name}', 'id'), {count + 1})"))
    _scratch.drop_all(connection)
    return count


@contextmanager
def _without_indexes(connection: Connection, table: FromClause) -> Iterator[None]:
    """Makes the indexes of the table anew when it is full, which is several times faster than row by row."""
    indexes = sorted(table.indexes, key=lambda index: str(index.name)) if isinstance(table, Table) else []
    for index in indexes:
        index.drop(connection)
    yield
    for index in indexes:
        index.create(connection)


def _draw(connection: Connection, plan: Plan, town: Town) -> None:
    """Writes down which counter has which pattern on which day."""
    chance = random.Random(7)
    patterns = [_half_full(chance, plan.closes) for _ in range(PATTERNS)] + [_thirty_visits()]
    connection.execute(
        insert(_pattern),
        [
            {"pattern": number, "first": first, "ticks": ticks, "position": position}
            for number, pattern in enumerate(patterns)
            for first, ticks, position in pattern
        ],
    )
    connection.execute(insert(_workday), list(_workdays(chance, plan, town)))
    connection.execute(insert(_service), [{"position": n, "service_id": id} for n, id in enumerate(town.service_ids)])
    connection.execute(insert(_offset), [{"n": n} for n in range(max(LENGTHS) // TICK_MINUTES)])


def _half_full(chance: random.Random, closes: int) -> list[Draw]:
    """A day on a grid of a quarter of an hour, of which half the ticks are taken by visits of mixed lengths."""
    cells = list(range((closes - OPENS) // 15))
    taken, drawn = 0, list[Draw]()
    while taken < (closes - OPENS) // TICK_MINUTES // 2 - 3:
        position = chance.choices(range(len(LENGTHS)), WEIGHTS)[0]
        ticks = LENGTHS[position] // TICK_MINUTES
        wide = -(-ticks // 3)
        starts = [cell for cell in cells if all(cell + n in cells for n in range(wide))]
        if not starts:
            break
        start = chance.choice(starts)
        cells = [cell for cell in cells if not start <= cell < start + wide]
        drawn.append((start * 3, ticks, position))
        taken += ticks
    return drawn


def _thirty_visits() -> list[Draw]:
    """A day of thirty visits of ten minutes: half the ticks, and many to show."""
    return [(start * 3, 2, LENGTHS.index(10)) for start in range(40) if start % 4 != 3]


def _workdays(chance: random.Random, plan: Plan, town: Town) -> Iterator[dict[str, int]]:
    behind = [today() - timedelta(days=n) for n in range(1, plan.days_back * 2)]
    days = [day for day in behind if day.weekday() < 5][: plan.days_back]
    days += working_days(today() + timedelta(days=1), plan.days_ahead)
    for day in days:
        tick = day_start(day, ZONE) + OPENS // TICK_MINUTES
        for counter_id in town.counter_ids:
            pattern = PATTERNS if _is_busy(day, plan, town) else chance.randrange(PATTERNS)
            yield {"counter_id": counter_id, "tick": tick, "pattern": pattern}


def _is_busy(day: date, plan: Plan, town: Town) -> bool:
    return day == town.busy_day and plan.counters == 10


def _visits() -> Insert:
    """One row for each visit, numbered from 1 in the order of time."""
    number = func.row_number().over(order_by=(_workday.c.tick, _workday.c.counter_id, _pattern.c.first))
    first = (_workday.c.tick + _pattern.c.first).label("start")
    chosen = (
        select(number, first, _pattern.c.ticks, _workday.c.counter_id, _service.c.service_id)
        .join(_pattern, _pattern.c.pattern == _workday.c.pattern)
        .join(_service, _service.c.position == _pattern.c.position)
    )
    return insert(_visit).from_select(["id", "first", "ticks", "counter_id", "service_id"], chosen)


def _bookings(connection: Connection, town: Town, now: datetime) -> Insert:
    """Bookings of people that are known while they are to come, and for a week after."""
    id, first = cast(_visit.c.id, String), _visit.c.first
    is_forgotten = first < tick_of(now - timedelta(days=KEPT_DAYS + 1))
    made = case((first < tick_of(now), first - KEPT_DAYS * TICKS_A_DAY), else_=tick_of(now) - _visit.c.id % 4000)
    values: dict[str, ColumnElement[Any]] = {
        "id": _visit.c.id,
        "municipality_id": literal(town.municipality_id),
        "reference": case((is_forgotten, null()), else_=literal("R").concat(cast(_visit.c.id + 1_000_000, String))),
        "name": case((is_forgotten, null()), else_=literal("Citizen ").concat(id)),
        "email": case((is_forgotten, null()), else_=literal("citizen").concat(id).concat("@example.org")),
        "email_key": case((is_forgotten, null()), else_=literal("k" * 20).concat(cast(_visit.c.id + 10**11, String))),
        "language": literal("nl"),
        "channel": literal(Channel.WEB.value),
        "made_at": _moment(connection, made),
        "forgotten_at": case((is_forgotten, _moment(connection, first + KEPT_DAYS * TICKS_A_DAY)), else_=null()),
    }
    return _from_visits(Booking, values)


def _appointments(connection: Connection) -> Insert:
    id, first = _visit.c.id, _visit.c.first
    values: dict[str, ColumnElement[Any]] = {
        "id": id,
        "booking_id": id,
        "counter_id": _visit.c.counter_id,
        "uid": literal("bench-").concat(cast(id, String)).concat("@balie"),
        "state": literal(AppointmentState.BOOKED.value),
        "starts_at": _moment(connection, first),
        "ends_at": _moment(connection, first + _visit.c.ticks),
        "changed_at": _moment(connection, first - KEPT_DAYS * TICKS_A_DAY),
    }
    return _from_visits(Appointment, values)


def _services() -> Insert:
    values: dict[str, ColumnElement[Any]] = {
        "appointment_id": _visit.c.id,
        "service_id": _visit.c.service_id,
        "position": literal(0),
        "people": literal(1),
    }
    return _from_visits(AppointmentService, values)


def _ticks() -> Insert:
    chosen = select(_visit.c.counter_id, _visit.c.first + _offset.c.n, _visit.c.id)
    chosen = chosen.join(_offset, _offset.c.n < _visit.c.ticks).order_by(_visit.c.counter_id, _visit.c.first)
    return insert(Occupancy).from_select(["counter_id", "tick", "appointment_id"], chosen)


def _from_visits(table: type[Base], values: dict[str, ColumnElement[Any]]) -> Insert:
    """A row of the table for each visit; columns that are not named get their default."""
    return insert(table).from_select(list(values), select(*values.values()).select_from(_visit))


def _moment(connection: Connection, tick: ColumnElement[Any]) -> ColumnElement[Any]:
    """When the tick begins, as the database stores a moment."""
    if connection.dialect.name == "sqlite":
        return func.strftime("%Y-%m-%d %H:%M:%S.000000", tick * TICK, "unixepoch")
    return func.to_timestamp(tick * TICK)
