"""The call list in the browser: whom no message reached."""

from __future__ import annotations

from flask import abort, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from booking.appointments.agenda import found
from booking.db import db
from booking.delivery.calls import called, calls
from booking.staff.audit import member, trace_once
from booking.staff.models import Role
from booking.web.guards import current_staff, require
from booking.web.pages import now
from booking.web.staff import staff
from booking.web.staff.agenda import own_desks
from booking.web.towns import town


@staff.get("/calls")
def to_call() -> ResponseReturnValue:
    """Whom to call at one's own desks, the next appointment first."""
    account = current_staff()
    found_calls = calls([desk.id for desk in own_desks(account)], now())
    for call in found_calls:  # who reads a citizen's contact is written down
        trace_once(member(account), "read_contact", ("booking", call.appointment.booking_id), now())
    return render_template("staff/calls.html", calls=found_calls)


@staff.post("/calls/<int:id>")
def has_called(id: int) -> ResponseReturnValue:
    """Takes the appointment off the list."""
    appointment = found(town().id, id) or abort(404)
    account = require(Role.CLERK, appointment.counter.desk_id)
    called(appointment, member(account), now())
    db.session.commit()
    return redirect(url_for("staff.to_call", called=id), 303)
