"""The two counters of an office row, which put the changes of one office in an order, and the lines of what changed.

They are raised by UPDATE … SET revision = revision + 1 before any read that the change relies on: the second
writer waits for the first to commit and then reads what the first has done. (SELECT FOR UPDATE would block and
deadlock with foreign-key inserts.) Several offices are raised in the order of their ids.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from weakref import WeakKeyDictionary

from sqlalchemy import (
    CTE,
    ColumnElement,
    Executable,
    bindparam,
    case,
    delete,
    event,
    insert,
    literal_column,
    or_,
    select,
    update,
)
from sqlalchemy.orm import Session, SessionTransaction

from booking.db import Base, UtcDateTime, db, run, table
from booking.townhall.models import (
    Change,
    Closure,
    Counter,
    CounterService,
    Desk,
    Municipality,
    Office,
    OpeningHours,
    Service,
    ServiceText,
    Way,
)

A_SECOND = timedelta(seconds=1)
KEEP_CHANGES = timedelta(minutes=10)  # a process that was silent for longer reads its offices anew
ANYTHING = 0  # stands for a revision of this transaction that changed more than ticks
_UNSEEN = {"synchronize_session": False}

_raised: WeakKeyDictionary[SessionTransaction, dict[int, int]] = WeakKeyDictionary()
_towns: WeakKeyDictionary[SessionTransaction, set[int]] = WeakKeyDictionary()  # raised in it


def raise_revision(office_ids: Iterable[int]) -> dict[int, int]:
    """The office's offer changes and nothing that agendas or feeds show: a hold.

    Say with note_change() which ticks do; where nobody says so, every process reads the whole office again.
    """
    return _raise(office_ids, _RAISE_REVISION)


def raise_activity(office_ids: Iterable[int], now: datetime) -> dict[int, int]:
    """What its agendas and feeds show changes, and not its offer: a visit, or a hold that becomes a booking."""
    return _raise(office_ids, _RAISE_ACTIVITY, now)


def activity_raised() -> CTE:
    """The same as a part of one greater statement: the row with the revision of the office.

    Its parameters are "office" and "now". Whoever has run it calls raised_activity().
    """
    return _RAISE_ACTIVITY.cte("raised")


def raised_activity() -> None:
    """Notes that this transaction has raised the activity of an office by a statement of its own."""
    transaction = db.session().get_transaction()
    if transaction is not None:
        _raised.setdefault(transaction, {})


def raise_office(office_ids: Iterable[int], now: datetime) -> dict[int, int]:
    """Both change: a booking without a hold, a move, a cancellation, a closure, new hours."""
    return _raise(office_ids, _RAISE_BOTH, now)


def raise_town(municipality: Municipality, now: datetime) -> None:
    """What the municipality is changes: its services, its offices, who does what. All its offices are raised."""
    _raise_structure([office.id for office in municipality.offices], {municipality.id}, now)


def raise_towns(municipality_ids: Iterable[int]) -> None:
    """What is kept by the revision of the municipality changes, and nothing that an office offers or shows: a feed."""
    _raise_structure([], set(municipality_ids), None)


def raise_all(municipality_id: int) -> None:
    """What agendas and feeds show may change for a reason outside the town hall: who works where."""
    _raise_offices(Office.municipality_id == municipality_id)
    _raise_structure([], {municipality_id}, None)


def wait_for(office_ids: Iterable[int]) -> None:
    """Waits for those who change the offices, and makes them wait, without raising anything: to tidy up."""
    _raise(office_ids, _WAIT)


def raised_here() -> Mapping[int, int]:
    """The offices that this transaction has raised, each with its new revision (or ANYTHING).

    Until it commits, the new numbers mean nothing to others. If it is rolled back, the next change gets the same
    number and means something else by it: what is read under it must not be kept.
    """
    transaction = db.session().get_transaction()
    return _raised.get(transaction, {}) if transaction is not None else {}


def is_raised_here() -> bool:
    """Whether this transaction has raised an office in any way: what it reads must not be kept."""
    return db.session().get_transaction() in _raised


def revisions(office_ids: Sequence[int]) -> dict[int, int]:
    """The present revision of each office, in one read by primary key."""
    return dict(run(_REVISIONS, {"ids": list(office_ids)}).all())


def note_change(counter_id: int, ticks: Sequence[int], now: datetime) -> None:
    """Writes down that these ticks of the counter change with the revision that this transaction has raised."""
    values = {"counter": counter_id, "first": min(ticks), "end": max(ticks) + 1, "now": now}
    run(_NOTE, values)


def forget_changes(now: datetime) -> None:
    """Deletes the lines that no living process can need."""
    db.session.execute(delete(Change).where(Change.at <= now - KEEP_CHANGES), execution_options=_UNSEEN)


_OFFICE = table(Office)
_REVISIONS = select(_OFFICE.c.id, _OFFICE.c.revision).where(_OFFICE.c.id.in_(bindparam("ids", expanding=True)))

_THIS = update(_OFFICE).where(_OFFICE.c.id == bindparam("office")).returning(_OFFICE.c.revision)
_NOW = bindparam("now", type_=UtcDateTime())
_SHOWN = {
    "activity": _OFFICE.c.activity + literal_column("1"),
    "activity_at": case((_OFFICE.c.activity_at < _NOW, _NOW), else_=_OFFICE.c.activity_at),
}
_WAIT = _THIS.values(revision=_OFFICE.c.revision)
_RAISE_REVISION = _THIS.values(revision=_OFFICE.c.revision + 1)
_RAISE_ACTIVITY = _THIS.values(_SHOWN)
_RAISE_BOTH = _RAISE_REVISION.values(_SHOWN)


_NOTE = insert(table(Change)).from_select(
    ["office_id", "revision", "counter_id", "first_tick", "end_tick", "at"],
    select(
        Office.id,
        Office.revision,
        Counter.id,
        bindparam("first", type_=Change.first_tick.type),
        bindparam("end", type_=Change.end_tick.type),
        _NOW,
    )
    .join(Desk, Desk.office_id == Office.id)
    .join(Counter, Counter.desk_id == Desk.id)
    .where(Counter.id == bindparam("counter")),
)


def _raise(office_ids: Iterable[int], how: Executable, now: datetime | None = None) -> dict[int, int]:
    """Raises the offices in the order of their ids; what comes back is the revision of each from now on."""
    moment = {"now": now} if now else {}
    numbers = {id: run(how, {"office": id, **moment}).scalar_one() for id in sorted(set(office_ids))}
    transaction = db.session().get_transaction()
    if transaction is not None:
        _raised.setdefault(transaction, {}).update(numbers if how in (_RAISE_REVISION, _RAISE_BOTH) else {})
    return numbers


@event.listens_for(Session, "after_flush")
def _raise_what_was_forgotten(session: Session, _context: object) -> None:
    """Whoever changes what is kept in memory raises what it belongs to, also who did not think of it.

    (Statements that change many rows at once must do so themselves.)
    """
    changed = [one for one in (*session.new, *session.deleted, *session.dirty) if isinstance(one, _KEPT)]
    changed = [one for one in changed if one not in session.dirty or session.is_modified(one)]
    if not changed:
        return
    offices, towns = _belong_to(changed)
    _raise_offices(offices)
    _raise_structure([], set(session.scalars(select(Municipality.id).where(towns))), None)


def _raise_offices(which: ColumnElement[bool]) -> None:
    """Raises these offices without a moment that anybody gave: each is changed a second after it last was."""
    offices = db.session.execute(select(Office.id, Office.activity_at).where(which).order_by(Office.id)).all()
    for office_id, activity_at in offices:
        _raise_structure([office_id], set(), activity_at + A_SECOND)


def _raise_structure(office_ids: Iterable[int], town_ids: set[int], now: datetime | None) -> None:
    """Raises these offices and municipalities, each once a transaction: nobody sees the numbers before it ends."""
    session = db.session()
    transaction = session.get_transaction()
    known = _raised.setdefault(transaction, {}) if transaction is not None else {}
    towns = _towns.setdefault(transaction, set()) if transaction is not None else set()
    ids = [office_id for office_id in office_ids if known.get(office_id) != ANYTHING]
    _raise(ids, _RAISE_BOTH, now)
    known.update(dict.fromkeys(ids, ANYTHING))
    if town_ids - towns:
        raised = update(Municipality).where(Municipality.id.in_(town_ids - towns))
        session.execute(raised.values(revision=Municipality.revision + 1), execution_options=_UNSEEN)
        towns |= town_ids


# What a row of each table belongs to: a kind, and the column with its id. A "town" is changed with all its offices.
_ABOVE: dict[type[Base], Sequence[tuple[str, str]]] = {
    Municipality: [("town", "id")],
    Service: [("town", "municipality_id")],
    ServiceText: [("service", "service_id")],
    Office: [("office", "id"), ("municipality", "municipality_id")],
    Way: [("office", "one_id"), ("office", "other_id")],
    Closure: [("office", "office_id")],
    Desk: [("office", "office_id")],
    Counter: [("desk", "desk_id")],
    OpeningHours: [("counter", "counter_id")],
    CounterService: [("counter", "counter_id")],
}
_KEPT = tuple(_ABOVE)


def _belong_to(changed: Iterable[Base]) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """The offices whose timelines are made of these rows too, and the municipalities they belong to.

    A row names what it belongs to by an id, also when that was deleted with it.
    """
    ids: dict[str, set[int]] = defaultdict(set)
    for one in changed:
        for kind, name in _ABOVE[type(one)]:
            ids[kind].add(getattr(one, name))
    services = select(Service.municipality_id).where(Service.id.in_(ids["service"]))
    towns = or_(Municipality.id.in_(ids["town"]), Municipality.id.in_(services))
    counters = select(Desk.office_id).join(Counter, Counter.desk_id == Desk.id).where(Counter.id.in_(ids["counter"]))
    offices = or_(
        Office.id.in_(ids["office"]),
        Office.id.in_(select(Desk.office_id).where(Desk.id.in_(ids["desk"]))),
        Office.id.in_(counters),
    )
    whole = Office.municipality_id.in_(select(Municipality.id).where(towns))
    mine = Municipality.id.in_(select(Office.municipality_id).where(offices))
    return or_(offices, whole), or_(towns, mine, Municipality.id.in_(ids["municipality"]))
