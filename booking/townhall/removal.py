"""Taking out what the town hall no longer has. What anything still needs stays: the database refuses."""

from __future__ import annotations

from sqlalchemy.exc import IntegrityError

from booking.db import db
from booking.townhall.models import Counter, Desk, Office, Service


class Needed(Exception):
    """Something still needs it: desks, counters, appointments, calendars."""


def remove(thing: Office | Desk | Counter | Service) -> None:
    """Deletes the row with its hours and texts. Raises Needed, and then nothing has happened. Flushes."""
    try:
        with db.session.begin_nested():
            db.session.delete(thing)
            db.session.flush()
    except IntegrityError as refusal:
        raise Needed from refusal
