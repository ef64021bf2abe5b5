"""Closures: a day or some hours, of an office or some counters; public holidays as the calendar proposes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from flask import abort, render_template, request
from flask.typing import ResponseReturnValue
from flask_babel import force_locale, ngettext
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from wtforms import DateField, Field, SelectField, TimeField, ValidationError
from wtforms.fields.choices import SelectChoice  # type: ignore[attr-defined]  # newer than its types
from wtforms.validators import DataRequired, Optional

from booking.spoken import locale_of
from booking.staff.models import Role
from booking.townhall.calendar import closure_with, closures_to_come, public_holidays, whole_days
from booking.townhall.models import Closure, Office
from booking.townhall.plans import Closing, Reopening, Stretch
from booking.web.admin import admin
from booking.web.admin.changes import decide, managed_counters, managed_desks
from booking.web.admin.fields import ByLanguage, SeveralField
from booking.web.forms import Form
from booking.web.guards import current_staff, may, require
from booking.web.language import language
from booking.web.pages import MANY, now, paged, today
from booking.web.towns import here, town

REASONS = {
    "training": _l("Staff training"),
    "election": _l("Elections"),
    "holiday": _l("Public holiday"),
    "bridge": _l("Closing day"),
    "staff": _l("Not enough staff"),
    "works": _l("Works in the building"),
}
LONGEST = timedelta(days=366)


class ClosureForm(Form):
    """What is closed, from when to when, and why."""

    offices = SeveralField(_l("Whole offices"), coerce=int)
    counters = SeveralField(_l("Or single counters"), coerce=int)
    first_on = DateField(_l("First day"), validators=[DataRequired(_l("Choose the first day."))])
    last_on = DateField(_l("Last day; nothing for one day"), validators=[Optional()])
    from_at = TimeField(_l("From; nothing for the whole day"), validators=[Optional()])
    to_at = TimeField(_l("To"), validators=[Optional()])
    reason = SelectField(_l("Reason"), choices=[SelectChoice(*one) for one in REASONS.items()])
    words = ByLanguage(_l("Or in your own words, which citizens may read"), 120, needs="none")

    def __init__(self, **options: object) -> None:
        super().__init__(**options)
        spoken = language()
        self.offices.choices = [(one.id, one.name(spoken)) for one in _whole_offices()]
        self.counters.choices = [(id, "") for id in managed_counters(current_staff())]

    def validate_offices(self, field: Field) -> None:
        if not field.data and not self.counters.data:
            raise ValidationError(_l("Tick an office, or single counters."))

    def validate_first_on(self, field: Field) -> None:
        if field.data < today():
            raise ValidationError(_l("The past stays as it was: choose today or a later day."))

    def validate_last_on(self, field: Field) -> None:
        first = self.first_on.data
        if field.data and first and not first <= field.data <= first + LONGEST:
            raise ValidationError(_l("Choose a last day that is not before the first, within a year."))

    def validate_from_at(self, _field: Field) -> None:
        if self.to_at.data is None:
            raise ValidationError(_l("Enter both times, or none for the whole day."))

    def validate_to_at(self, field: Field) -> None:
        if self.from_at.data is None:
            raise ValidationError(_l("Enter both times, or none for the whole day."))
        if field.data <= self.from_at.data:
            raise ValidationError(_l("Enter an end that is after the beginning."))

    def plan(self, zone: ZoneInfo) -> Closing:
        """The closing as typed; with times, a stretch for each of the days. The form is valid."""
        first: date = self.first_on.data or today()
        last: date = self.last_on.data or first
        offices, counters = self.offices.data or [], self.counters.data or []
        days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
        begins, ends = self.from_at.data, self.to_at.data
        stretches = [whole_days(first, last, zone, self._reasons())]
        if begins and ends:
            hours = [(datetime.combine(day, begins, zone), datetime.combine(day, ends, zone)) for day in days]
            stretches = [Stretch(*one, self._reasons()) for one in hours]
        covered = {id for id, counter in here().counters.items() if counter.desk.office_id in offices}
        return Closing(tuple(stretches), tuple(offices), tuple(id for id in counters if id not in covered))

    def _reasons(self) -> Mapping[str, str]:
        typed = {code: text for code, text in (self.words.data or {}).items() if text}
        return typed or said_everywhere(self.reason.data)


def said_everywhere(reason: str) -> dict[str, str]:
    """One of our own reasons in every language of the municipality."""
    found = {}
    for code in town().languages:
        with force_locale(locale_of(code)):
            found[code] = str(REASONS[reason])
    return found


@admin.get("/closures")
def closures() -> ResponseReturnValue:
    """What is closed from now on: when and why, and where."""
    mine = managed_counters(current_staff())
    whole = {office.id for office in _whole_offices()}
    rows = closures_to_come(town(), now())
    own = {one.id for one in rows if _is_mine(one, whole, mine)}
    groups: dict[tuple[Any, ...], list[Closure]] = {}
    for one in rows:
        words = one.reasons.get(language()) or one.reasons.get(town().language, "")
        groups.setdefault((one.starts_at, one.ends_at, words), []).append(one)
    page = paged(list(groups.items()), 30)
    return render_template(
        "admin/closures.html", page=page, own=own, standing=here(), tomorrow=today() + timedelta(days=1)
    )


@admin.get("/closures/new")
def closures_new() -> ResponseReturnValue:
    """The form; the day and the office may stand in the address (?on=, ?office=)."""
    whole, asked = [office.id for office in _whole_offices()], request.args.get("office")
    offices = [id for id in whole if str(id) == asked] or (whole if len(whole) == 1 else [])
    return _page(ClosureForm(data={"first_on": _asked_day(), "offices": offices, "counters": []}))


@admin.post("/closures/new")
def close() -> ResponseReturnValue:
    form = ClosureForm()
    if not form.validate():
        return _page(form), 422
    return decide(form.plan(ZoneInfo(town().zone)), _("The closure stands."))


@admin.post("/closures/<int:id>/reopen")
def reopen(id: int) -> ResponseReturnValue:
    """Takes a closure back; it can be undone like any other change."""
    row = closure_with(town(), id) or abort(404)
    whole = {office.id for office in _whole_offices()}
    if not _is_mine(row, whole, managed_counters(current_staff())):
        abort(404)
    return decide(Reopening((id,)), _("It is open again."))


@admin.get("/closures/holidays")
def closures_holidays() -> ResponseReturnValue:
    """The public holidays of the coming fourteen months; those on which an office is still open can be accepted."""
    require(Role.MANAGER, None)
    return render_template("admin/holidays.html", holidays=public_holidays(town(), today()), offices=here().offices)


@admin.post("/closures/holidays")
def close_on_holidays() -> ResponseReturnValue:
    """Closes the offices on the days that are ticked."""
    require(Role.MANAGER, None)
    zone, wanted = ZoneInfo(town().zone), set(request.form.getlist("day"))
    days = [one for one in public_holidays(town(), today()) if one.on.isoformat() in wanted and one.open_offices]
    stretches = tuple(whole_days(one.on, one.on, zone, one.names) for one in days)
    if not stretches:
        return render_template(
            "admin/holidays.html", holidays=public_holidays(town(), today()), offices=here().offices
        ), 422
    words = ngettext("Closed on %(num)s public holiday.", "Closed on %(num)s public holidays.", len(stretches))
    return decide(Closing(stretches, tuple(here().offices)), words)


def _whole_offices() -> Sequence[Office]:
    """The offices of which the member of staff manages every desk."""
    account, offices = current_staff(), list(here().offices.values())
    if may(account, Role.MANAGER, None):
        return offices
    managed = {desk.id for desk in managed_desks(account)}
    return [office for office in offices if office.desks and all(desk.id in managed for desk in office.desks)]


def _is_mine(closure: Closure, whole: set[int], counters: Mapping[int, object]) -> bool:
    return closure.counter_id in counters if closure.counter_id else closure.office_id in whole


def _asked_day() -> date:
    try:
        return date.fromisoformat(request.args.get("on", ""))
    except ValueError:
        return today()


def _page(form: ClosureForm) -> str:
    """The form; where there are many offices, with the counters of the one that is asked for (?office=) or ticked."""
    desks, counters = managed_desks(current_staff()), here().counters
    marked = {counters[id].desk_id for id in form.counters.data or () if id in counters}
    places = list({desk.office_id: desk.office for desk in desks}.values())
    wanted = request.args.get("office") or next((str(id) for id in form.offices.data or ()), "")
    asked = next((one for one in places if str(one.id) == wanted), None)
    if len(places) > MANY:
        desks = [one for one in desks if one.office is asked or one.id in marked]
    return render_template("admin/closure.html", form=form, desks=desks, places=places, asked=asked)
