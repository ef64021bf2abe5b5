"""The agenda of a day, and the steps of a visit."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

from flask import abort, current_app, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from markupsafe import Markup

from booking.appointments.agenda import agenda as agenda_of
from booking.appointments.agenda import found, next_open_day
from booking.appointments.models import Appointment
from booking.appointments.visits import STEPS, NotNow, state_of
from booking.db import db
from booking.slots.clock import tick_of
from booking.staff.accounts import may
from booking.staff.audit import member
from booking.staff.models import Role, Staff
from booking.townhall.models import Desk
from booking.web.guards import current_staff, require
from booking.web.language import language
from booking.web.pages import failure, now, today
from booking.web.staff import staff
from booking.web.towns import here, seen_activity, town

MANY = 100  # tables of a day that are kept


@staff.get("/")
def start() -> ResponseReturnValue:
    """Goes to today's agenda of the first desk that the member of staff works at."""
    desks = own_desks(current_staff())
    if not desks:
        return failure(403, _("No desk yet"), _("Your account has no desk. Ask an administrator for one."))
    return redirect(url_for("staff.agenda", desk_id=desks[0].id))


@staff.get("/agenda/<int:desk_id>")
@staff.get("/agenda/<int:desk_id>/<day>")
def agenda(desk_id: int, day: str | None = None) -> ResponseReturnValue:
    """A desk's day: a column a counter, or as a list (?view=list); one appointment may be open beside it (?open=)."""
    desk, on = _desk(desk_id), _day(day)
    view = "list" if request.args.get("view") == "list" else "day"
    desks = own_desks(current_staff())
    frame = {"desk": desk, "on": on, "view": view, "desks": desks, "today": today()}
    frame |= {"before": on - timedelta(days=1), "after": on + timedelta(days=1)}
    kept = _kept_bodies()
    key = (seen_activity(desk.office_id), here().revision, desk.id, on, language(), town().id)
    is_plain = view == "day" and "open" not in request.args
    body = kept.get(key) if is_plain else None
    if body is None:
        body = _body(desk, on, view)
        if is_plain:
            kept[key] = body
    return render_template("staff/agenda.html", body=body, **frame)


def _body(desk: Desk, on: date, view: str) -> Markup:
    """What the day holds: how many appointments, the open one, and the table."""
    made = agenda_of(desk, on, now())
    opened = next((one for one in made.appointments if str(one.id) == request.args.get("open")), None)
    next_open = None if made.rows else next_open_day(desk, on, now())
    words = {"agenda": made, "desk": desk, "on": on, "view": view, "opened": opened, "next_open": next_open}
    return Markup(render_template("staff/day.html", **words))  # noqa: S704


def _kept_bodies() -> dict[tuple[object, ...], Markup]:
    """The tables that this process has made in these five minutes, by all that they derive from.

    They show names, so none is kept for longer; the line that says how late it is moves then, too.
    """
    kept: tuple[int, dict[tuple[object, ...], Markup]] | None = current_app.extensions["balie"].get("agendas")
    tick = tick_of(now())
    if kept is None or kept[0] != tick or len(kept[1]) >= MANY:
        kept = tick, {}
        current_app.extensions["balie"]["agendas"] = kept
    return kept[1]


@staff.post("/appointment/<int:id>/<step>")
def visit(id: int, step: str) -> ResponseReturnValue:
    """One step of a visit: arrive, serve, miss or undo; then back to the page it was pressed on."""
    if step not in STEPS:
        abort(404)
    appointment = found(town().id, id) or abort(404)
    account = require(Role.CLERK, appointment.counter.desk_id)
    try:
        STEPS[step](appointment, member(account), now())
    except NotNow:
        db.session.rollback()
        return _not_now(id)
    address = _back(appointment)
    db.session.commit()
    return redirect(address, 303)


def own_desks(account: Staff) -> Sequence[Desk]:
    """The desks at which the member of staff may at least be a clerk."""
    return [desk for desk in here().desks if may(account, Role.CLERK, desk.id)]


def _desk(id: int) -> Desk:
    desk = next((desk for desk in here().desks if desk.id == id), None) or abort(404)
    require(Role.CLERK, desk.id)
    return desk


def _day(given: str | None) -> date:
    """The day in the address (or in ?day=, from the date field); today where none is given, 404 for nonsense."""
    text = given or request.args.get("day")
    try:
        on = date.fromisoformat(text) if text else today()
    except ValueError:
        abort(404)
    if not 2000 <= on.year <= 2200:
        abort(404)
    return on


def _back(appointment: Appointment) -> str:
    """The agenda of the appointment's day, in the view from which the button was pressed."""
    view = "list" if request.form.get("view") == "list" else None
    opened = appointment.id if request.form.get("open") else None
    day = request.form.get("day", "") or None
    anchor = "panel" if opened else f"visit-{appointment.id}"
    desk_id = appointment.counter.desk_id
    return url_for("staff.agenda", desk_id=desk_id, day=day, view=view, open=opened, _anchor=anchor)


def _not_now(id: int) -> tuple[str, int]:
    appointment = found(town().id, id) or abort(404)
    words = {
        "expected": _("The visitor is still expected. Before the time of the appointment nobody can be missed."),
        "arrived": _("The visitor has arrived already."),
        "served": _("The visitor has been served already."),
        "missed": _("The visitor has been marked as missed."),
        "cancelled": _("The appointment has been cancelled."),
    }
    text = words[state_of(appointment).value] + " " + _("Go back to the agenda to see how it stands now.")
    return failure(409, _("That step does not fit any more"), text)
