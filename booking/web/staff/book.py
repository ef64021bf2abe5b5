"""Booking for somebody on the phone or at the counter: name the service, take the first free time, type a name."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import islice
from zoneinfo import ZoneInfo

from flask import abort, current_app, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_babel import force_locale
from flask_babel import gettext as _

from booking import links, spoken
from booking.appointments.agenda import found
from booking.appointments.booking import Citizen, book
from booking.appointments.holds import hold, hold_of
from booking.appointments.limits import Holder, contact_of
from booking.appointments.models import Appointment, Booking, Channel, Hold
from booking.appointments.needs import binding, needs_in, with_needs, words_of
from booking.appointments.occupancy import SlotTaken
from booking.appointments.offers import Demand, Offer, staff_offer
from booking.appointments.quota import is_beyond_quota
from booking.appointments.timelines import office_lines
from booking.appointments.writing import HoldChanged
from booking.db import db
from booking.outbox.models import MessageChannel
from booking.slots.clock import moment_of, tick_of
from booking.slots.timeline import ticks_in
from booking.staff.audit import member, trace_once
from booking.staff.models import Role
from booking.townhall.models import Office, Service
from booking.townhall.search import ranking
from booking.web.forms import StaffDetailsForm
from booking.web.guards import current_staff, may, require
from booking.web.language import language
from booking.web.pages import now
from booking.web.staff import staff
from booking.web.staff.agenda import own_desks
from booking.web.towns import here, load_town, seen_revisions, town

SHOWN, OTHERS = 24, 6  # times, and services that the words may mean too


@staff.get("/book")
def book_for() -> ResponseReturnValue:
    """One line to name the service (?q=, or ?service=); then what to say, and the free times from ?from= on."""
    said, key = request.args.get("q", "").strip()[:200], request.args.get("service", "")
    answers = _services_like(said) if said else []
    chosen = here().service(key) or abort(404) if key else next(iter(answers), None)
    return _choose_page(chosen, [one for one in answers if one is not chosen][:OTHERS], said)


@staff.post("/hold")
def take_time() -> ResponseReturnValue:
    """Holds the time that was chosen ("<office>.<tick>"), for the clerk's form."""
    service = here().service(request.form.get("service", "")) or abort(404)
    demand = Demand(service, _people(service, request.form.get("people", "")))
    office_id, _point, tick = request.form.get("slot", "").partition(".")
    if not (office_id.isdecimal() and tick.isdecimal() and len(tick) < 9):
        abort(400)
    office = next((one for one in _own_offices(service) if one.id == int(office_id)), None) or abort(404)
    start = moment_of(int(tick))
    holder = Holder(gives_back=_last_hold(), is_staff=True, exceeds_quota=_exceeds_quota())
    try:
        held = hold(office, demand, start, now(), holder)
    except SlotTaken:
        db.session.rollback()
        load_town()
        return _choose_page(here().service(service.key), [], "", taken=start, around=start), 409
    id = held.id
    db.session.commit()
    session["staff_hold"] = id
    return redirect(url_for("staff.details", id=id), 303)


@staff.get("/hold/<int:id>")
def details(id: int) -> ResponseReturnValue:
    """Who comes, and how they may be reached."""
    held = _held(id)
    if held.booking_id is not None:
        return redirect(url_for("staff.booked", id=_appointment_of(held).id))
    return _details_page(held, StaffDetailsForm(data={"language": town().language, "channel": _last_channel()}))


@staff.post("/hold/<int:id>")
def confirm(id: int) -> ResponseReturnValue:
    """Books the time. A second click finds what the first one made."""
    held, form = _held(id), StaffDetailsForm()
    if held.booking_id is None and not form.validate():
        return _details_page(held, form), 422
    service, start = held.service, held.starts_at
    channel = Channel(form.channel.data) if form.channel.data in ("phone", "counter") else Channel.PHONE
    person = _person(form)
    try:
        held = _fitting(held, needs_in(person.needs))
        book(held, person, channel, member(current_staff()), now())
    except HoldChanged:
        db.session.rollback()
        load_town()
        return confirm(id)
    except SlotTaken:
        db.session.rollback()
        load_town()
        return _choose_page(here().service(service.key), [], "", taken=start, around=start), 409
    appointment = _appointment_of(held)
    appointment.is_beyond_quota = is_beyond_quota(appointment, now())
    address = url_for("staff.booked", id=appointment.id)
    db.session.commit()
    session["channel"] = channel.value
    return redirect(address, 303)


@staff.get("/booked/<int:id>")
def booked(id: int) -> ResponseReturnValue:
    """What to read back: when, where, reference and code letter by letter; a slip or a letter to print.

    Who reads a code is written down: with it and the reference one opens the booking.
    """
    appointment = found(town().id, id) or abort(404)
    require(Role.CLERK, appointment.counter.desk_id)
    booking = appointment.booking
    if booking.reference is None:
        abort(404)
    trace_once(member(current_staff()), "read_code", ("booking", booking.id), now())
    keys = current_app.extensions["balie"]["settings"].keys
    return render_template(
        "staff/booked.html",
        one=appointment,
        said_in=booking.language,
        code=links.code(keys[0], booking.id, booking.generation),
        spelled=[ALPHABET.get(letter, letter) for letter in booking.reference],
        said=_paper_words(appointment),
        zone=ZoneInfo(town().zone),
        is_letter="letter" in request.args,
    )


def _paper_words(appointment: Appointment) -> dict[str, str]:
    """What stands on the slip, in the language of the one who gets it."""
    said_in = appointment.booking.language
    with force_locale(spoken.locale_of(said_in)):
        return {
            "when": spoken.moment(appointment.starts_at, town().zone, said_in),
            "reference": _("Reference"),
            "code": _("Code"),
            "bring": _("Bring with you"),
            "change": _("To change or cancel, call:"),
        }


# How a letter is read out on the phone: its word in the international alphabet begins with it.
WORDS = (
    "Alfa Bravo Charlie Delta Echo Foxtrot Golf Hotel Juliett Kilo Lima Mike November Papa Quebec Romeo Sierra Tango"
    " Uniform Victor Whiskey Xray Yankee Zulu"
)
ALPHABET = {word[0]: word for word in WORDS.split()}


def _choose_page(
    service: Service | None,
    others: Sequence[Service],
    said: str,
    taken: datetime | None = None,
    around: datetime | None = None,
) -> str:
    if service is None:
        return render_template("staff/book.html", service=None, others=(), said=said, taken=None)
    demand = Demand(service, _people(service, request.values.get("people", "1")))
    offices = _own_offices(service)
    times = _times(offices, demand, around)
    return render_template(
        "staff/book.html",
        service=service,
        demand=demand,
        others=others,
        said=said,
        times=times,
        taken=taken,
        offices=offices,
        text=service.text(language()),
    )


def _times(offices: Sequence[Office], demand: Demand, around: datetime | None) -> list[tuple[Office, datetime, bool]]:
    """The first free times from what was asked for on, each with whether it is beyond the public quota."""
    asked = request.args.get("from", type=int)
    first = tick_of(around) if around else max(asked or 0, tick_of(now()))
    by_id = {office.id: office for office in offices}
    found: list[tuple[datetime, int, bool]] = []
    for office in offices:
        lines = office_lines(office, now(), seen_revisions()[office.id])
        public = staff_offer(lines, demand, now())
        offered = staff_offer(lines.beyond_quota(), demand, now()) if _exceeds_quota() else public
        found += [(at, office.id, not public.has(at)) for at in _from(offered, first)]
    return [(by_id[id], at, is_beyond) for at, id, is_beyond in sorted(found)[:SHOWN]]


def _from(offered: Offer, first: int) -> list[datetime]:
    bit = max(first - offered.base, 0)
    return [moment_of(tick) for tick in islice(ticks_in(offered.mask >> bit, offered.base + bit), SHOWN)]


def _services_like(said: str) -> list[Service]:
    """What the words may mean, of what is done at one's own desks; best first."""
    by_id = {one.id: one for one in here().services if _own_offices(one)}
    return [by_id[id] for id in ranking(here().index, said) if id in by_id]


def _own_offices(service: Service) -> list[Office]:
    """The offices in which the clerk's own desks do the service."""
    mine = {(desk.office_id, desk.key) for desk in own_desks(current_staff())}
    return [office for office in here().offices_for(service) if (office.id, service.desk_key) in mine]


def _fitting(held: Hold, needs: frozenset[str]) -> Hold:
    """The hold, or one like it for the same time where the needs make it longer. Raises SlotTaken."""
    if held.booking_id is not None or binding(needs) == needs_in(held.needs):
        return held
    demand = with_needs(Demand(held.service, held.people), needs, town())
    holder = Holder(gives_back=held, is_staff=True, exceeds_quota=_exceeds_quota(), needs=binding(needs))
    return hold(held.counter.desk.office, demand, held.starts_at, now(), holder)


def _exceeds_quota() -> bool:
    """Whether they may take what is kept back for walk-ins: leads may."""
    return any(may(current_staff(), Role.LEAD, desk.id) for desk in here().desks)


def _people(service: Service, given: str) -> int:
    return min(max(int(given) if given.isdecimal() and len(given) < 4 else 1, 1), service.max_people)


def _held(id: int) -> Hold:
    """The hold of this browser; 404 for any other."""
    held = hold_of(id, here()) if session.get("staff_hold") == id else None
    return held or abort(404)


def _last_hold() -> Hold | None:
    """Choosing another time gives the first one back."""
    id = session.get("staff_hold")
    held = hold_of(id, here()) if id else None
    return held if held and held.booking_id is None else None


def _last_channel() -> str:
    """Who sits at the phone books by phone the next time, too."""
    return str(session.get("channel", "phone"))


def _appointment_of(held: Hold) -> Appointment:
    return db.session.get_one(Booking, held.booking_id).appointments[0]


def _person(form: StaffDetailsForm) -> Citizen:
    keys = current_app.extensions["balie"]["settings"].keys
    typed = ((MessageChannel.EMAIL, form.email.data), (MessageChannel.SMS, form.phone.data))
    contacts = tuple(contact_of(keys, channel, contact) for channel, contact in typed if contact)
    needs = words_of(form.needs.data or ())
    return Citizen(form.name.data or "", form.language.data or "", form.email.data, form.phone.data, contacts, needs)


def _details_page(held: Hold, form: StaffDetailsForm) -> str:
    return render_template(
        "staff/details.html",
        form=form,
        held=held,
        demand=Demand(held.service, held.people),
        text=held.service.text(language()),
        office=held.counter.desk.office,
    )
