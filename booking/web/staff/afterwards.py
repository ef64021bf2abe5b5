"""Entering a day afterwards: what became of the appointments on the list, and who came without one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from uuid import uuid4
from zoneinfo import ZoneInfo

from flask import abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import ngettext

from booking.appointments.afterwards import (
    OUTCOMES,
    WalkIn,
    enter,
    enter_walk_in,
    entered_walk_ins,
    note_form,
    take_away,
)
from booking.appointments.agenda import appointments_of, found_visit
from booking.appointments.models import Appointment, Visit, VisitState
from booking.appointments.visits import TO_COME, NotNow, Press, state_of
from booking.db import db
from booking.staff.audit import member
from booking.staff.models import Role
from booking.townhall.models import Desk
from booking.web.guards import require
from booking.web.pages import now, today
from booking.web.staff import staff
from booking.web.staff.visits import refused
from booking.web.towns import here, town

ROWS = 8  # for walk-ins, at once


@dataclass
class Row:
    """A line for somebody without an appointment, as it was typed; `wrong` says what is not right."""

    number: int
    came: str = ""
    service: str = ""
    people: str = "1"
    counter: str = ""
    outcome: str = VisitState.SERVED.value
    wrong: str = ""


@staff.get("/afterwards/<int:desk_id>/<day>")
def afterwards(desk_id: int, day: str) -> ResponseReturnValue:
    """One page for a day: each appointment that is over, and empty lines for those who came without one."""
    desk, on = _asked(desk_id, day)
    return _page(desk, on, {}, [Row(number) for number in range(ROWS)])


@staff.post("/afterwards/<int:desk_id>/<day>")
def enter_day(desk_id: int, day: str) -> ResponseReturnValue:
    """Enters all that was said, or nothing and what is wrong; what a colleague entered meanwhile stays."""
    desk, on = _asked(desk_id, day)
    typed = {int(name[4:]): value for name, value in request.form.items() if name[:4] == "out-" and name[4:].isdigit()}
    rows = [_row(number) for number in range(ROWS)]
    walk_ins = [(row, came) for row in rows if row.came and (came := _walk_in(row, desk, on))]
    if any(row.wrong for row in rows):
        return _page(desk, on, typed, rows), 422
    press = Press(member(require(Role.CLERK, desk.id)), now())
    if note_form(desk, request.form.get("form", "")[:40], press):
        said = _enter_appointments(_open(desk, on), typed, press)
        for row, came in walk_ins:
            enter_walk_in(desk, came, Press(press.actor, press.now, int(row.counter)))
        _say(said, len(walk_ins))
    db.session.commit()
    return redirect(url_for("staff.afterwards", desk_id=desk.id, day=on), 303)


@staff.post("/afterwards/visit/<int:id>/away")
def take_entry_away(id: int) -> ResponseReturnValue:
    """Takes out a line that was entered by mistake."""
    visit = found_visit(town().id, id) or abort(404)
    account, desk_id, on = require(Role.CLERK, visit.desk_id), visit.desk_id, visit.came_on
    try:
        take_away(visit, Press(member(account), now()))
    except NotNow as refusal:
        db.session.rollback()
        return refused(refusal, visit)
    db.session.commit()
    return redirect(url_for("staff.afterwards", desk_id=desk_id, day=on, _anchor="entered"), 303)


def _enter_appointments(open_ones: Sequence[Appointment], typed: dict[int, str], press: Press) -> int:
    """How many were entered: those that were chosen, and all others where that was asked for."""
    rest, count = request.form.get("rest", ""), 0
    for one in open_ones:
        outcome = next((each for each in OUTCOMES if each == (typed.get(one.id) or rest)), None)
        if outcome is None:
            continue
        counter_id = one.counter_id if outcome != VisitState.MISSED else None
        try:
            enter(one, outcome, Press(press.actor, press.now, counter_id))
            count += 1
        except NotNow:
            continue  # a colleague was faster
    return count


def _open(desk: Desk, on: date) -> list[Appointment]:
    """The appointments of the day that are over, of which nobody has said what became of them."""
    found = appointments_of(desk, on, ZoneInfo(town().zone))
    return [one for one in found if one.ends_at <= now() and one.is_booked and _is_open(one)]


def _is_open(one: Appointment) -> bool:
    return state_of(one) in TO_COME - {VisitState.MISSED}


def _row(number: int) -> Row:
    """The line as it was typed."""
    given = {
        name: request.form.get(f"{name}-{number}", "").strip() for name in ("came", "service", "people", "counter")
    }
    return Row(number, **given, outcome=request.form.get(f"outcome-{number}", ""))


def _walk_in(row: Row, desk: Desk, on: date) -> WalkIn | None:
    """What the line says; None, with what is wrong, if it says nothing sensible."""
    try:
        at = datetime.combine(on, _clock(row.came), ZoneInfo(town().zone)).astimezone(UTC)
    except ValueError:
        row.wrong = _("Enter a time of the day like 18:00.")
        return None
    service = here().service(row.service) if row.service else None
    outcome = next((one for one in (VisitState.SERVED, VisitState.LEFT) if one == row.outcome), None)
    if (row.service and service is None) or outcome is None or row.counter not in {str(c.id) for c in desk.counters}:
        abort(404)
    if at > now():
        row.wrong = _("This time is still to come.")
    if not (row.people.isascii() and row.people.isdigit() and 1 <= int(row.people) <= 20):
        row.wrong = _("Enter 1 to 20 people.")
    return None if row.wrong else WalkIn(at, service, int(row.people), outcome)


def _clock(typed: str) -> time:
    """The time of the day as people type it from a list: 9:15, 0915, 9.15, 9u15. Raises ValueError."""
    found = re.fullmatch(r"(\d{1,2})(?:[:.uh]?(\d{2}))?", typed, re.ASCII)
    if found is None:
        raise ValueError(typed)
    return time(int(found[1]), int(found[2] or 0))


def _say(appointments: int, walk_ins: int) -> None:
    flash(
        _(
            "Entered: %(booked)s and %(others)s.",
            booked=ngettext("%(num)s appointment", "%(num)s appointments", appointments),
            others=ngettext("%(num)s visit without an appointment", "%(num)s visits without an appointment", walk_ins),
        )
    )


def _asked(desk_id: int, day: str) -> tuple[Desk, date]:
    """The desk and a day that is not still to come."""
    desk = next((one for one in here().desks if one.id == desk_id), None) or abort(404)
    require(Role.CLERK, desk.id)
    try:
        on = date.fromisoformat(day)
    except ValueError:
        abort(404)
    if not date(2000, 1, 1) <= on <= today():
        abort(404)
    return desk, on


def _page(desk: Desk, on: date, typed: dict[int, str], rows: Sequence[Row]) -> str:
    entered: Sequence[Visit] = entered_walk_ins(desk, on)
    return render_template(
        "staff/afterwards.html",
        desk=desk,
        on=on,
        open_ones=_open(desk, on),
        typed=typed,
        rest=request.form.get("rest", ""),
        rows=rows,
        entered=entered,
        counters=here().counters,
        services=[one for one in here().services if one.desk_key == desk.key],
        once=uuid4().hex,
        problems=[row for row in rows if row.wrong],
    )
