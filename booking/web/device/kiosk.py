"""The kiosk: I have an appointment, I have none, I want to ask. Large, by touch or keyboard, and back to the start."""

from __future__ import annotations

import re
from datetime import date
from zoneinfo import ZoneInfo

from flask import abort, current_app, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from booking import links, spoken
from booking.appointments.agenda import appointments_of, found_visit
from booking.appointments.models import Appointment, Booking, VisitState
from booking.appointments.queue import place_of
from booking.appointments.references import booking_with
from booking.appointments.visits import PRESENT, NotNow, Press, state_of, take_step, take_ticket
from booking.db import begin_write, db
from booking.staff.accounts import Limit, Throttled, check_tries, forget_tries, record_try
from booking.staff.audit import device_of
from booking.staff.models import DeviceKind
from booking.townhall.models import Desk, Office, Service
from booking.web.device import device
from booking.web.guards import current_device
from booking.web.language import language
from booking.web.pages import now, today
from booking.web.towns import here, town

TRIES = 30  # within a quarter of an hour, of one kiosk
NUMBERS = 60  # the same, for people without an appointment: one every fifteen seconds
TOKEN = re.compile(r"\d+-\d+-[a-z2-7]{32}")


@device.get("/kiosk")
def kiosk() -> ResponseReturnValue:
    """Three choices, and the languages."""
    return render_template("device/kiosk.html", office=_office())


@device.get("/kiosk/appointment")
def ask_code() -> ResponseReturnValue:
    return render_template("device/code.html", office=_office(), problem=None)


@device.post("/kiosk/appointment")
def check_in() -> ResponseReturnValue:
    """Finds the appointment of today by its reference, its four digits or its QR code, and says that they are here."""
    shown, limits = request.form.get("code", "")[:300], [_limit("kiosk", TRIES)]
    tries = record_try(limits, now())
    begin_write()
    try:
        check_tries(limits, now())
    except Throttled:
        forget_tries(tries)
        db.session.commit()
        return _code_page(_("That was tried too often. Please go to the reception.")), 429
    appointment, problem = _found(shown)
    if appointment is None:
        db.session.commit()
        return _code_page(problem), 422
    forget_tries(tries)
    visit = appointment.visit
    if state_of(appointment) not in PRESENT:
        try:
            visit = take_step("arrive", appointment, Press(device_of(town().id), now()))
        except NotNow:
            db.session.rollback()
            return _code_page(_("You were here already today. Please go to the reception.")), 409
    address = url_for("device.number", id=visit.id if visit else 0)
    db.session.commit()
    return redirect(address, 303)


@device.get("/kiosk/walk-in")
def choose_desk() -> ResponseReturnValue:
    """Which department; straight on where the office has one."""
    asks = "question" in request.args
    desks = _office().desks
    if len(desks) == 1:
        return redirect(url_for("device.choose_service", desk_id=desks[0].id, question=1 if asks else None))
    return render_template("device/desks.html", office=_office(), desks=desks, asks=asks)


@device.get("/kiosk/walk-in/<int:desk_id>")
def choose_service(desk_id: int) -> ResponseReturnValue:
    """What for: what this desk does without an appointment, or only a question."""
    desk = _desk(desk_id)
    return _services_page(desk)


@device.post("/kiosk/walk-in/<int:desk_id>")
def take_number(desk_id: int) -> ResponseReturnValue:
    """A number for somebody without an appointment; not for one who presses again and again."""
    limits = [_limit("kiosk-number", NUMBERS)]
    tries = record_try(limits, now())
    begin_write()
    desk, key = _desk(desk_id), request.form.get("service", "")
    try:
        check_tries(limits, now())
    except Throttled:
        forget_tries(tries)
        db.session.commit()
        return _services_page(desk, _("Too many numbers were taken here. Please go to the reception.")), 429
    service = next((one for one in _services(desk) if one.key == key), None) if key else None
    if key and service is None:
        abort(404)
    visit = take_ticket(desk, service, 1, Press(device_of(town().id), now()))
    address = url_for("device.number", id=visit.id)
    db.session.commit()
    return redirect(address, 303)


@device.get("/kiosk/number/<int:id>")
def number(id: int) -> ResponseReturnValue:
    """The number, and how long it may take. Only today's, and only of this office."""
    visit = found_visit(town().id, id)
    if visit is None or visit.office_id != _office().id or visit.came_on != today():
        abort(404)
    desk = _desk(visit.desk_id)
    return render_template(
        "device/number.html", office=_office(), visit=visit, desk=desk, place=place_of(visit, now()), at=now()
    )


def _services_page(desk: Desk, problem: str | None = None) -> str:
    services = [] if "question" in request.args else _services(desk)
    return render_template("device/services.html", office=_office(), desk=desk, services=services, problem=problem)


def _code_page(problem: str) -> str:
    return render_template("device/code.html", office=_office(), problem=problem)


def _found(shown: str) -> tuple[Appointment | None, str]:
    """The appointment of today in this office behind what was typed or shown, or why there is none.

    When and where it is instead is said only for a QR code: a reference stands on papers that others see.
    """
    booking = _booking(shown)
    if booking is None:
        return None, _("We do not find an appointment with this code. Try again, or go to the reception.")
    to_come = [one for one in booking.appointments if one.is_booked]
    mine = [one for one in to_come if _day_of(one) == today() and one.counter.desk.office_id == _office().id]
    if mine:
        return next((one for one in mine if state_of(one) != VisitState.SERVED), mine[0]), ""
    if not TOKEN.search(shown):
        return None, _("You have no appointment here today. Please go to the reception.")
    other = next((one for one in to_come if one.starts_at > now()), None)
    if other is None:
        return None, _("This appointment is cancelled or over. Please go to the reception.")
    place = other.counter.desk.office.name(language())
    when = spoken.moment(other.starts_at, town().zone, language(), today())
    return None, _("Your appointment is on %(when)s, %(place)s.", when=when, place=place)


def _booking(shown: str) -> Booking | None:
    """By the secret link in a QR code, by the four digits of one of today's appointments, or by the reference."""
    token = TOKEN.search(shown)
    if token:
        claim = links.claim(_keys(), "booking", token.group())
        booking = db.session.get(Booking, claim.id) if claim else None
        is_valid = booking is not None and claim is not None and booking.generation == claim.generation
        return booking if is_valid and booking and booking.municipality_id == town().id else None
    digits = re.sub(r"\D", "", shown)
    if len(digits) == 4 and len(shown.strip()) == 4:
        mine = {one.id: one for one in _expected() if links.is_code(_keys(), digits, one.id, one.generation)}
        return next(iter(mine.values())) if len(mine) == 1 else None
    return booking_with(town().id, shown) if shown.strip() else None


def _expected() -> list[Booking]:
    """Those who have an appointment in this office today."""
    zone = ZoneInfo(town().zone)
    return [one.booking for desk in _office().desks for one in appointments_of(desk, today(), zone) if one.is_booked]


def _day_of(appointment: Appointment) -> date:
    return appointment.starts_at.astimezone(ZoneInfo(town().zone)).date()


def _office() -> Office:
    found: Office = here().offices[current_device(DeviceKind.KIOSK).office_id]
    return found


def _desk(id: int) -> Desk:
    return next((desk for desk in _office().desks if desk.id == id), None) or abort(404)


def _services(desk: Desk) -> list[Service]:
    return [one for one in here().services if one.desk_key == desk.key and one.walk_in != "no"]


def _limit(purpose: str, tries: int) -> Limit:
    device = current_device(DeviceKind.KIOSK)
    return Limit(links.pseudonym(_keys()[0], purpose, str(device.id)), tries)


def _keys() -> links.Keys:
    keys: links.Keys = current_app.extensions["balie"]["settings"].keys
    return keys
