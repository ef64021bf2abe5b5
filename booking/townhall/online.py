"""How often citizens follow the links to do a service without coming."""

from __future__ import annotations

from datetime import date, timedelta

from sqlalchemy import func, select

from booking.db import db, insert_unless_there
from booking.townhall.models import OnlineVisit

RECENTLY = timedelta(days=90)


def note_online_visit(service_id: int, on: date) -> None:
    """Counts one more for the day."""
    insert_unless_there(OnlineVisit, [{"service_id": service_id, "followed_on": on, "count": 0}])
    row = db.session.get_one(OnlineVisit, (service_id, on))
    row.count = OnlineVisit.count + 1
    db.session.flush()


def online_visits(service_id: int, today: date) -> int:
    """How often the link was followed of late."""
    query = select(func.coalesce(func.sum(OnlineVisit.count), 0))
    recent = OnlineVisit.service_id == service_id, OnlineVisit.followed_on > today - RECENTLY
    return db.session.scalar(query.where(*recent)) or 0
