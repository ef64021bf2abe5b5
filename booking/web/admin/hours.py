"""Opening hours: the week of each counter, and new hours for one or many from a day to a day."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from flask import abort, render_template, request
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_babel import ngettext
from wtforms import DateField, Field, SelectField, ValidationError
from wtforms.fields.choices import SelectChoice  # type: ignore[attr-defined]  # newer than its types
from wtforms.utils import unset_value
from wtforms.validators import DataRequired, Optional

from booking.spoken import weekday as name_of_day
from booking.townhall.calendar import hours_from
from booking.townhall.models import Counter, Desk, Office
from booking.townhall.plans import NewHours
from booking.townhall.week import Unreadable, stretches_of, written
from booking.web.admin import admin
from booking.web.admin.changes import decide, managed_counters, managed_desks
from booking.web.forms import Form
from booking.web.guards import current_staff
from booking.web.language import language
from booking.web.pages import today
from booking.web.towns import here

FARTHEST = timedelta(days=3 * 366)


class WeekField(Field):
    """The hours of seven days as people write them, Monday first; an empty day is closed."""

    def process(self, formdata: Any, data: Any = unset_value, extra_filters: Any = None) -> None:
        super().process(None, data, extra_filters)
        self.texts = [written(day) for day in self.data] if self.data else [""] * 7
        self.wrong: list[int] = []
        if formdata is not None:
            self.texts = [formdata.get(f"{self.name}-{day}", "").strip()[:200] for day in range(7)]
            self.data = [self._read(day) for day in range(7)]

    def _read(self, day: int) -> list[tuple[int, int]]:
        try:
            return stretches_of(self.texts[day])
        except Unreadable:
            self.wrong.append(day)
            return []

    def pre_validate(self, form: Any) -> None:
        if self.wrong:
            days = ", ".join(name_of_day(day, language()) for day in self.wrong)
            raise ValidationError(_("Write hours like 9-12, 13:30-16, in steps of five minutes: %(days)s.", days=days))

    @property
    def stretches(self) -> tuple[tuple[int, int, int], ...]:
        return tuple((day, opens, closes) for day, found in enumerate(self.data) for opens, closes in found)


class HoursForm(Form):
    """From when to when which hours hold."""

    week = WeekField(_l("Hours"))
    from_on = DateField(_l("From this day on"), validators=[DataRequired(_l("Choose the first day."))])
    until_on = DateField(_l("Until this day, included; nothing is for good"), validators=[Optional()])
    every_weeks = SelectField(
        _l("How often"),
        coerce=int,
        choices=[
            SelectChoice(1, _l("every week")),
            SelectChoice(2, _l("every second week, beginning with the first")),
            SelectChoice(3, _l("every third week")),
            SelectChoice(4, _l("every fourth week")),
        ],
    )

    def validate_from_on(self, field: Field) -> None:
        if field.data < today():
            raise ValidationError(_l("The past stays as it was: choose today or a later day."))
        if field.data > today() + FARTHEST:
            raise ValidationError(_l("Choose a day within the next three years."))

    def validate_until_on(self, field: Field) -> None:
        if field.data and self.from_on.data and not self.from_on.data <= field.data <= today() + FARTHEST:
            raise ValidationError(_l("Choose a last day that is not before the first."))


@admin.get("/hours")
def hours() -> ResponseReturnValue:
    """The week of each counter of an office (?office=), to choose those that get new hours."""
    desks = managed_desks(current_staff())
    offices = _offices(desks)
    asked = request.args.get("office")
    chosen = next((one for one in offices if str(one.id) == asked), offices[0] if offices else None)
    shown = [desk for desk in desks if chosen is not None and desk.office_id == chosen.id]
    ids = [counter.id for desk in shown for counter in desk.counters]
    return render_template(
        "admin/hours.html",
        offices=offices,
        chosen=chosen,
        desks=shown,
        hours=hours_from(ids, today()),
    )


@admin.get("/hours/new")
def hours_new() -> ResponseReturnValue:
    """The form for the counters of the address (?counter=), with the hours of the first of them."""
    counters = _counters(request.args.getlist("counter"))
    tomorrow = today() + timedelta(days=1)
    first = counters[0].id
    week = hours_from([first], tomorrow)[first].week
    return _page(HoursForm(data={"week": week, "from_on": tomorrow, "every_weeks": 1}), counters)


@admin.post("/hours/new")
def set_hours() -> ResponseReturnValue:
    counters = _counters(request.form.getlist("counter"))
    form = HoursForm()
    if not form.validate():
        return _page(form, counters), 422
    plan = NewHours(
        tuple(counter.id for counter in counters),
        form.week.stretches,
        form.from_on.data or today(),
        form.until_on.data,
        form.every_weeks.data,
    )
    words = ngettext("The new hours hold at %(num)s counter.", "The new hours hold at %(num)s counters.", len(counters))
    return decide(plan, words)


def _offices(desks: Sequence[Desk]) -> Sequence[Office]:
    ids = {desk.office_id for desk in desks}
    return [office for office in here().offices.values() if office.id in ids]


def _counters(texts: Sequence[str]) -> list[Counter]:
    """Those that are named; 404 for one that is not there or not to manage."""
    known = managed_counters(current_staff())
    ids = {int(text) for text in texts if text.isascii() and text.isdigit() and len(text) < 16}
    if not ids or not ids <= set(known):
        abort(404)
    return [known[id] for id in sorted(ids)]


def _page(form: HoursForm, counters: Sequence[Counter]) -> str:
    days = [name_of_day(day, language()) for day in range(7)]
    return render_template("admin/hours_new.html", form=form, counters=counters, days=days)
