"""The agenda of a day, and the steps of a visit."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from hashlib import sha256
from typing import Any

from flask import abort, current_app, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from markupsafe import Markup

from booking import links
from booking.appointments.agenda import Agenda, next_open_day
from booking.appointments.agenda import agenda as agenda_of
from booking.appointments.models import Appointment
from booking.appointments.visits import Subject
from booking.appointments.week import week as week_of
from booking.delivery.calls import count_of_calls
from booking.outbox.queue import messages_about
from booking.slots.clock import tick_of
from booking.staff.audit import member, trace_once
from booking.staff.models import Role, Staff
from booking.townhall.models import Desk
from booking.web.guards import current_staff, may, require
from booking.web.language import language
from booking.web.pages import MANY as MANY_PLACES
from booking.web.pages import failure, now, options, today
from booking.web.staff import door, staff
from booking.web.staff.cancel import shown_cancellation
from booking.web.staff.visits import opening, own_counter
from booking.web.towns import here, seen_activity, seen_revisions, town

VIEWS = ("day", "list")
MANY = 100  # tables of a day that are kept


@staff.get("/")
def start() -> ResponseReturnValue:
    """Goes to the agenda of a desk (?desk=, and ?day=), or today's of the first that the member of staff works at."""
    desks = own_desks(current_staff())
    if not desks:
        return failure(403, _("No desk yet"), _("Your account has no desk. Ask an administrator for one."))
    chosen = next((desk for desk in desks if str(desk.id) == request.args.get("desk")), desks[0])
    asked: dict[str, Any] = {name: request.args[name] for name in ("day", "view") if name in request.args}
    return redirect(url_for("staff.agenda", desk_id=chosen.id, **asked))


@staff.get("/agenda/<int:desk_id>")
@staff.get("/agenda/<int:desk_id>/<day>")
def agenda(desk_id: int, day: str | None = None) -> ResponseReturnValue:
    """A desk's day: a column a counter, or as a list (?view=list); one visit may be open beside it (?open=).

    A page that is open asks again and again with its ETag, and costs little while nothing changed.
    """
    desk, on = _desk(desk_id), _day(day)
    view = next((one for one in VIEWS if one == request.args.get("view")), "day")
    mine = own_counter(desk)
    key = (*_shown_by(desk, on), language(), town().id)
    etag = sha256(repr((key, current_staff().id, request.full_path, mine and mine.id)).encode()).hexdigest()[:24]
    if request.if_none_match.contains(etag):
        return "", 304
    body = _body(desk, on, view, key)
    words = {"desk": desk, "on": on, "view": view, "desks": own_desks(current_staff()), "today": today()}
    words["services"] = [one for one in here().services if one.desk_key == desk.key]
    words |= {"before": on - timedelta(days=1), "after": on + timedelta(days=1), "mine": mine, "etag": etag}
    words |= {"beat": _beat(desk.office_id), "leads": may(current_staff(), Role.LEAD, desk.id)}
    words["desk_options"] = _desk_options(desk)
    answer = make_response(render_template("staff/agenda.html", **body, **words))
    answer.set_etag(etag)
    return answer


@staff.get("/week/<int:desk_id>/<day>")
def week(desk_id: int, day: str) -> ResponseReturnValue:
    """The week of this day: how much is booked and free, counter by counter; each day leads to its agenda."""
    desk, on = _desk(desk_id), _day(day)
    words = {"before": on - timedelta(days=7), "after": on + timedelta(days=7), "today": today()}
    return render_template("staff/week.html", desk=desk, days=week_of(desk, on, now()), **words)


@door.get("/pulse/<int:office_id>")
def pulse(office_id: int) -> ResponseReturnValue:
    """Whether anything changed in an office, and nothing else: what an open agenda asks again and again, without its
    cookie and so without looking at anybody's account. It fetches the page itself when the answer is another one."""
    office = here().offices.get(office_id) or abort(404)
    beat = _beat(office.id)
    if request.if_none_match.contains(beat):
        return "", 304
    answer = make_response("", 204)
    answer.set_etag(beat)
    return answer


def _beat(office_id: int) -> str:
    """The same as long as nothing changed, for five minutes; it tells nobody how much changed."""
    numbers = seen_activity(office_id), seen_revisions()[office_id], here().revision, tick_of(now())
    return links.pseudonym(current_app.extensions["balie"]["settings"].keys[0], "pulse", repr((office_id, *numbers)))


def _shown_by(desk: Desk, on: date) -> tuple[object, ...]:
    """What a desk's day derives from: the numbers of its office, the town, and five minutes of the clock."""
    numbers = seen_activity(desk.office_id), seen_revisions()[desk.office_id], here().revision
    return (*numbers, desk.id, on, tick_of(now()))


def _body(desk: Desk, on: date, view: str, key: tuple[object, ...]) -> dict[str, Any]:
    """What the day holds; the plain table is made once for all who look at it."""
    kept = _kept_bodies()
    is_plain = view == "day" and "open" not in request.args
    if is_plain and key in kept:
        return kept[key]
    made = agenda_of(desk, on, now())
    opened = _opened(made)
    words = {"agenda": made, "desk": desk, "on": on, "view": view, "opened": opened}
    words["to_call"] = count_of_calls([desk.id], now())
    words["next_open"] = None if made.rows else next_open_day(desk, on, now())
    parts = {name: render_template(f"staff/{name}.html", **words) for name in ("count", "queue", "day")}
    body: dict[str, Any] = {name: Markup(part) for name, part in parts.items()}  # noqa: S704
    body["at_counter"] = {one.counter_id: one.id for one in made.line.underway} if made.line else {}
    body["waits"] = bool(made.line and made.line.places)
    body["is_today"] = made.line is not None
    if is_plain:
        kept[key] = {**body, "opened": None, "told": [], "cancelled": None}
    if opened is not None:
        _note_reading(opened)
    told = messages_about(opened.id) if isinstance(opened, Appointment) else []
    return {**body, "opened": opened, "told": told, "cancelled": shown_cancellation(opened)}


def _kept_bodies() -> dict[tuple[object, ...], dict[str, Any]]:
    """The tables that this process has made in these five minutes, by all that they derive from.

    They show names, so none is kept for longer; the line that says how late it is moves then, too.
    """
    kept: tuple[int, dict[tuple[object, ...], dict[str, Any]]] | None = current_app.extensions["balie"].get("agendas")
    tick = tick_of(now())
    if kept is None or kept[0] != tick or len(kept[1]) >= MANY:
        kept = tick, {}
        current_app.extensions["balie"]["agendas"] = kept
    return kept[1]


def _opened(made: Agenda) -> Subject | None:
    """The visit or appointment that ?open= names, if it belongs to this day."""
    wanted = request.args.get("open", "")
    visits = made.line.visits if made.line else ()
    subjects: list[Subject] = [*made.appointments, *visits]
    return next((one for one in subjects if opening(one) == wanted), None)


def _note_reading(opened: Subject) -> None:
    """Who reads a citizen's contact is written down."""
    appointment = opened if isinstance(opened, Appointment) else opened.appointment
    if appointment is not None and (appointment.booking.email or appointment.booking.phone):
        trace_once(member(current_staff()), "read_contact", ("booking", appointment.booking_id), now())


def _desk_options(chosen: Desk) -> Markup:
    """One's own desks as options of a list to choose from, where they are many."""
    desks, said = own_desks(current_staff()), language()
    rows = ((one.id, f"{one.office.name(said)}: {one.name(said)}", one.id == chosen.id) for one in desks)
    return options(rows) if len(desks) > MANY_PLACES else Markup()


def own_desks(account: Staff) -> Sequence[Desk]:
    """The desks at which the member of staff may at least be a clerk."""
    if may(account, Role.CLERK, None):
        return here().desks
    return [desk for desk in here().desks if may(account, Role.CLERK, desk.id)]


def _desk(id: int) -> Desk:
    desk = next((desk for desk in here().desks if desk.id == id), None) or abort(404)
    require(Role.CLERK, desk.id)
    return desk


def _day(given: str | None) -> date:
    """The day in the address (or in ?day=, from the date field); today where none is given, 404 for nonsense."""
    text = given or request.args.get("day")
    try:
        on = date.fromisoformat(text) if text else today()
    except ValueError:
        abort(404)
    if not 2000 <= on.year <= 2200:
        abort(404)
    return on
