"""Taking a change of hours or closures back, while none of its messages has gone."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from sqlalchemy import select

from booking.appointments.booking import lock
from booking.appointments.models import Appointment, AppointmentState
from booking.appointments.notices import OVERTAKEN, notices
from booking.appointments.occupancy import SlotTaken, free, reclaim, take, ticks_of
from booking.db import db
from booking.outbox.held import call_off, hold_back
from booking.outbox.models import Kind, Message, MessageState
from booking.outbox.queue import drop_queued, queue
from booking.planning.impact import outside_hours_of
from booking.planning.models import Adjustment, Choice, Hit
from booking.slots.clock import tick_of
from booking.staff.audit import Actor, record
from booking.townhall.models import Counter, Desk, Municipality
from booking.townhall.plans import Overtaken, take_back
from booking.townhall.revisions import raise_office

UNDO_FOR = timedelta(days=1)
NEWS = (Kind.CONFIRMATION, Kind.MOVE, Kind.CANCELLATION)


class Gone(Exception):
    """A message of the change has gone: people know about it, and it cannot be taken back in silence."""


def undo(adjustment: Adjustment, actor: Actor, now: datetime) -> None:
    """Puts hours, closures and appointments back as they were; what citizens changed since stays theirs. Flushes.

    Raises Gone; Overtaken when hours or closures were changed again; SlotTaken when a time was given to others. Then
    nothing may be committed.
    """
    hits = [hit for hit in adjustment.hits if _is_untouched(hit)]
    office_ids = _offices(adjustment, hits)
    raise_office(office_ids, now)
    db.session.refresh(adjustment)
    if adjustment.undone_at is not None:
        return
    if now > adjustment.made_at + UNDO_FOR or not call_off(adjustment.municipality_id, adjustment.name, now):
        raise Gone
    if _is_overtaken(adjustment):
        raise Overtaken
    before = outside_hours_of(office_ids, now)
    take_back(adjustment.delta)
    for hit in hits:
        _put_back(hit, now)
    left = outside_hours_of(office_ids, now) - before
    for hit in hits:
        if hit.choice == Choice.KEEP and hit.appointment_id in left:
            hit.appointment.is_exception = True  # something else is in its way as well
            left.remove(hit.appointment_id)
    if left:
        raise SlotTaken  # somebody has booked in time that the change had opened
    adjustment.undone_at = now
    record(actor, "undo_adjustment", ("adjustment", adjustment.id), now)
    db.session.flush()


def _is_overtaken(adjustment: Adjustment) -> bool:
    """Whether a later change that stands has to do with a row that this one added.

    SQLite gives the id of a row that was deleted to the next one: that it is there with the same values says little.
    """
    mine = _ids(adjustment, "added")
    later = select(Adjustment).where(Adjustment.municipality_id == adjustment.municipality_id)
    later = later.where(Adjustment.id > adjustment.id, Adjustment.undone_at.is_(None))
    return any(mine & (_ids(one, "added") | _ids(one, "removed")) for one in db.session.scalars(later))


def _ids(adjustment: Adjustment, which: str) -> set[tuple[str, int]]:
    """The tables and ids of rows that the change added, or removed."""
    return {(name, row["id"]) for name, rows in adjustment.delta.items() for row in rows[which]}


def _is_untouched(hit: Hit) -> bool:
    lock(hit.appointment)
    return hit.appointment.sequence == hit.sequence and hit.answered_at is None


def _offices(adjustment: Adjustment, hits: Iterable[Hit]) -> list[int]:
    """The offices of the change, and those at which the appointments are now."""
    changed = [*adjustment.delta["hours"].values(), *adjustment.delta["closures"].values()]
    rows = [row for some in changed for row in some]
    counters = {row["counter_id"] for row in rows if row["counter_id"]}
    counters |= {id for hit in hits for id in (hit.counter_id, hit.appointment.counter_id)}
    desks = select(Desk.office_id).join(Counter).where(Counter.id.in_(counters)).distinct()
    return sorted({*db.session.scalars(desks), *(row["office_id"] for row in rows if "office_id" in row)})


def _put_back(hit: Hit, now: datetime) -> None:
    """The appointment has its old time again, at its old counter."""
    one = hit.appointment
    if hit.choice == Choice.KEEP:
        one.is_exception = False
        return
    first = tick_of(hit.starts_at)
    wanted = range(first, first + hit.ticks)
    stays = one.counter_id == hit.counter_id
    own = set(ticks_of(one.id)) if stays else set()
    reclaim(hit.counter_id, wanted)
    take(hit.counter_id, set(wanted) - own, now, appointment_id=one.id)
    free(one.id, one.counter_id, now, now, keep=wanted if stays else ())
    one.state = AppointmentState.BOOKED
    one.counter_id, one.starts_at, one.ends_at = hit.counter_id, hit.starts_at, hit.ends_at
    one.sequence += 1
    one.changed_at = now
    _stand_again(one, hit)
    db.session.flush()
    db.session.refresh(one)
    drop_queued(one.id, f"{OVERTAKEN} undo", now)
    _say_again(one, hit, now)


def _stand_again(one: Appointment, hit: Hit) -> None:
    """What an earlier change had proposed or done is so again, for the citizen and to be undone in its turn."""
    earlier = select(Hit).join(Hit.adjustment).where(Hit.appointment_id == one.id, Hit.id < hit.id)
    earlier = earlier.where(Hit.sequence == hit.sequence - 1, Adjustment.undone_at.is_(None))
    for before in db.session.scalars(earlier):
        before.sequence = one.sequence


def _say_again(one: Appointment, hit: Hit, now: datetime) -> None:
    """Queues the reminders again, and news that the change had dropped before it went out.

    News of an earlier change waits for that one as before.
    """
    town = db.session.get_one(Municipality, hit.adjustment.municipality_id)
    dropped = select(Message).where(Message.subject_kind == "appointment", Message.subject_id == one.id)
    dropped = dropped.where(Message.state == MessageState.DROPPED, Message.ended_at == hit.adjustment.made_at)
    dropped = dropped.where(Message.kind.in_(NEWS), Message.reason.startswith(OVERTAKEN))
    dropped = dropped.where(Message.change.is_distinct_from(hit.adjustment.name))  # its own news is called off
    unsaid = db.session.scalars(dropped.order_by(Message.sequence.desc(), Message.id).limit(1)).first()
    services = [item.service for item in one.items]
    found = notices(one, town, unsaid.kind if unsaid else Kind.MOVE, now, services)
    said = [notice for notice in found if notice.kind == Kind.REMINDER or unsaid is not None]
    queue(town.id, (one.id, one.sequence), said, now)
    if unsaid is not None and unsaid.change is not None and _stands(unsaid.change, town):
        hold_back([one.id], unsaid.change, now, unsaid.due_at)


def _stands(change: str, town: Municipality) -> bool:
    """Whether the change of this name was not undone."""
    standing = select(Adjustment).where(Adjustment.municipality_id == town.id, Adjustment.undone_at.is_(None))
    return any(one.name == change for one in db.session.scalars(standing))
