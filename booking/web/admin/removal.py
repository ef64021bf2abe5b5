"""Taking out an office, a desk, a counter or a service: said before, confirmed by typing its name."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from flask import abort, render_template
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import ngettext

from booking.db import db
from booking.staff.models import Role
from booking.townhall.directory import counter_with, desk_with, office_with, service_by_id
from booking.townhall.models import Counter, Desk, Municipality, Office, Service
from booking.townhall.removal import Needed, belongings, remove
from booking.townhall.revisions import raise_town
from booking.web.admin import admin
from booking.web.admin.frame import back_to, saved, section_of
from booking.web.guards import require, require_in
from booking.web.language import language
from booking.web.pages import now
from booking.web.towns import town
from booking.web.typed import TypedForm, not_typed

Thing = Office | Desk | Counter | Service
KINDS: dict[str, Callable[[Municipality, int], Thing | None]] = {
    "office": office_with,
    "desk": desk_with,
    "counter": counter_with,
    "service": service_by_id,
}


@admin.get("/remove/<kind>/<int:id>")
def ask_removal(kind: str, id: int) -> ResponseReturnValue:
    """What goes away, and the field in which its name is typed."""
    thing = _thing(kind, id)
    return _page(TypedForm(_name(thing)), thing)


@admin.post("/remove/<kind>/<int:id>")
def do_removal(kind: str, id: int) -> ResponseReturnValue:
    thing = _thing(kind, id)
    if refused := not_typed(_name(thing)):
        return _page(refused, thing), 422
    back = _above(thing)
    raise_town(db.session.get_one(Municipality, town().id), now())
    try:
        remove(thing)
    except Needed:
        db.session.rollback()
        thing = _thing(kind, id)
        return _page(TypedForm(_name(thing)), thing), 409
    return saved((kind, id), f"remove_{kind}", _("It is removed."), back)


def _thing(kind: str, id: int) -> Thing:
    find = KINDS.get(kind) or abort(404)
    thing = find(town(), id) or abort(404)
    match thing:
        case Desk():
            require_in(Role.MANAGER, thing.office_id)
        case Counter():
            require_in(Role.MANAGER, thing.desk.office_id)
        case _:
            require(Role.MANAGER, None)
    return thing


def _name(thing: Thing) -> str:
    match thing:
        case Counter():
            name: str = _("Counter %(number)s", number=thing.number)
            return name
        case Service():
            return thing.text(language()).name
        case _:
            return thing.name(language())


def _above(thing: Thing) -> str:
    """Where to go when it is gone."""
    match thing:
        case Counter():
            return back_to("offices_desk", id=thing.desk_id)
        case Desk():
            return back_to("offices_one", id=thing.office_id)
        case Service():
            return back_to("services")
        case _:
            return back_to("offices")


def _said(name: str, count: int) -> str | None:
    """So many of these, in words; None for what nobody needs to hear of."""
    words = {
        "desk": ngettext("%(num)s desk", "%(num)s desks", count),
        "counter": ngettext("%(num)s counter", "%(num)s counters", count),
        "appointment": ngettext("%(num)s appointment", "%(num)s appointments", count),
        "appointment_service": ngettext("%(num)s appointment", "%(num)s appointments", count),
        "visit": ngettext("%(num)s visit", "%(num)s visits", count),
        "hold": ngettext("%(num)s time that somebody is booking", "%(num)s times that somebody is booking", count),
        "feed": ngettext(
            "%(num)s calendar: programs that follow it lose it",
            "%(num)s calendars: programs that follow them lose them",
            count,
        ),
        "closure": ngettext("%(num)s closure", "%(num)s closures", count),
        "staff_role": ngettext("%(num)s role of staff at it", "%(num)s roles of staff at it", count),
        "device": ngettext("%(num)s kiosk or screen", "%(num)s kiosks and screens", count),
    }
    return words.get(name)


def _ways_on(thing: Thing, keeping: set[str]) -> Iterator[tuple[str, str]]:
    """What can be done first, or instead: in words, each with its page."""
    if isinstance(thing, Desk) and "counter" in keeping:
        yield _("Remove its counters first"), back_to("offices_desk", id=thing.id)
    if isinstance(thing, Office) and "desk" in keeping:
        yield _("Remove its desks first"), back_to("offices_one", id=thing.id)
    if isinstance(thing, Service):
        yield _("Take it from the counters instead: then nobody can book it"), back_to("offices")
    elif keeping - {"counter", "desk"}:
        office_id = {Office: "id", Desk: "office_id"}.get(type(thing))
        place = getattr(thing, office_id) if office_id else thing.desk.office_id  # type: ignore[union-attr]
        yield _("Give it no hours instead: then nobody can book it"), back_to("hours", office=place)


def _page(form: TypedForm, thing: Thing) -> str:
    found = belongings(thing)
    keeping = {one.name for one in found if one.keeps_it}
    said = [(one, words) for one in found if (words := _said(one.name, one.count))]
    return render_template(
        "admin/remove.html",
        form=form,
        name=_name(thing),
        back=_above(thing),
        section=section_of("services" if isinstance(thing, Service) else "offices"),
        is_kept=bool(keeping),
        keeping=list(dict.fromkeys(words for one, words in said if one.keeps_it)),
        going=[words for one, words in said if not one.keeps_it],
        ways=list(_ways_on(thing, keeping)),
    )
