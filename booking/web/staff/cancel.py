"""The office cancels an appointment: what that does is said before, and for some minutes it can be undone."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from flask import abort, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from booking.appointments.agenda import found
from booking.appointments.models import Appointment
from booking.appointments.occupancy import SlotTaken
from booking.appointments.visits import NotNow, Subject
from booking.db import db
from booking.outbox.held import send_now
from booking.planning.by_office import (
    LONGEST_WAIT,
    can_be_cancelled,
    can_be_undone,
    cancel_by_office,
    cancelled_by_office,
    waits_until,
)
from booking.planning.models import Adjustment, Cause
from booking.planning.undo import Gone, undo
from booking.staff.audit import member
from booking.staff.models import Role
from booking.web.guards import require
from booking.web.pages import failure, now
from booking.web.staff import staff
from booking.web.staff.visits import refused
from booking.web.towns import town

CAUSES = {
    Cause.ILLNESS: _l("Somebody at the counter is ill"),
    Cause.FAULT: _l("Something that the counter needs does not work"),
    Cause.CLOSING: _l("The counter has to close earlier"),
    Cause.ASKED: _l("The visitor has asked for it"),
    Cause.OTHER: _l("Another reason: none is named to the visitor"),
}


class Cancelled(NamedTuple):
    """What the panel says of an appointment that the office cancelled."""

    made: Adjustment
    cause: str
    waits_until: datetime | None
    can_be_undone: bool


@staff.get("/appointment/<int:id>/cancel")
def ask_cancel(id: int) -> ResponseReturnValue:
    """Why, and what it will do."""
    one = _appointment(id)
    if not can_be_cancelled(one, now()):
        return refused(NotNow(), one)
    return _page(one)


@staff.post("/appointment/<int:id>/cancel")
def do_cancel(id: int) -> ResponseReturnValue:
    """Cancels it; pressed twice it acts once."""
    one = _appointment(id)
    cause = next((cause for cause in Cause if cause == request.form.get("cause")), None)
    if cause is None:
        return _page(one, is_missing=True), 422
    account = require(Role.CLERK, one.counter.desk_id)
    try:
        cancel_by_office(one, cause, request.form.get("seen", -1, type=int), member(account), now())
    except NotNow as refusal:
        db.session.rollback()
        return refused(refusal, one)
    return _done(one)


@staff.post("/appointment/<int:id>/restore")
def restore(id: int) -> ResponseReturnValue:
    """Takes the cancellation back, as long as nobody was told."""
    one = _appointment(id)
    account = require(Role.CLERK, one.counter.desk_id)
    made = cancelled_by_office(one) or abort(404)
    try:
        undo(made, member(account), now())
    except (Gone, SlotTaken) as reason:
        db.session.rollback()
        told = _("The visitor has been told already. Make a new appointment with them.")
        given = _("The time has been given to somebody else. Make a new appointment with the visitor.")
        text = told if isinstance(reason, Gone) else given
        return failure(409, _("It cannot be undone any more"), text)
    return _done(one)


@staff.post("/appointment/<int:id>/tell")
def tell_now(id: int) -> ResponseReturnValue:
    """Lets the news of the cancellation go at once."""
    one = _appointment(id)
    made = cancelled_by_office(one) or abort(404)
    send_now(town().id, made.name, now())
    return _done(one)


def shown_cancellation(subject: Subject | None) -> Cancelled | None:
    """What the panel says of the subject, if the office cancelled it."""
    made = cancelled_by_office(subject) if isinstance(subject, Appointment) else None
    if made is None or made.cause is None:
        return None
    return Cancelled(made, str(CAUSES[made.cause]), waits_until(made, now()), can_be_undone(made, now()))


def _appointment(id: int) -> Appointment:
    one = found(town().id, id) or abort(404)
    require(Role.CLERK, one.counter.desk_id)
    return one


def _done(one: Appointment) -> ResponseReturnValue:
    """Back to the agenda of its day, with the appointment open. Commits."""
    on = one.starts_at.astimezone(ZoneInfo(town().zone)).date()
    address = url_for("staff.agenda", desk_id=one.counter.desk_id, day=on, open=one.id, _anchor="panel")
    db.session.commit()
    return redirect(address, 303)


def _page(one: Appointment, *, is_missing: bool = False) -> str:
    wait = min(timedelta(minutes=town().wait_minutes), LONGEST_WAIT)
    others = [other for other in one.booking.appointments if other is not one and other.is_booked]
    return render_template(
        "staff/cancel.html",
        one=one,
        causes=CAUSES,
        others=others,
        wait=int(wait.total_seconds()) // 60,
        problems=is_missing,
    )
