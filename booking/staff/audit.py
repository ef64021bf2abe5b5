"""The audit log: one line for each change, in the transaction of the change."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, insert, select

from booking.db import WRITES, db, run, table
from booking.staff.accounts import address_of
from booking.staff.models import AuditLine, Staff

origin: ContextVar[str | None] = ContextVar("origin", default=None)  # from which address the request came
AN_HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Actor:
    """Who acts in which municipality: a citizen, a member of staff, or the worker."""

    municipality_id: int
    kind: str
    staff_id: int | None = None
    comes_first: bool = False  # a citizen whose time was taken away may have times that others do not see yet

    @property
    def is_staff(self) -> bool:
        return self.staff_id is not None

    @property
    def sees_all(self) -> bool:
        """Whether times that were freed and are not back yet may be taken."""
        return self.is_staff or self.comes_first


def citizen_of(municipality_id: int, comes_first: bool = False) -> Actor:
    return Actor(municipality_id, "citizen", comes_first=comes_first)


def device_of(municipality_id: int) -> Actor:
    """A kiosk at which somebody presses a button."""
    return Actor(municipality_id, "device")


def worker_of(municipality_id: int) -> Actor:
    return Actor(municipality_id, "worker")


def member(staff: Staff) -> Actor:
    return Actor(staff.municipality_id, "staff", staff.id)


def record(actor: Actor, action: str, object: tuple[str, int], now: datetime, **details: Any) -> None:
    """Adds one line. `object` is its kind and id; `details` hold ids, moments and what a thing
    of the town hall was before, never people.
    """
    run(_INSERT, [line(actor, action, object, now, **details)])


def count_lines(action: str, object: tuple[str, int], since: datetime) -> int:
    """How often citizens have done this to the object since then."""
    lines = table(AuditLine)
    mine = (lines.c.object_kind == object[0], lines.c.object_id == object[1], lines.c.action == action)
    counted = select(func.count()).select_from(lines).where(*mine, lines.c.staff_id.is_(None), lines.c.at > since)
    return run(counted).scalar_one()  # type: ignore[no-any-return]


def line(actor: Actor, action: str, object: tuple[str, int], now: datetime, **details: Any) -> dict[str, Any]:
    """The row of a line, for whoever inserts it."""
    return {
        "municipality_id": actor.municipality_id,
        "at": now,
        "actor": actor.kind,
        "staff_id": actor.staff_id,
        "action": action,
        "object_kind": object[0],
        "object_id": object[1],
        "details": details,
        "origin": _origin() if actor.is_staff else None,
    }


def _origin() -> str | None:
    remote = origin.get()
    return None if remote is None else address_of(remote)


_INSERT = insert(table(AuditLine))


def trace_once(actor: Actor, action: str, object: tuple[str, int], now: datetime) -> None:
    """Notes what happens often (reading), in a transaction of its own; once an hour for the same person. Commits."""
    lines = table(AuditLine).c
    same = (lines.object_kind == object[0], lines.object_id == object[1], lines.action == action)
    recent = select(lines.id).where(*same, lines.staff_id == actor.staff_id, lines.at > now - AN_HOUR)
    with db.engine.connect().execution_options(**{WRITES: True}) as connection:
        if connection.execute(recent.limit(1)).first() is None:
            connection.execute(_INSERT, [line(actor, action, object, now)])
            connection.commit()
