"""The two counters of an office row, which put the changes of one office in an order.

They are raised by UPDATE … SET revision = revision + 1 before any read that the change relies on: the second
writer waits for the first to commit and then reads what the first has done. (SELECT FOR UPDATE would block and
deadlock with foreign-key inserts.) Several offices are raised in the order of their ids.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import case, update

from booking.db import db
from booking.townhall.models import Office


def raise_revision(office_ids: Iterable[int]) -> None:
    """The office's offer changes and nothing that agendas or feeds show: a hold."""
    for office_id in sorted(set(office_ids)):
        db.session.execute(
            update(Office).where(Office.id == office_id).values(revision=Office.revision + 1),
            execution_options={"synchronize_session": False},
        )


def raise_activity(office_ids: Iterable[int], now: datetime) -> None:
    """The office's offer and what its agendas and feeds show change: a booking, a move, a visit, a closure."""
    for office_id in sorted(set(office_ids)):
        later = case((Office.activity_at < now, now), else_=Office.activity_at)
        db.session.execute(
            update(Office)
            .where(Office.id == office_id)
            .values(revision=Office.revision + 1, activity=Office.activity + 1, activity_at=later),
            execution_options={"synchronize_session": False},
        )
