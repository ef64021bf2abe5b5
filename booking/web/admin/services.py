"""Services: what citizens come for, in every language of the municipality, with a preview of their page."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from flask import abort, g, render_template, request
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_babel import ngettext, refresh
from sqlalchemy import select
from wtforms import BooleanField, Field, SelectField, StringField, ValidationError
from wtforms.fields.choices import SelectChoice  # type: ignore[attr-defined]  # newer than its types
from wtforms.widgets import TextInput

from booking.appointments.offers import Demand
from booking.db import db
from booking.staff.models import Role
from booking.townhall.catalogue import NAME_LENGTH, circle_of
from booking.townhall.directory import service_by_id
from booking.townhall.models import Counter, CounterService, Desk, Municipality, Office, Service, ServiceText
from booking.townhall.revisions import raise_town
from booking.web.admin import admin
from booking.web.admin.fields import ByLanguage, WholeField, lines_of
from booking.web.admin.frame import back_to, matching, saved
from booking.web.admin.reminders import Reminders
from booking.web.citizen.find import service_page
from booking.web.forms import Form, stripped
from booking.web.guards import require
from booking.web.language import language
from booking.web.pages import now, paged
from booking.web.towns import here, town

NAMED = 3  # offices in a line of the list
PLAIN, LISTS = ("name", "summary", "who"), ("bring", "words")
COLUMNS = (
    *("key", "desk_key", "minutes", "extra_person_minutes", "max_people", "in_person", "walk_in", "online"),
    *("is_sensitive", "fee", "min_notice_hours", "max_days_ahead"),
    *("move_hours", "cancel_hours", "combines", "comes_after"),
)
YES_NO = (SelectChoice("yes", _l("Yes")), SelectChoice("no", _l("No")))


class KeysField(Field):
    """Short names in one line, with spaces between."""

    widget = TextInput()

    def _value(self) -> str:
        return " ".join(self.data or [])

    def process_formdata(self, valuelist: list[str]) -> None:
        self.data = " ".join(valuelist).replace(",", " ").split()


class ServiceForm(Form):
    """A service: what citizens read, and what decides its times."""

    name = ByLanguage(_l("Name"), NAME_LENGTH, needs="every")
    summary = ByLanguage(_l("What it is, in a sentence or two"), 600, needs="every", rows=3)
    who = ByLanguage(_l("Who must come"), 600, needs="every", rows=3)
    bring = ByLanguage(_l("What to bring, one thing a line"), 2000, needs="none", rows=6)
    words = ByLanguage(_l("What people type when they look for it, one a line"), 2000, needs="none", rows=5)
    key = StringField(_l("Short name"), filters=[stripped])
    desk_key = SelectField(_l("Department"), validate_choice=True)
    minutes = WholeField(_l("Minutes for one person"), 5, 480)
    extra_person_minutes = WholeField(_l("More minutes for each further person"), 0, 240)
    max_people = WholeField(_l("People at most in one appointment"), 1, 20)
    in_person = SelectField(_l("Must one come in person?"), choices=YES_NO)
    walk_in = SelectField(
        _l("Possible without an appointment?"),
        choices=[YES_NO[1], SelectChoice("sometimes", _l("Sometimes")), YES_NO[0]],
    )
    online = SelectField(_l("Possible online?"), choices=[YES_NO[1], SelectChoice("partly", _l("Partly")), YES_NO[0]])
    is_sensitive = BooleanField(_l("Sensitive: never name it in text messages, subjects and calendars"))
    fee = StringField(_l("Fee in euros; nothing where the council sets it"), filters=[stripped])
    min_notice_hours = WholeField(_l("Hours of notice at least"), 0, 10_000)
    max_days_ahead = WholeField(_l("Days ahead at most"), 1, 400)
    has_own_reminders = BooleanField(_l("This service has reminders of its own"))
    reminders = Reminders(_l("Reminders"))
    move_hours = WholeField(_l("Hours before it begins from which citizens cannot move it any more"), 0, 1000)
    cancel_hours = WholeField(_l("Hours before it begins from which citizens cannot cancel it any more"), 0, 1000)
    combines = StringField(_l("Word that it shares with services of the same appointment"), filters=[stripped])
    comes_after = KeysField(_l("Services or departments that come first in one visit, by their short names"))

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        names = {desk.key: desk.names.get(town().language, desk.key) for desk in here().desks}
        self.desk_key.choices = [SelectChoice(key, name) for key, name in names.items()]

    def validate_key(self, field: Field) -> None:
        if not re.fullmatch(r"[a-z0-9_-]{1,60}", field.data or ""):
            raise ValidationError(
                _l("Enter a short name of small letters, digits and underscores, like passport_adult.")
            )

    def validate_minutes(self, field: Field) -> None:
        if (field.data or 0) % 5:
            raise ValidationError(_l("Minutes: enter a multiple of five."))

    validate_extra_person_minutes = validate_minutes

    def validate_combines(self, field: Field) -> None:
        if len(field.data or "") > 40:
            raise ValidationError(_l("Enter a word of at most 40 characters, or nothing."))
        field.data = field.data or None

    def validate_comes_after(self, field: Field) -> None:
        key = self.key.data or ""
        desks = {one.key: one.desk_key for one in here().services} | {key: self.desk_key.data}
        unknown = [one for one in field.data if one not in desks and one not in desks.values()]
        if unknown:
            raise ValidationError(_("There is no service or department with this short name: %(key)s.", key=unknown[0]))
        after = {one.key: one.comes_after for one in here().services} | {key: field.data}
        if circle_of(desks, after):
            raise ValidationError(_l("Take one out: these services would have to come before themselves."))

    def validate_fee(self, field: Field) -> None:
        text = (field.data or "").replace(",", ".")
        if text and not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,2})?", text):
            raise ValidationError(_l("Enter an amount like 12.50, or nothing."))
        field.data = Decimal(text) if text else None

    def validate_bring(self, field: ByLanguage) -> None:
        counts = {len(lines_of(field.text(language))) for language in town().languages}
        if len(counts) > 1:
            raise ValidationError(_l("What to bring: write the same number of things in every language."))

    @property
    def columns(self) -> dict[str, Any]:
        """The values of the service's own columns."""
        own = self.reminders.data or []
        return {name: self[name].data for name in COLUMNS} | {"reminders": own if self.has_own_reminders.data else None}

    def texts(self, language: str) -> dict[str, Any]:
        """What citizens read in one language."""
        plain = {name: self[name].text(language) for name in PLAIN}
        return plain | {name: lines_of(self[name].text(language)) for name in LISTS}


@admin.get("/services")
def services() -> ResponseReturnValue:
    """All services, or those that answer a search (?q=), with how many counters do each."""
    require(Role.MANAGER, None)
    found = matching(here().services, _words)
    return render_template(
        "admin/services.html",
        page=paged(found, 40),
        found=len(found),
        total=len(here().services),
        done_at=_done_at,
    )


def _done_at(service: Service) -> str:
    """The first offices that do it, and how many more; the same offices are put into words once a request."""
    places = tuple(here().offices_for(service))
    known: dict[tuple[Office, ...], str] = g.setdefault("done_at", {})
    if places not in known:
        named = ", ".join(office.name(language()) for office in places[:NAMED])
        more = ngettext("and %(num)s more", "and %(num)s more", len(places) - NAMED) if len(places) > NAMED else ""
        known[places] = f"{named} {more}".strip()
    return known[places]


@admin.get("/services/new")
def services_new() -> ResponseReturnValue:
    require(Role.MANAGER, None)
    usual = {"minutes": 15, "extra_person_minutes": 0, "max_people": 1, "min_notice_hours": 2, "max_days_ahead": 60}
    usual |= {"move_hours": 0, "cancel_hours": 0}
    return _page(ServiceForm(data=usual | {"in_person": "yes"}), None)


@admin.post("/services/new")
def add_service() -> ResponseReturnValue:
    """Adds a service; all counters of its department do it."""
    require(Role.MANAGER, None)
    form = ServiceForm()
    if not _is_right(form, None):
        return _page(form, None), 422
    raise_town(db.session.get_one(Municipality, town().id), now())
    row = Service(municipality_id=town().id, **form.columns)
    row.texts = [ServiceText(language=language, **form.texts(language)) for language in town().languages]
    db.session.add(row)
    db.session.flush()
    doing = select(Counter.id).join(Desk).join(Office).where(Office.municipality_id == town().id)
    for counter_id in db.session.scalars(doing.where(Desk.key == row.desk_key)).all():
        db.session.add(CounterService(counter_id=counter_id, service_id=row.id))
    words = _("The service is there; every counter of its department does it.")
    return saved(("service", row.id), "add_service", words, back_to("services_one", id=row.id))


@admin.get("/services/<int:id>")
def services_one(id: int) -> ResponseReturnValue:
    """A service with its texts."""
    row = _service(id)
    return _page(_filled(row), row)


@admin.post("/services/<int:id>")
def save_service(id: int) -> ResponseReturnValue:
    """Saves the service; what is booked keeps its length. With `preview` it only shows the citizen's page."""
    row = _service(id)
    form = _filled(row)
    if not _is_right(form, id):
        return _page(form, row), 422
    if request.form.get("preview") in town().languages:
        return _preview(form, id, request.form["preview"])
    raise_town(db.session.get_one(Municipality, town().id), now())
    for name, value in form.columns.items():
        setattr(row, name, value)
    known = {text.language: text for text in row.texts}
    for code in town().languages:
        text = known.get(code) or ServiceText(language=code)
        for name, value in form.texts(code).items():
            setattr(text, name, value)
        if code not in known:
            row.texts.append(text)
    return saved(("service", id), "change_service", _("The service is saved."), back_to("services_one", id=id))


def _preview(form: ServiceForm, id: int, language: str) -> str:
    """The page as a citizen would see it, of a service that is not saved."""
    texts = [ServiceText(language=one, **form.texts(one)) for one in town().languages]
    shown = Service(id=id, municipality_id=town().id, texts=texts, **form.columns)
    g.language = g.language_in_path = language
    refresh()
    return service_page(Demand(shown))


def _is_right(form: ServiceForm, id: int | None) -> bool:
    """Whether the form is valid and its short name free."""
    is_valid: bool = form.validate()
    other = here().service(form.key.data or "")
    if other is not None and other.id != id:
        form.key.errors = [*form.key.errors, _("Another service has this short name. Choose another one.")]
        return False
    return is_valid


def _filled(row: Service) -> ServiceForm:
    """The form with the values of the row, and over them what was sent."""
    values: dict[str, Any] = {name: getattr(row, name) for name in COLUMNS}
    values |= {"reminders": row.reminders or [], "has_own_reminders": row.reminders is not None}
    values["fee"] = "" if row.fee is None else str(row.fee)
    for name in PLAIN:
        values[name] = {text.language: getattr(text, name) for text in row.texts}
    for name in LISTS:
        values[name] = {text.language: "\n".join(getattr(text, name)) for text in row.texts}
    return ServiceForm(data=values)


def _words(service: Service) -> str:
    return " ".join([service.key, *(text.name for text in service.texts)])


def _service(id: int) -> Service:
    require(Role.MANAGER, None)
    return service_by_id(town(), id) or abort(404)


def _page(form: ServiceForm, row: Service | None) -> str:
    return render_template("admin/service.html", form=form, service=row)
