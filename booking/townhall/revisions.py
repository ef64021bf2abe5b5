"""The two counters of an office row, which put the changes of one office in an order.

They are raised by UPDATE … SET revision = revision + 1 before any read that the change relies on: the second
writer waits for the first to commit and then reads what the first has done. (SELECT FOR UPDATE would block and
deadlock with foreign-key inserts.) Several offices are raised in the order of their ids.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from weakref import WeakSet

from sqlalchemy import case, literal, update
from sqlalchemy.orm import SessionTransaction

from booking.db import UtcDateTime, db
from booking.townhall.models import Office

_raising: WeakSet[SessionTransaction] = WeakSet()


def is_raised_here() -> bool:
    """Whether this transaction has raised an office row: until it commits, the new number means nothing to others.

    If it is rolled back, the next change gets the same number and means something else by it.
    """
    return db.session().get_transaction() in _raising


def raise_revision(office_ids: Iterable[int]) -> None:
    """The office's offer changes and nothing that agendas or feeds show: a hold."""
    _raise(office_ids)


def raise_activity(office_ids: Iterable[int], now: datetime) -> None:
    """The office's offer and what its agendas and feeds show change: a booking, a move, a visit, a closure."""
    later = case((Office.activity_at < now, literal(now, UtcDateTime())), else_=Office.activity_at)
    _raise(office_ids, activity=Office.activity + 1, activity_at=later)


def _raise(office_ids: Iterable[int], **values: Any) -> None:
    session = db.session()
    for office_id in sorted(set(office_ids)):
        session.execute(
            update(Office).where(Office.id == office_id).values(revision=Office.revision + 1, **values),
            execution_options={"synchronize_session": False},
        )
    transaction = session.get_transaction()
    if transaction is not None:
        _raising.add(transaction)
