"""Offices: where the town hall receives people, and how they get in."""

from __future__ import annotations

from typing import Any

from flask import abort, render_template
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
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
from booking.web.pages import MANY, now, paged
from booking.web.towns import here, town

LONGEST_WAY = 120  # minutes
ADDED = 3  # ways that are added at once, where there are many offices


class WaysField(Field):
    """The minutes to other offices, by their ids; nothing where no visit shall combine them.

    Each of the others has its field. Where there are many, only those with a way have one, and a few more are added by
    choosing them from a list.
    """

    def process(self, formdata: Any, data: Any = unset_value, extra_filters: Any = None) -> None:
        super().process(None, data, extra_filters)
        self.typed: dict[int, str] = {}
        self.added = [("", "")] * ADDED
        if formdata is not None:
            names = {id: f"{self.name}-{id}" for id in here().offices}
            self.typed = {id: formdata[name].strip() for id, name in names.items() if name in formdata}
            rows = [(f"{self.name}-add-{n}", f"{self.name}-add-{n}-minutes") for n in range(ADDED)]
            self.added = [(formdata.get(id, ""), formdata.get(minutes, "").strip()) for id, minutes in rows]

    def pre_validate(self, form: Any) -> None:
        for minutes in [*self.typed.values(), *(minutes for _id, minutes in self.added)]:
            if minutes and not (minutes.isascii() and minutes.isdigit() and int(minutes[:4]) <= LONGEST_WAY):
                raise ValidationError(_l("Ways: enter minutes from 0 to 120, or nothing."))
        if any(bool(id) != bool(minutes) for id, minutes in self.added):
            raise ValidationError(_l("Ways: choose an office and enter the minutes, or leave both empty."))

    def populate_obj(self, obj: object, name: str) -> None:
        """Nothing: ways are rows of their own, see keep()."""

    @staticmethod
    def others(office: Office) -> list[Office]:
        return [one for one in here().offices.values() if one.id != office.id]

    def rows(self, office: Office) -> list[tuple[Office, str]]:
        """The other offices that have a field, each with the minutes that are known or were typed."""
        known = {other: str(minutes) for (one, other), minutes in here().ways.items() if one == office.id}
        given, others = {**known, **self.typed}, self.others(office)
        return [(one, given.get(one.id, "")) for one in others if len(others) <= MANY or one.id in given]

    def adding(self, office: Office) -> list[tuple[Office | None, str]]:
        """The rows in which one more is chosen: what was chosen and typed there."""
        offices = {str(one.id): one for one in self.others(office)}
        return [(offices.get(id), minutes) for id, minutes in self.added] if len(offices) > MANY else []

    def keep(self, office: Office) -> None:
        """Writes down the ways from this office, of the offices that were sent. Flushes."""
        others = {one.id for one in self.others(office)}
        given = {**self.typed, **{int(id): minutes for id, minutes in self.added if id.isascii() and id.isdigit()}}
        for other_id in others & set(given):
            one_id, last_id = sorted((office.id, other_id))
            row = db.session.get(Way, (one_id, last_id)) or Way(one_id=one_id, other_id=last_id)
            if given[other_id]:
                row.minutes = int(given[other_id])
                db.session.add(row)
            elif row in db.session:
                db.session.delete(row)
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
    form.ways.keep(row)
    form.populate_obj(row)
    return saved(("office", id), "change_office", _("The office is saved."), back_to("offices_one", id=id))


def _office(id: int) -> Office:
    require_in(Role.MANAGER, id)
    return office_with(town(), id) or abort(404)


def _page(form: OfficeForm, row: Office | None) -> str:
    return render_template(
        "admin/office.html", form=form, office=row, may_remove=may(current_staff(), Role.MANAGER, None)
    )
