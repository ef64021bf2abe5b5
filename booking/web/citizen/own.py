"""A booking's own page behind its secret link: see it, move it, cancel it, put it into a calendar."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from flask import abort, current_app, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from booking import links
from booking.appointments.booking import (
    MovedOften,
    TooLate,
    cancel,
    cancellable_until,
    demand_of,
    is_cancellable,
    is_movable,
    is_to_come,
    movable_until,
    move,
    without,
)
from booking.appointments.models import Appointment, Booking
from booking.appointments.occupancy import SlotTaken
from booking.appointments.offers import Item, offer
from booking.appointments.queue import place_of
from booking.appointments.references import booking_with, plain
from booking.appointments.timelines import office_lines
from booking.calendars.citizen import add_links, citizen_calendar, own_feed_token
from booking.db import begin_write, db
from booking.delivery.wording import because_of_us
from booking.outbox.models import Kind
from booking.planning.impact import open_proposal
from booking.planning.models import Hit
from booking.privacy.forget import forgotten_on
from booking.staff.accounts import (
    LONGEST_WINDOW,
    Limit,
    Throttled,
    address_of,
    check_tries,
    forget_tries,
    record_try,
)
from booking.staff.audit import citizen_of
from booking.townhall.models import Office
from booking.web.citizen import citizen
from booking.web.citizen.book import chosen_slot, nearby
from booking.web.citizen.secret import own_address
from booking.web.citizen.several import Leg, legs_booked, who_for
from booking.web.citizen.times import free_times, one_of_many
from booking.web.forms import FindForm
from booking.web.language import language
from booking.web.pages import failure, now, outside
from booking.web.towns import here, load_town, seen_revisions, town


@citizen.get("/b/<token>")
def own(token: str) -> ResponseReturnValue:
    """When, where, what to bring, and what can still be changed."""
    booking = booking_of(token)
    find_url = outside(url_for("citizen.ask_find"))
    own_feed = outside(url_for("feeds.own", token=own_feed_token(_keys(), booking)))
    return render_template(
        "citizen/own.html",
        proposed=proposals(booking),
        ways_into_calendars={one.id: add_links(one, language(), find_url) for one in booking.appointments},
        own_feed=f"webcal://{own_feed.partition('://')[2]}",
        booking=booking,
        token=token,
        code=links.code(_keys()[0], booking.id, booking.generation),
        appointments=booking.appointments,
        visit=_visit(booking),
        places={one.id: place_of(one.visit, now()) for one in booking.appointments if one.visit},
        is_movable=is_movable,
        is_cancellable=is_cancellable,
        is_to_come=is_to_come,
        limits=_limits_of_change,
        who_for=who_for,
        because={one.id: because_of_us(Kind.CANCELLATION, one) for one in booking.appointments if not one.is_booked},
        erased_on=forgotten_on(booking, town()),
        is_new="booked" in request.args,
        did=request.args.get("did"),
    )


@dataclass(frozen=True)
class Visit:
    """The appointments of a booking that are still to stand, where there are several: one visit."""

    appointments: list[Appointment]

    @property
    def is_movable(self) -> bool:
        return all(is_movable(one, now()) for one in self.appointments)

    @property
    def is_cancellable(self) -> bool:
        return all(is_cancellable(one, now()) for one in self.appointments)

    @property
    def legs(self) -> list[Leg]:
        return legs_booked(self.appointments)

    @property
    def items(self) -> list[Item]:
        return [item for one in self.appointments for item in one.wanted]

    @property
    def offices(self) -> list[Office]:
        return list(dict.fromkeys(leg.desk.office for leg in self.legs))


def _limits_of_change(appointments: Sequence[Appointment]) -> tuple[datetime, datetime, datetime]:
    """When the first of them begins, and when not all of them can be moved, or cancelled, any more."""
    begins = min(one.starts_at for one in appointments)
    return begins, min(map(movable_until, appointments)), min(map(cancellable_until, appointments))


def proposals(booking: Booking) -> dict[int, Hit]:
    """By appointment the change of our hours that moved it, while the citizen has not answered."""
    found = ((one.id, open_proposal(one)) for one in booking.appointments if is_to_come(one, now()))
    return {id: hit for id, hit in found if hit is not None}


def _visit(booking: Booking) -> Visit | None:
    booked = [one for one in booking.appointments if one.is_booked]
    return Visit(booked) if len(booked) > 1 else None


@citizen.get("/b/<token>/appointment.ics")
def calendar(token: str) -> ResponseReturnValue:
    """The booking's appointments as a calendar file (RFC 5545)."""
    booking = booking_of(token)
    answer = make_response(citizen_calendar(booking.appointments, language(), outside(url_for("citizen.ask_find"))))
    answer.headers["Content-Type"] = "text/calendar; charset=utf-8"
    answer.headers["Content-Disposition"] = 'attachment; filename="appointment.ics"'
    return answer


@citizen.get("/b/<token>/<int:id>/move")
def choose_move(token: str, id: int) -> ResponseReturnValue:
    """The times to which the appointment can be moved."""
    return _move_page(token, _movable(token, id))


@citizen.post("/b/<token>/<int:id>/move")
def do_move(token: str, id: int) -> ResponseReturnValue:
    appointment = _movable(token, id)
    office, start = chosen_slot()
    try:
        move(appointment, office, start, citizen_of(town().id, open_proposal(appointment) is not None), now())
    except SlotTaken:
        db.session.rollback()
        load_town()
        appointment = _movable(token, id)
        return _move_page(token, appointment, taken=start), 409
    except MovedOften:
        return moved_often()
    except TooLate:
        return too_late_to_move([appointment], token)
    db.session.commit()
    return redirect(url_for("citizen.own", token=token, did="moved"), 303)


@citizen.get("/b/<token>/<int:id>/cancel")
def ask_cancel(token: str, id: int) -> ResponseReturnValue:
    """What is given up, and one button."""
    appointment = _appointment(token, id)
    if not is_cancellable(appointment, now()):
        return too_late_to_cancel([appointment], token)
    return render_template("citizen/cancel.html", appointment=appointment, token=token)


@citizen.post("/b/<token>/<int:id>/cancel")
def do_cancel(token: str, id: int) -> ResponseReturnValue:
    appointment = _appointment(token, id)
    try:
        cancel(appointment, citizen_of(town().id), now())
    except TooLate:
        return too_late_to_cancel([appointment], token)
    db.session.commit()
    return redirect(url_for("citizen.own", token=token, did="cancelled"), 303)


@citizen.get("/find")
def ask_find() -> ResponseReturnValue:
    """Open a booking with its reference and its four digits."""
    return _find_page(FindForm())


@citizen.post("/find")
def do_find() -> ResponseReturnValue:
    form = FindForm()
    if not form.validate():
        return _find_page(form), 422
    reference, code = form.reference.data or "", form.code.data or ""
    limits = _limits(reference)
    tries = record_try(limits, now())
    begin_write()
    try:
        check_tries(limits, now())
    except Throttled as error:
        forget_tries(tries)  # it was not looked at
        db.session.commit()
        return _find_page(form, error.until), 429
    booking = booking_with(town().id, reference)
    if booking is None or not links.is_code(_keys(), code, booking.id, booking.generation):
        form.form_errors.append(_("No appointment has this reference with these four digits. Check both."))
        return _find_page(form), 422
    forget_tries(tries)
    db.session.commit()
    return redirect(own_address(booking.id, booking.generation), 303)


def booking_of(token: str) -> Booking:
    """The booking behind a secret link; 410 for a link that was revoked, 404 for any other."""
    claim = links.claim(_keys(), "booking", token)
    booking = db.session.get(Booking, claim.id) if claim else None
    if claim is None or booking is None or booking.municipality_id != town().id:
        abort(404)
    if booking.generation != claim.generation:
        abort(404 if booking.forgotten_at else 410)
    return booking


def _movable(token: str, id: int) -> Appointment:
    """The appointment, if it may still be moved; else the page that says why not is the answer."""
    appointment = _appointment(token, id)
    has_first_choice = is_to_come(appointment, now()) and open_proposal(appointment) is not None
    if not (is_movable(appointment, now()) or has_first_choice):
        abort(make_response(too_late_to_move([appointment], token)))
    return appointment


def moved_often() -> ResponseReturnValue:
    """429: it was moved as often today as one may."""
    text = _("You still have your time. If it does not suit you, call us or come back tomorrow.")
    return failure(429, _("You have moved this appointment often enough today"), text)


def too_late_to_move(appointments: Sequence[Appointment], token: str) -> ResponseReturnValue:
    """409: until when they could be moved, and what to do now."""
    until = min((movable_until(one) for one in appointments), default=now())
    return _too_late_page(appointments, token, "move", until)


def too_late_to_cancel(appointments: Sequence[Appointment], token: str) -> ResponseReturnValue:
    """409: until when they could be cancelled, and what to do now."""
    until = min((cancellable_until(one) for one in appointments), default=now())
    return _too_late_page(appointments, token, "cancel", until)


def _too_late_page(
    appointments: Sequence[Appointment], token: str, wanted: str, until: datetime
) -> ResponseReturnValue:
    if not appointments or not all(is_to_come(one, now()) for one in appointments):
        text = _("It has begun, is over, or was cancelled already. Call us if something is not right.")
        return failure(409, _("This appointment can no longer be changed"), text)
    return render_template("citizen/too_late.html", wanted=wanted, until=until, token=token), 409


def _find_page(form: FindForm, wait_until: datetime | None = None) -> str:
    return render_template("citizen/find.html", form=form, wait_until=wait_until)


def _appointment(token: str, id: int) -> Appointment:
    found = next((one for one in booking_of(token).appointments if one.id == id), None)
    return found or abort(404)


def _move_page(token: str, appointment: Appointment, taken: datetime | None = None) -> str:
    demand = demand_of(appointment)
    at = appointment.counter.desk.office_id
    places = here().offices_for(demand.service)
    offices = one_of_many(places, at)
    known = seen_revisions()
    lines = [office_lines(office, now(), known[office.id]) for office in offices]
    if open_proposal(appointment) is not None:
        lines = [line.for_staff() for line in lines]  # whose time was taken away has the first choice
    offers = [offer(without(line, appointment), demand, now()) for line in lines]
    offers = [one.but_for(appointment.starts_at) if one.office_id == at else one for one in offers]
    return render_template(
        "citizen/move.html",
        appointment=appointment,
        first=appointment,
        places=places,
        token=token,
        times=free_times(offices, offers),
        offices=offices,
        taken=taken,
        nearest=nearby(demand, taken) if taken else [],
    )


def _limits(reference: str) -> list[Limit]:
    """Ten thousand codes must not be tried in weeks: a reference has 5 tries in a quarter of an hour, 20 in a week."""
    key, where = _keys()[0], address_of(request.remote_addr)
    about = links.pseudonym(key, "reference", f"{town().id}:{plain(reference)}")
    return [
        Limit(about, 5),
        Limit(links.pseudonym(key, "reference-week", about), 20, LONGEST_WINDOW),
        Limit(links.pseudonym(key, "find-from", f"{town().id}:{where}"), 50),
    ]


def _keys() -> links.Keys:
    keys: links.Keys = current_app.extensions["balie"]["settings"].keys
    return keys
