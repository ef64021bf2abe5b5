"""When things go wrong at a counter: it runs late, or nobody is at it for the rest of the day."""

from __future__ import annotations

from flask import abort, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from booking.appointments.absence import close_and_move, proposals, run_late, still_to_come, without_contact
from booking.appointments.occupancy import SlotTaken
from booking.db import db
from booking.staff.audit import member
from booking.staff.models import Role
from booking.townhall.models import Counter
from booking.web.guards import require
from booking.web.pages import now, today
from booking.web.staff import staff
from booking.web.towns import here, load_town

MINUTES = (10, 15, 20, 30, 45, 60)


@staff.get("/counter/<int:counter_id>")
def trouble(counter_id: int) -> ResponseReturnValue:
    """Who is still to come today, and where they could go."""
    return _page(_counter(counter_id, Role.CLERK))


@staff.post("/counter/<int:counter_id>/late")
def tell_late(counter_id: int) -> ResponseReturnValue:
    """Tells the citizens of the next hours that the counter runs late; 0 minutes: it is in time again."""
    counter = _counter(counter_id, Role.CLERK)
    minutes = request.form.get("minutes", -1, type=int)
    if minutes not in (0, *MINUTES):
        abort(400)
    told = run_late(counter, minutes, member(require(Role.CLERK, counter.desk_id)), now())
    db.session.commit()
    return redirect(url_for("staff.trouble", counter_id=counter_id, told=told), 303)


@staff.post("/counter/<int:counter_id>/absent")
def close_counter(counter_id: int) -> ResponseReturnValue:
    """Closes the counter for today and does what was proposed, as far as it is still possible."""
    counter = _counter(counter_id, Role.LEAD)
    account = require(Role.LEAD, counter.desk_id)
    try:
        moved = close_and_move(counter, request.form.getlist("move"), member(account), now())
    except SlotTaken:
        db.session.rollback()
        load_town()
        return _page(here().counters[counter_id], is_overtaken=True), 409
    db.session.commit()
    return redirect(url_for("staff.trouble", counter_id=counter_id, moved=moved), 303)


def _page(counter: Counter, is_overtaken: bool = False) -> str:
    to_come = still_to_come(counter, now())
    return render_template(
        "staff/trouble.html",
        counter=counter,
        late=counter.late_by(today()),
        minutes=MINUTES,
        to_come=to_come,
        silent=without_contact(to_come),
        proposals=proposals(counter, now()),
        counters=here().counters,
        is_overtaken=is_overtaken,
        told=request.args.get("told", type=int),
        moved=request.args.get("moved", type=int),
    )


def _counter(id: int, role: Role) -> Counter:
    counter: Counter = here().counters.get(id) or abort(404)
    require(role, counter.desk_id)
    return counter
