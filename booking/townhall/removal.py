"""Taking out what the town hall no longer has. What anything still needs stays: the database refuses."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import ForeignKey, delete, func, select
from sqlalchemy.exc import IntegrityError

from booking.db import Base, db, run, table
from booking.townhall.models import Closure, Counter, Desk, Office, Service


class Needed(Exception):
    """Something still needs it: desks, counters, appointments."""


@dataclass(frozen=True)
class Belonging:
    """How many rows of a table belong to a thing, and whether they go away with it or keep it."""

    name: str  # of the table
    count: int
    keeps_it: bool


def belongings(thing: Office | Desk | Counter | Service) -> list[Belonging]:
    """All that belongs to the thing, table by table, as the keys of the database have it."""
    mine = table(type(thing))
    found: dict[tuple[str, bool], int] = {}
    for other in Base.metadata.sorted_tables:
        for key in other.foreign_keys:
            if key.column.table is mine:
                count = run(select(func.count()).select_from(other).where(key.parent == thing.id)).scalar_one()
                kind = (other.name, not _goes_with_it(key))
                found[kind] = found.get(kind, 0) + count
    return [Belonging(name, count, keeps_it) for (name, keeps_it), count in found.items() if count]


def _goes_with_it(key: ForeignKey) -> bool:
    """Whether the row is deleted with what it belongs to; the closures of an office are deleted by us."""
    return key.ondelete == "CASCADE" or key.parent is table(Closure).c.office_id


def remove(thing: Office | Desk | Counter | Service) -> None:
    """Deletes the row with its hours, closures and texts. Raises Needed, and then nothing has happened. Flushes."""
    try:
        with db.session.begin_nested():
            if isinstance(thing, Office):
                run(delete(table(Closure)).where(table(Closure).c.office_id == thing.id))
            db.session.delete(thing)
            db.session.flush()
    except IntegrityError as refusal:
        raise Needed from refusal
