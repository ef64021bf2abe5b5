"""Who was called last in an office, by number and counter: what the screen of a waiting room shows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import select

from booking.appointments.models import Visit, VisitState, VisitStep
from booking.db import db
from booking.townhall.models import Counter


@dataclass(frozen=True)
class Call:
    """A number that was called to a counter. `calls`: how often; `is_open`: nobody has come to the counter yet."""

    number: int
    counter: int
    at: datetime
    calls: int
    is_open: bool


def last_calls(office_id: int, day: date, count: int) -> list[Call]:
    """The last calls of this local day, the latest first, each number once. A call that was taken back is none."""
    query = (
        select(Visit.id, Visit.number, Counter.number.label("counter"), VisitStep.at, Visit.calls, Visit.state)
        .join(VisitStep, VisitStep.visit_id == Visit.id)
        .join(Counter, Counter.id == VisitStep.counter_id)
        .where(Visit.office_id == office_id, Visit.came_on == day, Visit.number.is_not(None))
        .where(VisitStep.step.in_(("call", "ring")), VisitStep.is_undone.is_(False))
        .order_by(VisitStep.id.desc())
        .limit(10 * count)
    )
    found: dict[int, Call] = {}
    for id, number, counter, at, calls, state in db.session.execute(query):
        found.setdefault(id, Call(number or 0, counter, at, calls, state == VisitState.CALLED))
    return list(found.values())[:count]
