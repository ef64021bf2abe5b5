"""From a chosen time to a booking: hold it, ask for a name, confirm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from flask import abort, current_app, g, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from booking.appointments.booking import Citizen
from booking.appointments.crowd import TooManyPlaces
from booking.appointments.holds import (
    KeptLong,
    demand_held,
    extend,
    hold,
    look_again,
    visit_of,
)
from booking.appointments.limits import (
    AddressLimit,
    ContactLimit,
    Holder,
    HoldLimit,
    ProofLimit,
    contact_of,
    send_lists,
)
from booking.appointments.models import Booking, Channel, Hold
from booking.appointments.needs import binding, needs_in, with_needs, words_of
from booking.appointments.occupancy import SlotTaken
from booking.appointments.offers import Demand, Item, Nearby, nearest, offers
from booking.appointments.papers import answers_in, answers_kept
from booking.appointments.together import book_visit, hold_visit
from booking.appointments.writing import HoldChanged
from booking.db import begin_write, db
from booking.outbox.models import MessageChannel
from booking.privacy.forget import erasure_day
from booking.slots.clock import moment_of
from booking.staff.audit import citizen_of
from booking.townhall.models import Office
from booking.web.citizen import citizen, crowds, proof
from booking.web.citizen.asking import address, browser
from booking.web.citizen.find import service_page
from booking.web.citizen.secret import found_by, held_by, held_to_book, hold_token, own_address
from booking.web.citizen.several import asked_items, errands_for, legs_held, times_address, visit_page
from booking.web.citizen.times import answers_given
from booking.web.forms import DetailsForm
from booking.web.language import language
from booking.web.pages import failure, now
from booking.web.towns import here, load_town, seen_revisions, town

NEAREST = 6


@citizen.post("/hold")
def take() -> ResponseReturnValue:
    """Holds the chosen slot ("<office>.<tick>"), that of each desk of a visit, and goes on to the form.

    Where more people want a time than may choose one at once, it takes a place in the line instead.
    """
    items, office, start = chosen_items(), *chosen_slot()
    crowds.lock(service for service, _people in items)
    if crowds.closed_at(items, office):
        return wait(items)
    try:
        held = _hold(items, office, start, replace(_holder(), needs=_needs_before(), answers=_answers(items)))
    except SlotTaken:
        return taken_page(items, start)
    except HoldLimit as limit:
        return limit_page(items, start, limit)
    token = hold_token(held)
    crowds.leave(items, office)
    db.session.commit()
    crowds.look_again()
    session["hold"] = token
    return redirect(url_for("citizen.details", token=token), 303)


@citizen.post("/line")
def stand_in_line() -> ResponseReturnValue:
    """A place in the line for the times of these services, where there is one."""
    items = chosen_items()
    crowds.lock(service for service, _people in items)
    return wait(items)


def wait(items: Sequence[Item]) -> ResponseReturnValue:
    """A place at each desk that lets nobody in just now; commits, and goes back to the times."""
    try:
        crowds.stand(items)
    except TooManyPlaces:
        text = _("Try again in a few minutes, or call us.")
        return failure(429, _("Very many people on your network are waiting already"), text)
    db.session.commit()
    crowds.look_again()
    return redirect(f"{times_address(items)}#when", 303)


@citizen.get("/hold/<token>")
def details(token: str) -> ResponseReturnValue:
    held = held_by(token)
    if held.booking_id is not None:
        is_ours = session.get("hold") == token  # the link to a hold is not the link to a booking
        booking = db.session.get_one(Booking, held.booking_id)
        return redirect(own_address(booking.id, booking.generation) if is_ours else url_for("citizen.ask_find"))
    return _details_page(held, DetailsForm(data=_typed_before()))


@citizen.post("/hold/<token>")
def confirm(token: str) -> ResponseReturnValue:
    """Turns the hold into a booking. A second click finds the booking that the first one made."""
    form = DetailsForm()
    is_valid, person = form.validate(), _person(form)
    held = held_to_book(token, person.contacts if is_valid else ())
    if held.booking_id is None and not is_valid:
        return _details_page(held, form), 422
    items, start = items_held(held), held.starts_at
    g.answers = answers_in(held.answers)  # for the page with other times
    try:
        fitting = _fitting(held, needs_in(person.needs))
    except (SlotTaken, HoldLimit):
        _keep_typed(form)
        return _times_page(_afresh(items), start, limit="needs"), 409
    if proof.is_given(held, form.altcha.data):
        for one in visit_of(fitting):
            one.is_proven = True
    try:
        booking = book_visit(fitting, person, Channel.WEB, citizen_of(town().id), now())
    except SlotTaken:
        _keep_typed(form)
        return taken_page(items, start)
    except HoldChanged:
        db.session.rollback()
        load_town()
        return confirm(token)
    except (ContactLimit, AddressLimit, ProofLimit) as limit:
        return _too_many(token, form, person, limit)
    if fitting is not held:
        held.booking_id = booking.id  # so that a second click finds it
    is_anothers = booking.made_at != now() and session.get("hold") != token  # as in details()
    made = booking.id, booking.generation
    db.session.commit()
    session.pop("typed", None)
    return redirect(url_for("citizen.ask_find") if is_anothers else own_address(*made, has_booked=True), 303)


@citizen.post("/hold/<token>/extend")
def more_time(token: str) -> ResponseReturnValue:
    """The citizen needs longer; what was typed so far is kept."""
    held = held_by(token)
    _keep_typed(DetailsForm())
    items, start = items_held(held), held.starts_at
    g.answers = answers_in(held.answers)
    if held.booking_id is None:
        try:
            extend(held, now())
        except SlotTaken:
            return taken_page(items, start)
        except KeptLong:
            return _times_page(_afresh(items), start, limit="long"), 409
        db.session.commit()
    return redirect(url_for("citizen.details", token=token, _anchor="hold"), 303)


def _fitting(held: Hold, needs: frozenset[str]) -> Hold:
    """The hold, or where the needs make it longer or lead to another office, one like it for the same time.

    Raises SlotTaken, HoldLimit.
    """
    if held.booking_id is not None or binding(needs) == needs_in(held.needs):
        return held
    token, office_id = hold_token(held), held.counter.desk.office_id
    holder = replace(_holder(), gives_back=held, needs=binding(needs), answers=held.answers)
    fitting = _hold(items_held(held), here().offices[office_id], held.starts_at, holder)
    if not _became_a_booking(held):
        return fitting
    db.session.rollback()
    load_town()
    return held_by(token)


def _became_a_booking(held: Hold) -> bool:
    """Whether a first click was faster."""
    look_again(held)
    return held.booking_id is not None


def taken_page(items: Sequence[Item], start: datetime) -> tuple[str, int]:
    """409: somebody was faster. Nothing typed is lost, and the nearest free times are on the page."""
    return _times_page(_afresh(items), start, taken=start), 409


def limit_page(items: Sequence[Item], start: datetime, limit: HoldLimit) -> tuple[str, int]:
    """429: the limit of holds is reached; what to do, and other times. It says no more than that."""
    return _times_page(_afresh(items), start, limit=limit.of), 429


def _times_page(items: Sequence[Item], start: datetime, taken: datetime | None = None, limit: str | None = None) -> str:
    needs = _needs_before()
    if len(items) == 1:
        demand = with_needs(Demand(*items[0]), needs, town())
        return service_page(demand, taken, limit, nearby(demand, start))
    return visit_page(items, taken, limit, nearby_visits(items, start, needs), needs)


def _afresh(items: Sequence[Item]) -> list[Item]:
    """The same services after the transaction was given up."""
    keys = [(service.key, people) for service, people in items]
    db.session.rollback()
    load_town()
    return [(here().service(key) or abort(404), people) for key, people in keys]


def _too_many(token: str, form: DetailsForm, person: Citizen, limit: Exception) -> tuple[str, int]:
    """429: the contact has all it may have, or very much was booked from this address, or without proof.

    What a contact has goes to the contact, not to whoever typed it here.
    """
    db.session.rollback()
    load_town()
    words = _("Very many appointments were made from your connection today. Tell us how to reach you, or call us.")
    if isinstance(limit, ProofLimit):
        words = _(
            "Without scripts only a few appointments a day can be booked from one connection, and these are booked"
            " already. Switch on scripts in your browser and try again, or call us."
        )
    if isinstance(limit, ContactLimit):
        begin_write()
        send_lists(town(), person.contacts, now())
        db.session.commit()
        words = _(
            "This e-mail address or phone number has as many appointments as one may have. We have sent the list of"
            " them there: cancel one that you do not need, or use another contact."
        )
    form.form_errors.append(words)
    return _details_page(held_by(token), form), 429


def nearby(demand: Demand, start: datetime) -> list[tuple[Office, datetime]]:
    """The free times nearest to `start`, over all offices, earliest first."""
    offices = {office.id: office for office in crowds.open_offices(demand.service)}
    found: list[Nearby] = nearest(offers(list(offices.values()), demand, now(), seen_revisions()), start, NEAREST)
    return [(offices[office_id], at) for at, office_id in found]


def nearby_visits(items: Sequence[Item], start: datetime, needs: frozenset[str]) -> list[tuple[Office, datetime]]:
    """The free times nearest to `start` for all these services in one visit, earliest first."""
    return [(here().offices[id], at) for at, id in nearest(errands_for(items, needs).offers(), start, NEAREST)]


def items_held(held: Hold) -> list[Item]:
    """All services that the hold is for, over all desks of its visit."""
    return [item for one in visit_of(held) for item in demand_held(one).items]


def _hold(items: Sequence[Item], office: Office, start: datetime, holder: Holder) -> Hold:
    """Raises SlotTaken, HoldLimit."""
    if len(items) == 1:
        return hold(office, with_needs(Demand(*items[0]), holder.needs, town()), start, now(), holder)
    errands = errands_for(items, holder.needs)
    if len(errands.demands) == 1:
        return hold(office, errands.demands[0], start, now(), holder)
    return hold_visit(errands, office.id, start, holder)


def chosen_items() -> list[Item]:
    """The services and people that the form names; 404 if there is no such service."""
    if "items" in request.form:
        return asked_items(request.form["items"].split()) or abort(400)
    service = here().service(request.form.get("service", "")) or abort(404)
    people = request.form.get("people", "1")
    if not (_is_number(people) and 1 <= int(people) <= service.max_people):
        abort(400)
    return [(service, int(people))]


def chosen_slot() -> tuple[Office, datetime]:
    """The office and start behind the button that was pressed; 404 if they are not ours."""
    office_id, _, tick = request.form.get("slot", "").partition(".")
    if not (_is_number(office_id) and _is_number(tick)):
        abort(400)
    office = here().offices.get(int(office_id)) or abort(404)
    return office, moment_of(int(tick))


def _holder() -> Holder:
    """Who holds, with the hold that this browser has: one a browser, so that another time gives the first one back."""
    return Holder(browser(), address(), gives_back=found_by(session.get("hold", "")), seen=seen_revisions())


def _answers(items: Sequence[Item]) -> str | None:
    """What is kept of the answers to the questions of the one service that is chosen."""
    return answers_kept(items[0][0], answers_given(), language()) if len(items) == 1 else None


def _times_again(items: Sequence[Item], held: Hold) -> str:
    """Where another time is chosen for the same, with the same answers."""
    answers = answers_in(held.answers)
    if not answers:
        return times_address(items)
    return url_for("citizen.service", key=items[0][0].key, people=items[0][1], a=answers)


def _person(form: DetailsForm) -> Citizen:
    keys = current_app.extensions["balie"]["settings"].keys
    typed = ((MessageChannel.EMAIL, form.email.data), (MessageChannel.SMS, form.phone.data))
    contacts = tuple(contact_of(keys, channel, contact) for channel, contact in typed if contact)
    needs = words_of(form.needs.data or ())
    return Citizen(form.name.data or "", language(), form.email.data, form.phone.data, contacts, needs)


def _keep_typed(form: DetailsForm) -> None:
    """Keeps what was typed in this browser, for as long as a hold lasts: the next person there must not see it."""
    ends_at = now() + timedelta(minutes=town().hold_minutes)
    session["typed"] = {"until": ends_at.timestamp(), "data": form.typed}


def _typed_before() -> dict[str, Any] | None:
    """What was typed for an appointment that this browser has not got yet, if that is not long ago."""
    kept = session.get("typed")
    if kept is None or kept["until"] <= now().timestamp():
        session.pop("typed", None)
        return None
    data: dict[str, Any] = kept["data"]
    return data


def _needs_before() -> frozenset[str]:
    """What was asked for in a form whose time did not fit it: the next time should."""
    before = _typed_before() or {}
    return binding(needs_in(" ".join(before.get("needs", ()))))


def _details_page(held: Hold, form: DetailsForm) -> str:
    holds = {one: demand_held(one) for one in visit_of(held)}
    items = [item for demand in holds.values() for item in demand.items]
    last, demand = list(holds.items())[-1]
    return render_template(
        "citizen/details.html",
        form=form,
        held=held,
        items=items,
        legs=legs_held(holds),
        other_times=_times_again(items, held),
        office=held.counter.desk.office,
        seconds_left=int((held.expires_at - now()).total_seconds()),
        erased_on=erasure_day(last.starts_at + demand.length, town()),
        token=hold_token(held),
        challenge=proof.challenge(held),
    )


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 9
