"""What happened on a day without network, entered afterwards: outcomes of appointments, and who came without one.

Nobody pressed a button when it happened, so the times are those that were planned or written on the paper, and nothing
is said of calls and waiting: no visit that was entered so counts in waiting times.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import joinedload, selectinload

from booking.appointments.models import Appointment, Visit, VisitState, VisitStep
from booking.appointments.queue import QUESTION_MINUTES
from booking.appointments.visits import TO_COME, NotNow, Press, local_day, locked, standing, state_of, write
from booking.db import db
from booking.staff.audit import record
from booking.staff.models import AuditLine
from booking.townhall.models import Desk, Service
from booking.townhall.revisions import raise_activity

ENTER = "enter"  # the step's name
OUTCOMES = (VisitState.SERVED, VisitState.MISSED, VisitState.LEFT)


@dataclass(frozen=True)
class WalkIn:
    """Somebody who came without an appointment, as it stands on the paper."""

    came_at: datetime
    service: Service | None
    people: int
    outcome: VisitState

    @property
    def length(self) -> timedelta:
        """What is planned for it."""
        minutes = self.service.length(min(self.people, self.service.max_people)) if self.service else QUESTION_MINUTES
        return timedelta(minutes=minutes)


def enter(appointment: Appointment, outcome: VisitState, press: Press) -> Visit:
    """Says what became of an appointment that is over: at the times for which it was planned. Flushes.

    Raises NotNow when it is not over, or a colleague has said it already.
    """
    if state_of(appointment) not in TO_COME or appointment.ends_at > press.now:
        raise NotNow
    visit = locked(appointment, press)
    if visit.state not in TO_COME:
        raise NotNow
    before = standing(visit)
    with db.session.no_autoflush:
        _end(visit, outcome, appointment.starts_at, appointment.ends_at)
    write(visit, ENTER, before, press, counter_id=press.counter_id, outcome=outcome.value)
    return visit


def enter_walk_in(desk: Desk, came: WalkIn, press: Press) -> Visit:
    """Adds somebody who came without an appointment, without a number: nobody called them by one. Flushes."""
    raise_activity([desk.office_id], press.now)
    visit = Visit(
        office_id=desk.office_id,
        desk_id=desk.id,
        service_id=came.service.id if came.service else None,
        people=came.people,
        state=VisitState.EXPECTED,
        calls=0,
        came_on=local_day(desk, came.came_at),
        arrived_at=came.came_at,
    )
    db.session.add(visit)
    with db.session.no_autoflush:
        _end(visit, came.outcome, came.came_at, came.came_at + came.length)
    write(visit, ENTER, {}, press, counter_id=press.counter_id, outcome=came.outcome.value)
    return visit


def take_away(visit: Visit, press: Press) -> None:
    """Takes out a walk-in that was entered by mistake. Raises NotNow for any other visit. Flushes."""
    raise_activity([visit.office_id], press.now)
    steps = select(VisitStep.step).where(VisitStep.visit_id == visit.id)
    if visit.appointment_id is not None or set(db.session.scalars(steps)) != {ENTER}:
        raise NotNow
    record(press.actor, "take_away", ("visit", visit.id), press.now)
    db.session.delete(visit)
    db.session.flush()


def entered_walk_ins(desk: Desk, day: date) -> Sequence[Visit]:
    """Those without an appointment who were entered for this local day, in the order in which they came."""
    query = select(Visit).join(VisitStep, VisitStep.visit_id == Visit.id).where(VisitStep.step == ENTER)
    query = query.where(Visit.desk_id == desk.id, Visit.came_on == day, Visit.appointment_id.is_(None))
    loaded = query.options(joinedload(Visit.service).selectinload(Service.texts), selectinload(Visit.steps))
    return db.session.scalars(loaded.order_by(Visit.arrived_at, Visit.id)).all()


def note_form(desk: Desk, form: str, press: Press) -> bool:
    """Writes down that this form was taken; False if it was already: a button pressed twice acts once.

    The office row is raised first, so that of two presses the second sees the first. Flushes.
    """
    raise_activity([desk.office_id], press.now)
    lines = select(AuditLine.details).where(AuditLine.action == "enter_day", AuditLine.object_kind == "desk")
    lines = lines.where(AuditLine.object_id == desk.id, AuditLine.at > press.now - timedelta(days=1))
    if any(details.get("form") == form for details in db.session.scalars(lines)):
        return False
    record(press.actor, "enter_day", ("desk", desk.id), press.now, form=form)
    return True


def _end(visit: Visit, outcome: VisitState, began: datetime, ended: datetime) -> None:
    visit.state, visit.missed_at = outcome, None
    if outcome == VisitState.MISSED:
        visit.missed_at = ended
    elif outcome == VisitState.LEFT:
        visit.arrived_at, visit.left_at = began, ended
    else:
        visit.arrived_at, visit.served_at = began, ended
