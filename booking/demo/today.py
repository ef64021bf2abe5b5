"""What happened today at the counters of the demo town hall until now: who came, who was called, who did not come."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

from booking.appointments.models import VisitState
from booking.appointments.visits import UNDERWAY
from booking.townhall.models import Municipality

MISSED_AFTER = timedelta(minutes=15)
EARLY = timedelta(minutes=15)  # nobody comes so early


@dataclass(frozen=True)
class Expected:
    """An appointment of today that was not cancelled."""

    id: int
    counter_id: int
    starts_at: datetime
    ends_at: datetime
    uid: str  # what its chance is drawn from


def visits_until(town: Municipality, expected: Sequence[Expected], now: datetime) -> Iterator[dict[str, Any]]:
    """The rows of visits: two did not come, the others came and were served in their turn, the next one waits."""
    desks = {counter.id: desk for office in town.offices for desk in office.desks for counter in desk.counters}
    nobody_came = {expected[len(expected) * tenth // 10].id for tenth in (1, 5) if expected}
    soon = (one.id for one in expected if now < one.starts_at < now + EARLY and one.id not in nobody_came)
    waits, today = next(soon, None), now.astimezone(ZoneInfo(town.zone)).date()
    numbers, free_at = Counter[int](), dict[int, datetime]()
    for one in expected:
        moments = _missed(one) if one.id in nobody_came else _served(one, free_at)
        past = {name: at if at and at <= now else None for name, at in moments.items()}
        if one.id == waits and not past["arrived_at"]:
            past["arrived_at"] = now
        if any(past.values()):
            desk, state = desks[one.counter_id], _state(past)
            numbers[desk.office_id] += bool(past["arrived_at"])
            yield {
                "office_id": desk.office_id,
                "desk_id": desk.id,
                "appointment_id": one.id,
                "people": 1,
                "state": state,
                "version": 1,
                "came_on": today if past["arrived_at"] else None,
                "number": numbers[desk.office_id] if past["arrived_at"] else None,
                "counter_id": one.counter_id if state in UNDERWAY else None,
                "calls": int(past["called_at"] is not None),
                "rung_at": past["called_at"],
                **past,
            }


def _state(past: Mapping[str, datetime | None]) -> VisitState:
    """How far the visit has come by its moments."""
    if past["missed_at"]:
        return VisitState.MISSED
    if past["served_at"]:
        return VisitState.SERVED
    return VisitState.SERVING if past["called_at"] else VisitState.ARRIVED


def _missed(one: Expected) -> dict[str, datetime | None]:
    nothing = dict.fromkeys(("arrived_at", "called_at", "began_at", "served_at"))
    return {**nothing, "missed_at": one.starts_at + MISSED_AFTER}


def _served(one: Expected, free_at: dict[int, datetime]) -> dict[str, datetime | None]:
    """The moments of a visit at a counter that is free from then on: nobody is called while another is served."""
    rng = Random(one.uid)  # noqa: S311
    came, left = timedelta(minutes=rng.randrange(15)), timedelta(minutes=rng.randrange(-2, 5))
    called_at = max(one.starts_at, free_at.get(one.counter_id, one.starts_at))
    served_at = max(one.ends_at + left, called_at + timedelta(minutes=3))
    free_at[one.counter_id] = served_at
    moments = {"arrived_at": one.starts_at - came, "called_at": called_at, "began_at": called_at}
    return {**moments, "served_at": served_at, "missed_at": None}
