"""The buttons of a visit: its steps, the next one, a ticket for who has no appointment, and the clerk's own counter."""

from __future__ import annotations

from collections.abc import Callable

from flask import abort, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from booking.appointments.agenda import found, found_visit
from booking.appointments.models import Appointment, Visit, VisitState
from booking.appointments.queue import call_next, place_of
from booking.appointments.visits import (
    STEPS,
    CounterBusy,
    NoCounter,
    NotNow,
    Press,
    Subject,
    forward,
    state_of,
    take_step,
    take_ticket,
    undo,
    write_note,
)
from booking.db import db
from booking.staff.audit import member
from booking.staff.models import Role, Staff
from booking.townhall.models import Counter, Desk
from booking.web.guards import current_staff, may, require
from booking.web.pages import failure, now
from booking.web.staff import staff
from booking.web.towns import here, town

OTHER_STEPS: dict[str, Callable[[Subject, Press], Visit]] = {
    "undo": undo,
    "note": lambda subject, press: write_note(subject, request.form.get("note", "").strip(), press),
    "forward": lambda subject, press: forward(subject, _other_desk(), press),
}


@staff.post("/appointment/<int:id>/<step>")
def step_appointment(id: int, step: str) -> ResponseReturnValue:
    """One step of the visit of an appointment; then back to the page it was pressed on."""
    appointment = found(town().id, id) or abort(404)
    visit, own = appointment.visit, appointment.counter.desk_id
    at = visit.desk_id if visit and visit.state != VisitState.EXPECTED else own
    return _step(appointment, step, require_one_of(at, own))


@staff.post("/visit/<int:id>/<step>")
def step_visit(id: int, step: str) -> ResponseReturnValue:
    """The same for a visit without an appointment."""
    visit = found_visit(town().id, id) or abort(404)
    if visit.appointment_id is not None:
        return step_appointment(visit.appointment_id, step)
    return _step(visit, step, require(Role.CLERK, visit.desk_id))


@staff.post("/next/<int:counter_id>")
def call(counter_id: int) -> ResponseReturnValue:
    """The counter has done with whom it has, and calls the next."""
    counter = _counter(counter_id)
    press = _press(require(Role.CLERK, counter.desk_id), counter)
    try:
        visit = call_next(counter, request.form.get("current", 0, type=int), press)
    except NotNow as refusal:
        db.session.rollback()
        return refused(refusal, None)
    opened, anchor = (opening(visit), "panel") if visit else (None, "queue")
    address = url_for("staff.agenda", desk_id=counter.desk_id, open=opened, _anchor=anchor)
    db.session.commit()
    return redirect(address, 303)


@staff.post("/ticket/<int:desk_id>")
def give_ticket(desk_id: int) -> ResponseReturnValue:
    """A number for somebody without an appointment."""
    desk = next((one for one in here().desks if one.id == desk_id), None) or abort(404)
    account = require(Role.CLERK, desk.id)
    key, people = request.form.get("service", ""), request.form.get("people", 1, type=int)
    service = here().service(key) if key else None
    if (key and service is None) or not 1 <= people <= 20:
        abort(404)
    visit = take_ticket(desk, service, people, Press(member(account), now()))
    address = url_for("staff.ticket", id=visit.id)
    db.session.commit()
    return redirect(address, 303)


@staff.get("/ticket/<int:id>")
def ticket(id: int) -> ResponseReturnValue:
    """The ticket to print or to read out: the number, and how long it may take."""
    visit = found_visit(town().id, id) or abort(404)
    require(Role.CLERK, visit.desk_id)
    desk = next(one for one in here().desks if one.id == visit.desk_id)
    return render_template("staff/ticket.html", visit=visit, desk=desk, place=place_of(visit, now()))


@staff.post("/counter")
def sit() -> ResponseReturnValue:
    """From now on this browser calls to this counter."""
    counter = _counter(request.form.get("counter", 0, type=int))
    require(Role.CLERK, counter.desk_id)
    session["counter"] = counter.id
    return redirect(url_for("staff.agenda", desk_id=counter.desk_id), 303)


@staff.app_template_global()
def step_address(subject: Subject, step: str) -> str:
    """Where the button of a step posts to; the version makes that it acts once, however often it is pressed."""
    if isinstance(subject, Appointment):
        seen = subject.visit.version if subject.visit else 0
        return url_for("staff.step_appointment", id=subject.id, step=step, seen=seen)
    if subject.appointment is not None:
        return step_address(subject.appointment, step)
    return url_for("staff.step_visit", id=subject.id, step=step, seen=subject.version)


@staff.app_template_global()
def opening(subject: Subject) -> str:
    """What ?open= says to open the subject beside the agenda."""
    if isinstance(subject, Appointment):
        return str(subject.id)
    return str(subject.appointment_id) if subject.appointment_id else f"v{subject.id}"


@staff.app_template_global()
def neighbours(desk: Desk) -> list[Desk]:
    """The other desks of the office, to which a visit can be sent on."""
    return [one for one in here().desks if one.office_id == desk.office_id and one.id != desk.id]


def own_counter(desk: Desk) -> Counter | None:
    """The counter of this desk at which the clerk of this browser sits."""
    return next((one for one in desk.counters if one.id == session.get("counter")), None)


def require_one_of(*desk_ids: int) -> Staff:
    """The signed-in clerk of one of these desks; else 404."""
    account = current_staff()
    return require(Role.CLERK, next((id for id in desk_ids if may(account, Role.CLERK, id)), desk_ids[0]))


def _step(subject: Subject, step: str, account: Staff) -> ResponseReturnValue:
    if step not in STEPS and step not in OTHER_STEPS:
        abort(404)
    desk_id = subject.desk_id if isinstance(subject, Visit) else subject.counter.desk_id
    desk = next(one for one in here().desks if one.id == desk_id)
    press = _press(account, own_counter(desk))
    try:
        visit = OTHER_STEPS[step](subject, press) if step in OTHER_STEPS else take_step(step, subject, press)
    except NotNow as refusal:
        db.session.rollback()
        return refused(refusal, subject)
    address = _back(visit, desk)
    db.session.commit()
    return redirect(address, 303)


def _press(account: Staff, counter: Counter | None) -> Press:
    return Press(member(account), now(), counter.id if counter else None, request.args.get("seen", type=int))


def _counter(id: int) -> Counter:
    found: Counter = here().counters.get(id) or abort(404)
    return found


def _other_desk() -> Desk:
    """The desk that was chosen in the form."""
    wanted = request.form.get("desk", 0, type=int)
    found: Desk = next((one for one in here().desks if one.id == wanted), None) or abort(404)
    return found


def _back(visit: Visit, desk: Desk) -> str:
    """The agenda of the day, in the view from which the button was pressed."""
    view = "list" if request.form.get("view") == "list" else None
    opened = opening(visit) if request.form.get("open") else None
    day = request.form.get("day", "") or None
    anchor = "panel" if opened else f"visit-{opening(visit)}"
    return url_for("staff.agenda", desk_id=desk.id, day=day, view=view, open=opened, _anchor=anchor)


def refused(refusal: NotNow, subject: Subject | None) -> tuple[str, int]:
    """Why the step does not fit, and how the visit stands."""
    title = _("That step does not fit any more")
    again = _("Go back to the agenda to see how it stands now.")
    if isinstance(refusal, CounterBusy):
        text = _("Somebody is called to this counter already. First say what became of them.")
        return failure(409, _("The counter is busy"), f"{text} {again}")
    if isinstance(refusal, NoCounter):
        text = _("Choose first at which counter you sit: then you can call people to it.")
        return failure(409, _("To which counter?"), text)
    if subject is None:
        return failure(409, title, again)
    words = {
        "expected": _("The visitor is still expected. Before the time of the appointment nobody can be missed."),
        "arrived": _("The visitor has arrived already."),
        "called": _("The visitor has been called."),
        "serving": _("The visitor is at a counter."),
        "parked": _("The visit has been set aside."),
        "served": _("The visitor has been served already."),
        "missed": _("The visitor has been marked as missed."),
        "left": _("The visitor has left."),
        "cancelled": _("The appointment has been cancelled."),
    }
    db.session.refresh(subject)
    return failure(409, title, f"{words[state_of(subject).value]} {again}")
