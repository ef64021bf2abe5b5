"""Who does what: which counters serve which services."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import delete, insert, select

from booking.db import db
from booking.townhall.models import Counter, CounterService, Desk

Pair = tuple[int, int]  # the ids of a counter and a service


def doing(desk: Desk) -> set[Pair]:
    """What the counters of the desk do."""
    query = select(CounterService.counter_id, CounterService.service_id).join(Counter)
    return {(counter, service) for counter, service in db.session.execute(query.where(Counter.desk_id == desk.id))}


def set_doing(counter_ids: Iterable[int], service_ids: Iterable[int], wanted: Iterable[Pair]) -> None:
    """Of these services, these counters do what is wanted and nothing else; what is booked stays where it is.

    The municipality is raised before.
    """
    counters, services = set(counter_ids), set(service_ids)
    mine = CounterService.counter_id.in_(counters), CounterService.service_id.in_(services)
    db.session.execute(delete(CounterService).where(*mine))
    rows = [
        {"counter_id": counter, "service_id": service}
        for counter, service in sorted(set(wanted))
        if counter in counters and service in services
    ]
    if rows:
        db.session.execute(insert(CounterService), rows)
