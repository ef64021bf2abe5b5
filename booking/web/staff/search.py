"""Finding an appointment by name, reference or phone number."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from flask import render_template, request
from flask.typing import ResponseReturnValue

from booking.appointments.lookup import appointments_like
from booking.web.guards import current_staff
from booking.web.pages import now
from booking.web.staff import staff
from booking.web.staff.agenda import own_desks
from booking.web.towns import town


@staff.get("/search")
def search() -> ResponseReturnValue:
    """The appointments at one's own desks that are like what was typed."""
    said = request.args.get("q", "").strip()[:80]
    desk_ids = [desk.id for desk in own_desks(current_staff())]
    found = appointments_like(desk_ids, said, now()) if said else []
    return render_template("staff/search.html", said=said, found=found, zone=ZoneInfo(town().zone))
