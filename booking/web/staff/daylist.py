"""The day of a desk to print or to keep, for a day without network."""

from __future__ import annotations

from datetime import date

from flask import Response, abort
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from booking.delivery.daylist import NoPdf, as_csv, as_pdf
from booking.staff.audit import member, trace_once
from booking.staff.models import Role
from booking.townhall.models import Desk
from booking.web.guards import current_staff, require
from booking.web.pages import failure, now
from booking.web.staff import staff
from booking.web.towns import here


@staff.get("/day/<int:desk_id>/<day>/csv")
def day_csv(desk_id: int, day: str) -> ResponseReturnValue:
    desk, on = _asked(desk_id, day)
    return _file(as_csv(desk, on), "text/csv; charset=utf-8", f"{on}.csv")


@staff.get("/day/<int:desk_id>/<day>/pdf")
def day_pdf(desk_id: int, day: str) -> ResponseReturnValue:
    desk, on = _asked(desk_id, day)
    try:
        return _file(as_pdf(desk, on, now()), "application/pdf", f"{on}.pdf")
    except NoPdf:
        text = _("Take the CSV instead, and ask whoever looks after Balie to install libpango.")
        return failure(503, _("This server cannot make PDF"), text)


def _asked(desk_id: int, day: str) -> tuple[Desk, date]:
    """The desk and the day; who takes the list reads phone numbers, which is written down."""
    desk = next((one for one in here().desks if one.id == desk_id), None) or abort(404)
    require(Role.CLERK, desk.id)
    try:
        on = date.fromisoformat(day)
    except ValueError:
        abort(404)
    if not 2000 <= on.year <= 2200:
        abort(404)
    trace_once(member(current_staff()), "read_day_list", ("desk", desk.id), now())
    return desk, on


def _file(content: bytes, kind: str, name: str) -> Response:
    return Response(content, headers={"Content-Type": kind, "Content-Disposition": f'attachment; filename="{name}"'})
