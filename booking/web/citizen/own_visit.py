"""Moving or cancelling all appointments of a booking together."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from flask import abort, make_response, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from booking.appointments.booking import MovedOften, TooLate, is_cancellable, is_movable
from booking.appointments.models import Appointment
from booking.appointments.occupancy import SlotTaken
from booking.appointments.offers import nearest
from booking.appointments.plans import Errands
from booking.appointments.timelines import office_lines
from booking.appointments.together import cancel_visit, errands_of, move_visit
from booking.db import db
from booking.staff.audit import citizen_of
from booking.web.citizen import citizen
from booking.web.citizen.book import NEAREST, chosen_slot
from booking.web.citizen.own import booking_of, moved_often, too_late_to_cancel, too_late_to_move
from booking.web.citizen.several import legs_booked, offices_for
from booking.web.citizen.times import free_times, one_of_many
from booking.web.pages import now
from booking.web.towns import here, load_town, seen_revisions, town


@citizen.get("/b/<token>/visit/move")
def choose_visit_move(token: str) -> ResponseReturnValue:
    """The times to which the whole visit can be moved."""
    return _move_page(token, _movable(token))


@citizen.post("/b/<token>/visit/move")
def do_visit_move(token: str) -> ResponseReturnValue:
    appointments = _movable(token)
    office, start = chosen_slot()
    try:
        move_visit(_errands(appointments), appointments, office.id, start, citizen_of(town().id))
    except SlotTaken:
        db.session.rollback()
        load_town()
        return _move_page(token, _movable(token), taken=start), 409
    except MovedOften:
        return moved_often()
    except TooLate:
        return too_late_to_move(appointments, token)
    db.session.commit()
    return redirect(url_for("citizen.own", token=token, did="moved"), 303)


@citizen.get("/b/<token>/visit/cancel")
def ask_visit_cancel(token: str) -> ResponseReturnValue:
    """What is given up, and one button."""
    appointments = _booked(token)
    if not appointments or not all(is_cancellable(one, now()) for one in appointments):
        return too_late_to_cancel(appointments, token)
    return render_template("citizen/cancel_visit.html", legs=legs_booked(appointments), token=token)


@citizen.post("/b/<token>/visit/cancel")
def do_visit_cancel(token: str) -> ResponseReturnValue:
    appointments = _booked(token)
    try:
        cancel_visit(appointments, citizen_of(town().id), now())
    except TooLate:
        return too_late_to_cancel(appointments, token)
    db.session.commit()
    return redirect(url_for("citizen.own", token=token, did="cancelled"), 303)


def _booked(token: str) -> list[Appointment]:
    return [one for one in booking_of(token).appointments if one.is_booked]


def _movable(token: str) -> list[Appointment]:
    """The booked appointments, if all of them may still be moved; else the page that says why not is the answer."""
    booked = _booked(token)
    if not booked or not all(is_movable(one, now()) for one in booked):
        abort(make_response(too_late_to_move(booked, token)))
    return booked


def _errands(appointments: Sequence[Appointment]) -> Errands:
    """What the visit is for, at all offices that could serve it."""
    known = seen_revisions()
    items = [item for one in appointments for item in one.wanted]
    lines = {office.id: office_lines(office, now(), known[office.id]) for office in offices_for(items)}
    return errands_of(appointments, here(), lines, now())


def _move_page(token: str, appointments: Sequence[Appointment], taken: datetime | None = None) -> str:
    first = appointments[0]
    at = first.counter.desk.office_id
    offers = _errands(appointments).offers()
    places = [here().offices[one.office_id] for one in offers]
    chosen = {office.id for office in one_of_many(places, at)}
    offers = [one for one in offers if one.office_id in chosen]
    offers = [one.but_for(first.starts_at) if one.office_id == at else one for one in offers]
    offices = here().offices
    return render_template(
        "citizen/move_visit.html",
        first=first,
        places=places,
        legs=legs_booked(appointments),
        token=token,
        times=free_times([offices[one.office_id] for one in offers], offers),
        offices=[offices[one.office_id] for one in offers],
        taken=taken,
        nearest=[(offices[id], start) for start, id in nearest(offers, taken, NEAREST)] if taken else [],
    )
