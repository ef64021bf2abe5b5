"""Offices: where the town hall receives people, and how they get in."""

from __future__ import annotations

from typing import Any

from flask import abort, render_template
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from sqlalchemy import select
from wtforms import Field, StringField, ValidationError
from wtforms.fields.choices import SelectChoice  # type: ignore[attr-defined]  # newer than its types
from wtforms.utils import unset_value

from booking.db import db
from booking.staff.models import Role
from booking.townhall.directory import ACCESS, office_with
from booking.townhall.models import Office, Way
from booking.web.admin import admin
from booking.web.admin.fields import ByLanguage, EmailField, SeveralField, WholeField, line
from booking.web.admin.frame import back_to, managed_offices, matching, saved
from booking.web.admin.town import dialled
from booking.web.forms import Form, stripped
from booking.web.guards import current_staff, may, require, require_in
from booking.web.pages import now, paged
from booking.web.towns import here, town

LONGEST_WAY = 120  # minutes


class WaysField(Field):
    """The minutes to each of the other offices, by its id; nothing where no visit shall combine them."""

    def process(self, formdata: Any, data: Any = unset_value, extra_filters: Any = None) -> None:
        super().process(None, data, extra_filters)
        self.typed = {id: formdata.get(f"{self.name}-{id}", "").strip() for id in here().offices} if formdata else None

    def pre_validate(self, form: Any) -> None:
        for minutes in (self.typed or {}).values():
            if minutes and not (minutes.isascii() and minutes.isdigit() and int(minutes[:4]) <= LONGEST_WAY):
                raise ValidationError(_l("Ways: enter minutes from 0 to 120, or nothing."))

    def populate_obj(self, obj: object, name: str) -> None:
        """Nothing: ways are rows of their own, see keep()."""

    def rows(self, office: Office) -> list[tuple[Office, str]]:
        """The other offices, each with the minutes that are known or were typed."""
        known = {other: str(minutes) for (one, other), minutes in here().ways.items() if one == office.id}
        given = known if self.typed is None else self.typed
        return [(one, given.get(one.id, "")) for one in here().offices.values() if one.id != office.id]

    def keep(self, office: Office) -> None:
        """Writes down the ways from this office. Flushes."""
        for old in db.session.scalars(select(Way).where((Way.one_id == office.id) | (Way.other_id == office.id))):
            db.session.delete(old)
        db.session.flush()
        for other_id, minutes in (self.typed or {}).items():
            if minutes and other_id != office.id:
                one_id, last_id = sorted((office.id, other_id))
                db.session.add(Way(one_id=one_id, other_id=last_id, minutes=int(minutes)))
        db.session.flush()


class OfficeForm(Form):
    """An office as citizens read about it."""

    names = ByLanguage(_l("Name"), 80)
    address = line(_l("Address"), _l("Enter the address, so that people find it."), 200)
    directions = ByLanguage(_l("How to get there and in"), 600, needs="none", rows=3)
    access = SeveralField(_l("Access"), choices=[SelectChoice(*one) for one in ACCESS.items()])
    phone = StringField(_l("Phone number of this office"), filters=[stripped])
    email = EmailField(_l("E-mail address of this office"))
    day_list_email = EmailField(_l("Mailbox for the list of the day"))
    walk_minutes = WholeField(_l("Minutes to walk from one of its desks to another"), 0, 60)
    ways = WaysField(_l("Minutes from here to the other offices"))
    position = WholeField(_l("Place in lists"), 1, 1000)

    def validate_phone(self, field: Field) -> None:
        field.data = dialled(field.data, town().country) if field.data else None

    def validate_email(self, field: Field) -> None:
        field.data = field.data or None

    def validate_day_list_email(self, field: Field) -> None:
        field.data = field.data or None


@admin.get("/offices")
def offices() -> ResponseReturnValue:
    """The offices that one manages with their desks, or those that answer a search (?q=)."""
    rows = managed_offices(current_staff()) or abort(404)
    found = matching(rows, lambda office: " ".join([office.address, *office.names.values()]))
    return render_template(
        "admin/offices.html",
        page=paged(found, 25),
        found=len(found),
        total=len(rows),
        may_add=may(current_staff(), Role.MANAGER, None),
    )


@admin.get("/offices/new")
def offices_new() -> ResponseReturnValue:
    require(Role.MANAGER, None)
    return _page(OfficeForm(position=len(town().offices) + 1, walk_minutes=5), None)


@admin.post("/offices/new")
def add_office() -> ResponseReturnValue:
    require(Role.MANAGER, None)
    form = OfficeForm()
    if not form.validate():
        return _page(form, None), 422
    row = Office(municipality_id=town().id, activity_at=now())
    form.populate_obj(row)
    db.session.add(row)
    db.session.flush()
    words = _("The office is there. Now give it a desk.")
    return saved(("office", row.id), "add_office", words, back_to("offices_one", id=row.id))


@admin.get("/offices/<int:id>")
def offices_one(id: int) -> ResponseReturnValue:
    """An office, and its desks below."""
    row = _office(id)
    return _page(OfficeForm(obj=row), row)


@admin.post("/offices/<int:id>")
def save_office(id: int) -> ResponseReturnValue:
    row = _office(id)
    form = OfficeForm(obj=row)
    if not form.validate():
        return _page(form, row), 422
    form.populate_obj(row)
    form.ways.keep(row)
    return saved(("office", id), "change_office", _("The office is saved."), back_to("offices_one", id=id))


def _office(id: int) -> Office:
    require_in(Role.MANAGER, id)
    return office_with(town(), id) or abort(404)


def _page(form: OfficeForm, row: Office | None) -> str:
    return render_template(
        "admin/office.html", form=form, office=row, may_remove=may(current_staff(), Role.MANAGER, None)
    )
