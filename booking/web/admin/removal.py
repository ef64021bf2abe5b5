"""Taking out an office, a desk, a counter or a service: said before, confirmed by typing its name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import abort, render_template
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from wtforms import StringField

from booking.db import db
from booking.staff.models import Role
from booking.townhall.directory import counter_with, desk_with, office_with, service_by_id
from booking.townhall.models import Counter, Desk, Municipality, Office, Service
from booking.townhall.removal import Needed, remove
from booking.townhall.revisions import raise_town
from booking.web.admin import admin
from booking.web.admin.frame import back_to, saved
from booking.web.forms import stripped
from booking.web.guards import require
from booking.web.language import language
from booking.web.pages import failure, now
from booking.web.towns import town

Thing = Office | Desk | Counter | Service
KINDS: dict[str, Callable[[Municipality, int], Thing | None]] = {
    "office": office_with,
    "desk": desk_with,
    "counter": counter_with,
    "service": service_by_id,
}


class RemovalForm(FlaskForm):  # type: ignore[misc]
    typed = StringField(_l("Type the name to confirm"), filters=[stripped])


@admin.get("/remove/<kind>/<int:id>")
def ask_removal(kind: str, id: int) -> ResponseReturnValue:
    """What goes away, and the field in which its name is typed."""
    return _page(RemovalForm(), kind, _thing(kind, id))


@admin.post("/remove/<kind>/<int:id>")
def do_removal(kind: str, id: int) -> ResponseReturnValue:
    thing = _thing(kind, id)
    form = RemovalForm()
    if not form.validate() or (form.typed.data or "").casefold() != _name(thing).casefold():
        form.typed.errors = [_("Type exactly: %(name)s", name=_name(thing))]
        return _page(form, kind, thing), 422
    back = _above(thing)
    raise_town(db.session.get_one(Municipality, town().id), now())
    try:
        remove(thing)
    except Needed:
        db.session.rollback()
        text = _(
            "Appointments, desks, counters or calendars still belong to it."
            " Give it no hours instead: then nobody can book it."
        )
        return failure(409, _("It cannot be removed"), text)
    return saved((kind, id), f"remove_{kind}", _("It is removed."), back)


def _thing(kind: str, id: int) -> Thing:
    require(Role.MANAGER, None)
    find = KINDS.get(kind) or abort(404)
    return find(town(), id) or abort(404)


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


def _page(form: Any, kind: str, thing: Thing) -> str:
    return render_template("admin/remove.html", form=form, kind=kind, thing=thing, name=_name(thing))
