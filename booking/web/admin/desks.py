"""Desks and their counters: names, the grid of starts, and who does what."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import time
from typing import Any

from flask import abort, render_template, request
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_babel import ngettext
from sqlalchemy import insert, select
from wtforms import Field, SelectField, StringField, ValidationError
from wtforms.fields.choices import SelectChoice  # type: ignore[attr-defined]  # newer than its types
from wtforms.utils import unset_value
from wtforms.validators import DataRequired

from booking.db import db
from booking.staff.models import Role
from booking.townhall.directory import desk_with, office_with, services
from booking.townhall.doing import doing, set_doing
from booking.townhall.models import Counter, CounterService, Desk, Municipality, Office, Service
from booking.townhall.revisions import raise_town
from booking.web.admin import admin
from booking.web.admin.fields import ByLanguage, EmailField, WholeField
from booking.web.admin.frame import back_to, saved
from booking.web.forms import Form, stripped
from booking.web.guards import require_in
from booking.web.pages import now
from booking.web.towns import here, town

STEPS = (5, 10, 15, 20, 30, 60)
MOST_WAVES = 4
BUFFERS = (0, 5, 10, 15, 20, 30)


class Waves(Field):
    """When which part of the hours is released to citizens: percent, days ahead, time of the day; a row each."""

    def process(self, formdata: Any, data: Any = unset_value, extra_filters: Any = None) -> None:
        super().process(None, data, extra_filters)
        self.is_wrong = False
        if formdata is not None:
            rows = (self._typed(formdata, row) for row in range(MOST_WAVES))
            self.data = [row for row in rows if row]

    @property
    def rows(self) -> list[dict[str, Any]]:
        return [*(self.data or []), *({} for _row in range(MOST_WAVES - len(self.data or [])))]

    def _typed(self, formdata: Any, row: int) -> dict[str, Any] | None:
        percent, days, at = (
            formdata.get(f"{self.name}-{row}-{name}", "").strip() for name in ("percent", "days", "at")
        )
        if not percent:
            return None
        try:
            clock = time.fromisoformat(at or "00:00")
            found = {"percent": int(percent), "days": int(days or "0"), "at": clock.hour * 60 + clock.minute}
        except ValueError:
            found = {"percent": 0, "days": 0, "at": 0}
        self.is_wrong = self.is_wrong or not (1 <= found["percent"] <= 100 and 0 <= found["days"] <= 400)
        return found

    def pre_validate(self, form: Any) -> None:
        if self.is_wrong or sum(row["percent"] for row in self.data or []) > 100:
            raise ValidationError(
                _("Release: enter percents that are 100 at most together, days from 0 to 400 and a time like 08:00.")
            )


class DeskForm(Form):
    """A department's front in an office."""

    names = ByLanguage(_l("Name"), 80)
    key = StringField(_l("Short name in the catalogue"), filters=[stripped])
    email = EmailField(
        _l("E-mail address for answers"), validators=[DataRequired(_l("Enter the address to which citizens answer."))]
    )
    step_minutes = SelectField(
        _l("Appointments start every"), coerce=int, choices=[SelectChoice(n, f"{n} min") for n in STEPS]
    )
    buffer_minutes = SelectField(
        _l("Kept free after each appointment"), coerce=int, choices=[SelectChoice(n, f"{n} min") for n in BUFFERS]
    )
    releases = Waves(_l("Release of times online"))
    crowd_size = WholeField(_l("Citizens who choose a time online at once"), 0, 10_000, default=0)
    position = WholeField(_l("Place in lists"), 1, 1000)

    def validate_key(self, field: Field) -> None:
        field.data = (field.data or "").lower()
        if not re.fullmatch(r"[a-z0-9_-]{1,40}", field.data):
            raise ValidationError(_l("Enter a short name of small letters and digits, like civil or building."))


@admin.get("/offices/<int:office_id>/desks/new")
def offices_new_desk(office_id: int) -> ResponseReturnValue:
    office = _office(office_id)
    return render_template("admin/desk.html", form=DeskForm(position=len(office.desks) + 1), desk=None, office=office)


@admin.post("/offices/<int:office_id>/desks/new")
def add_desk(office_id: int) -> ResponseReturnValue:
    """Adds the desk with one counter."""
    office = _office(office_id)
    form = DeskForm()
    if _is_taken(form, office_id, None) or not form.validate():
        return render_template("admin/desk.html", form=form, desk=None, office=office), 422
    row = Desk(office_id=office_id, counters=[Counter(number=_next_number())])
    form.populate_obj(row)
    db.session.add(row)
    db.session.flush()
    words = _("The desk is there, with one counter. Now say what its counters do.")
    return saved(("desk", row.id), "add_desk", words, back_to("offices_desk", id=row.id))


@admin.get("/desks/<int:id>")
def offices_desk(id: int) -> ResponseReturnValue:
    """A desk, its counters, and the way to who does what."""
    desk = next((one for one in here().desks if one.id == id), None) or abort(404)
    require_in(Role.MANAGER, desk.office_id)
    return _page(DeskForm(obj=desk), desk)


@admin.post("/desks/<int:id>")
def save_desk(id: int) -> ResponseReturnValue:
    row = _desk(id)
    form = DeskForm(obj=row)
    if _is_taken(form, row.office_id, id) or not form.validate():
        return _page(form, row), 422
    form.populate_obj(row)
    return saved(("desk", id), "change_desk", _("The desk is saved."), back_to("offices_desk", id=id))


@admin.post("/desks/<int:id>/counters")
def add_counters(id: int) -> ResponseReturnValue:
    """Adds so many counters, which do what the counters of the desk do together."""
    row = _desk(id)
    text = request.form.get("count", "1")
    count = int(text) if text.isascii() and text.isdigit() and 1 <= int(text[:4]) <= 50 else abort(400)
    raise_town(db.session.get_one(Municipality, town().id), now())
    does = db.session.scalars(
        select(CounterService.service_id).join(Counter).where(Counter.desk_id == id).distinct()
    ).all()
    first = _next_number()
    made = [Counter(desk_id=id, number=first + n) for n in range(count)]
    db.session.add_all(made)
    db.session.flush()
    rows = [{"counter_id": counter.id, "service_id": service_id} for counter in made for service_id in does]
    if rows:
        db.session.execute(insert(CounterService), rows)
    words = ngettext(
        "%(num)s counter is added. It has no hours yet.", "%(num)s counters are added. They have no hours yet.", count
    )
    return saved(("desk", row.id), "add_counters", words, back_to("offices_desk", id=id))


@admin.get("/desks/<int:id>/services")
def offices_doing(id: int) -> ResponseReturnValue:
    """Who does what: a row for each service of the desk, a column for each of its counters."""
    desk = _desk(id)
    return render_template("admin/doing.html", desk=desk, services=_rows(desk), doing=doing(desk))


@admin.post("/desks/<int:id>/services")
def save_doing(id: int) -> ResponseReturnValue:
    """Sets who does what, as ticked; appointments that are booked stay where they are."""
    desk = _desk(id)
    raise_town(db.session.get_one(Municipality, town().id), now())
    wanted = [pair for text in request.form.getlist("doing") if (pair := _pair(text))]
    set_doing([counter.id for counter in desk.counters], [service.id for service in _rows(desk)], wanted)
    return saved(("desk", id), "change_doing", _("Who does what is saved."), back_to("offices_desk", id=id))


def _pair(text: str) -> tuple[int, int] | None:
    """ "12.34": the ids of a counter and a service."""
    found = re.fullmatch(r"(\d{1,15})\.(\d{1,15})", text, re.ASCII)
    return (int(found[1]), int(found[2])) if found else None


def _rows(desk: Desk) -> Sequence[Service]:
    """The services of the department, and others that its counters do."""
    also = {service_id for _counter, service_id in doing(desk)}
    return [one for one in services(town()) if one.desk_key == desk.key or one.id in also]


def _next_number() -> int:
    """Counters are numbered through the whole municipality, so that a display can call them."""
    return max((counter.number for counter in here().counters.values()), default=0) + 1


def _is_taken(form: DeskForm, office_id: int, id: int | None) -> bool:
    """Whether another desk of the office has this short name; then the form says so."""
    wanted = (form.key.data or "").lower()
    other = db.session.scalar(
        select(Desk.id).where(Desk.office_id == office_id, Desk.key == wanted, Desk.id != (id or 0))
    )
    if other is None:
        return False
    form.validate()
    form.key.errors = [_("Another desk of this office has this short name. Choose another one.")]
    return True


def _office(id: int) -> Office:
    require_in(Role.MANAGER, id)
    return office_with(town(), id) or abort(404)


def _desk(id: int) -> Desk:
    desk = desk_with(town(), id) or abort(404)
    require_in(Role.MANAGER, desk.office_id)
    return desk


def _page(form: DeskForm, desk: Desk) -> str:
    return render_template("admin/desk.html", form=form, desk=desk, office=desk.office)
