"""Changes of hours and closures: what one would hit is shown before, what it did and how to undo it after."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from flask import abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import ngettext
from sqlalchemy import select
from sqlalchemy.orm import joinedload, selectinload

from booking.appointments.models import Appointment, AppointmentService
from booking.appointments.occupancy import SlotTaken
from booking.db import begin_write, db
from booking.outbox.held import send_now, waiting
from booking.planning.impact import Decision, Meanwhile, Proposal, apply, decision, preview, unreachable
from booking.planning.models import Adjustment, Choice, Hit
from booking.planning.undo import UNDO_FOR, Gone, undo
from booking.planning.whatif import what_if
from booking.slots.clock import moment_of
from booking.staff.audit import member
from booking.staff.models import Role, Staff
from booking.townhall.models import Counter, Desk, Service
from booking.townhall.plans import Overtaken, Plan
from booking.web.admin import admin
from booking.web.guards import current_staff, may
from booking.web.pages import failure, now
from booking.web.towns import here, town

OURS = ("csrf_token", "confirmed", "all")  # fields of the page that asks, not of the form before it


def decide(plan: Plan, words: str) -> ResponseReturnValue:
    """Carries the plan out where it hits nobody or everything was decided; else shows whom it hits. Commits.

    `words` say what the plan does. The form before is sent on, so that the same plan is made of it again.
    """
    author = member(current_staff())
    if "what_if" in request.form:
        return _show_what_if(plan)
    overtaken: Mapping[int, Decision] | None = None
    decisions = decisions_sent() if "confirmed" in request.form else {}
    try:
        made = apply(plan, decisions, author, now())
        db.session.commit()
    except (Meanwhile, SlotTaken):
        overtaken = decisions or None
    else:
        flash(words)
        return redirect(url_for("admin.changes_one", id=made.id), 303)
    db.session.rollback()
    begin_write()
    proposals = preview(plan, author, now())
    db.session.rollback()
    return _ask(proposals, overtaken), 409 if overtaken else 200


def _show_what_if(plan: Plan) -> str:
    """What citizens would be offered; nothing of it stays."""
    services = db.session.scalars(select(Service).where(Service.municipality_id == town().id)).all()
    found = what_if(plan, services, now())
    db.session.rollback()
    sent = [(name, value) for name, value in request.form.items(multi=True) if name not in (*OURS, "what_if")]
    return render_template("admin/whatif.html", found=found, sent=sent)


def managed_desks(account: Staff) -> Sequence[Desk]:
    """The desks whose hours the member of staff decides."""
    if may(account, Role.MANAGER, None):
        return here().desks
    return [desk for desk in here().desks if may(account, Role.MANAGER, desk.id)]


def managed_counters(account: Staff) -> Mapping[int, Counter]:
    """The counters of these desks, by their ids."""
    if may(account, Role.MANAGER, None):
        return here().counters
    return {counter.id: counter for desk in managed_desks(account) for counter in desk.counters}


@admin.get("/changes")
def changes() -> ResponseReturnValue:
    """What was changed last, newest first; a manager of single desks sees their own."""
    account = current_staff()
    query = select(Adjustment).where(Adjustment.municipality_id == town().id)
    if not may(account, Role.MANAGER, None):
        query = query.where(Adjustment.staff_id == account.id)
    query = query.options(selectinload(Adjustment.hits)).order_by(Adjustment.id.desc()).limit(50)
    return render_template("admin/changes.html", changes=db.session.scalars(query).all(), authors=_authors())


@admin.get("/changes/<int:id>")
def changes_one(id: int) -> ResponseReturnValue:
    """What became of each appointment, who must be told by hand, and the messages that wait."""
    one = _adjustment(id)
    hits = _hits(one)
    waits = next((wait for wait in waiting(town().id, now()) if wait.change == one.name), None)
    is_fresh = one.undone_at is None and now() <= one.made_at + UNDO_FOR
    return render_template(
        "admin/change.html",
        change=one,
        hits=hits,
        waits=waits,
        to_tell=unreachable(hits),
        can_undo=is_fresh and (waits is not None or all(hit.choice == Choice.KEEP for hit in hits)),
        counters=here().counters,
        author=_authors().get(one.staff_id, ""),
    )


@admin.post("/changes/<int:id>/undo")
def undo_change(id: int) -> ResponseReturnValue:
    """Takes the change back, with all that it did to appointments."""
    one = _adjustment(id)
    try:
        undo(one, member(current_staff()), now())
    except (Gone, Overtaken, SlotTaken) as reason:
        db.session.rollback()
        return failure(409, _("It cannot be undone any more"), _reason(reason))
    db.session.commit()
    flash(_("It is undone. Nobody was written to."))
    return redirect(url_for("admin.changes_one", id=id), 303)


@admin.post("/changes/<int:id>/send")
def send_change(id: int) -> ResponseReturnValue:
    """Lets its messages go at once; from then on it cannot be undone."""
    one = _adjustment(id)
    count = send_now(town().id, one.name, now())
    db.session.commit()
    flash(ngettext("%(num)s message goes out now.", "%(num)s messages go out now.", count))
    return redirect(url_for("admin.changes_one", id=id), 303)


def _reason(reason: Exception) -> str:
    words = {
        Gone: _("Messages about it have gone out, or it was more than a day ago. Make a new change instead."),
        Overtaken: _("Hours or closures were changed again since. Undo that first, or make a new change."),
        SlotTaken: _("One of the times has been given to somebody else since. Make a new change instead."),
    }
    found: str = words[type(reason)]
    return found


def _ask(proposals: Sequence[Proposal], decided: Mapping[int, Decision] | None) -> str:
    """The page that says whom the plan hits and asks what becomes of each."""
    sent = [(name, value) for name, value in request.form.items(multi=True) if not _is_ours(name)]
    return render_template("admin/ask.html", hit=hit_by(proposals, decided), sent=sent)


def hit_by(proposals: Sequence[Proposal], decided: Mapping[int, Decision] | None) -> dict[str, Any]:
    """What admin/asked.html shows of the appointments that a plan hits; and what is another than was decided about."""
    ids = [proposal.appointment_id for proposal in proposals]
    rows = _appointments(ids)
    return {
        "decided": {id: one.choice.value for id, one in (decided or {}).items()},
        "is_overtaken": decided is not None,
        "came": set(ids) - set(decided) if decided is not None else set(),
        "went": len(set(decided or ()) - set(ids)),
        "proposals": proposals,
        "appointments": {one.id: one for one in rows},
        "counters": here().counters,
        "unreachable": sum(not proposal.is_reachable for proposal in proposals),
        "wait": town().wait_minutes,
    }


def _is_ours(name: str) -> bool:
    return name in OURS or name.startswith(("choice-", "start-"))


def decisions_sent() -> dict[int, Decision]:
    """What was chosen for each appointment: for all of them, or row by row."""
    found: dict[int, Decision] = {}
    for_all = request.form.get("all", "each")
    for name, value in request.form.items():
        id = name.removeprefix("choice-")
        if name != id and id.isascii() and id.isdigit() and len(id) < 16:
            chosen = value if for_all == "each" else for_all
            start = _start(request.form.get(f"start-{id}", ""))
            found[int(id)] = decision(Choice(chosen) if chosen in list(Choice) else abort(400), start)
    return found


def _start(text: str) -> datetime | None:
    """The tick that was proposed."""
    return moment_of(int(text)) if text.isascii() and text.isdigit() and len(text) < 12 else None


def _adjustment(id: int) -> Adjustment:
    account = current_staff()
    query = select(Adjustment).where(Adjustment.id == id, Adjustment.municipality_id == town().id)
    found = db.session.scalar(query) or abort(404)
    if found.staff_id != account.id and not may(account, Role.MANAGER, None):
        abort(404)
    return found


def _hits(one: Adjustment) -> Sequence[Hit]:
    query = select(Hit).where(Hit.adjustment_id == one.id).order_by(Hit.starts_at, Hit.id)
    return db.session.scalars(query.options(joinedload(Hit.appointment).joinedload(Appointment.booking))).all()


def _appointments(ids: Iterable[int]) -> Sequence[Appointment]:
    services = selectinload(Appointment.items).joinedload(AppointmentService.service).selectinload(Service.texts)
    query = select(Appointment).where(Appointment.id.in_(list(ids)))
    return db.session.scalars(query.options(joinedload(Appointment.booking), services)).all()


def _authors() -> Mapping[int, str]:
    rows = db.session.execute(select(Staff.id, Staff.name).where(Staff.municipality_id == town().id))
    return {row.id: row.name for row in rows}
