"""The rules of a desk's queue, which its lead sets: minutes of grace, and each hour's share for walk-ins."""

from __future__ import annotations

from flask import abort, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from booking.db import db
from booking.staff.audit import member, record
from booking.staff.models import Role
from booking.townhall.models import Desk
from booking.web.guards import require
from booking.web.pages import now
from booking.web.staff import staff
from booking.web.towns import here

HOURS = range(7, 21)


@staff.get("/queue/<int:desk_id>")
def sharing(desk_id: int) -> ResponseReturnValue:
    return _page(_desk(desk_id))


@staff.post("/queue/<int:desk_id>")
def share(desk_id: int) -> ResponseReturnValue:
    """Keeps the rules; what citizens are offered follows at once."""
    desk = _desk(desk_id)
    grace = request.form.get("grace", -1, type=int)
    percents = {str(hour): request.form.get(str(hour), -1, type=int) for hour in HOURS}
    if not 0 <= grace <= 120 or not all(0 <= percent <= 100 for percent in percents.values()):
        return _page(desk, is_wrong=True), 422
    mine = db.session.get_one(Desk, desk.id)
    mine.grace_minutes, mine.walk_in_percents = grace, {hour: one for hour, one in percents.items() if one}
    account = require(Role.LEAD, desk.id)
    record(member(account), "share", ("desk", desk.id), now(), grace=grace, percents=mine.walk_in_percents)
    db.session.commit()
    return redirect(url_for("staff.sharing", desk_id=desk_id, saved=1), 303)


def _page(desk: Desk, is_wrong: bool = False) -> str:
    is_saved = "saved" in request.args
    return render_template("staff/sharing.html", desk=desk, hours=HOURS, is_saved=is_saved, is_wrong=is_wrong)


def _desk(id: int) -> Desk:
    desk = next((one for one in here().desks if one.id == id), None) or abort(404)
    require(Role.LEAD, desk.id)
    return desk
