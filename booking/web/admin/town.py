"""The municipality: names, languages, zone, contact, rules and limits, reminders."""

from __future__ import annotations

from typing import Any
from zoneinfo import available_timezones

import phonenumbers
from flask import abort, render_template
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from wtforms import BooleanField, Field, SelectField, StringField, ValidationError
from wtforms.fields.choices import SelectChoice  # type: ignore[attr-defined]  # newer than its types
from wtforms.validators import DataRequired

from booking.appointments.agenda import is_anything_to_come
from booking.config import LANGUAGES
from booking.db import db
from booking.spoken import country_name, language_name
from booking.staff.models import Role
from booking.townhall.look import LEAST, WHITE, colour, contrast
from booking.townhall.models import Municipality
from booking.townhall.revisions import raise_town
from booking.web.admin import admin
from booking.web.admin.fields import ByLanguage, ClockField, EmailField, SeveralField, WholeField, line
from booking.web.admin.frame import back_to, saved
from booking.web.admin.reminders import Reminders
from booking.web.forms import Form, stripped
from booking.web.guards import require
from booking.web.language import language
from booking.web.pages import now
from booking.web.towns import town as this_town

COUNTRIES = ("BE", "NL", "LU", "DE", "FR", "AT", "CH")
SPEAKS = (
    SelectChoice("citizen", _l("the language that the citizen chose")),
    SelectChoice("authoritative", _l("the authoritative language, to everybody")),
)


def countries() -> list[SelectChoice]:
    return [SelectChoice(code, country_name(code, language())) for code in COUNTRIES]


def zones() -> list[SelectChoice]:
    names = sorted(name for name in available_timezones() if name.startswith("Europe/"))
    return [SelectChoice(name, name.removeprefix("Europe/").replace("_", " ")) for name in names]


class TownForm(Form):
    """What an administrator decides about the municipality."""

    names = ByLanguage(_l("Name"), 80)
    languages = SeveralField(_l("Languages for citizens"), validate_choice=False)
    language = SelectField(_l("Authoritative language"), validate_choice=False)
    zone = SelectField(_l("Time zone"), choices=zones())
    country = SelectField(_l("Country"), choices=countries)
    phone = line(_l("Phone number for citizens"), _l("Enter the phone number that citizens call."), 40)
    email = EmailField(
        _l("E-mail address for citizens"),
        validators=[DataRequired(_l("Enter the e-mail address of the municipality."))],
    )
    accent = StringField(_l("Colour of actions and links"), filters=[stripped])
    hold_minutes = WholeField(_l("Minutes that a time is kept while the form is filled in"), 5, 60)
    freed_minutes = WholeField(_l("Minutes within which a freed time comes back, at random"), 0, 240)
    retention_days = WholeField(_l("Days after the appointment until personal data are erased"), 0, 365)
    holds_per_browser = WholeField(_l("Times that one browser may keep at once"), 1, 100)
    holds_per_address = WholeField(_l("Times that one network address may keep at once"), 1, 10_000)
    held_percent = WholeField(_l("Percent of a day that all forms together may keep"), 1, 100)
    open_per_contact = WholeField(_l("Appointments to come that one contact may have"), 1, 1000)
    asks_proof = BooleanField(_l("Browsers do a proof of work before they book"))
    made_per_contact = WholeField(_l("Bookings that one contact may make within a day"), 1, 1000)
    longest_wait_minutes = WholeField(_l("Minutes of waiting at most between two desks of one visit"), 0, 240)
    extra_minutes = WholeField(_l("Minutes more for who needs more time or an interpreter"), 0, 120)
    reminders = Reminders(_l("Reminders"))
    quiet_from = ClockField(_l("No reminders from"))
    quiet_until = ClockField(_l("until"))
    speaks = SelectField(_l("Messages are written in"), choices=SPEAKS)
    wait_minutes = WholeField(_l("Minutes that the messages of a change wait, so that it can be undone"), 0, 240)

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        choices = [SelectChoice(code, language_name(code)) for code in LANGUAGES]
        self.languages.choices, self.language.choices = choices, choices

    def validate_languages(self, field: Field) -> None:
        field.data = [code for code in LANGUAGES if code in (field.data or [])]
        if not field.data:
            raise ValidationError(_l("Tick one language at least."))

    def validate_language(self, field: Field) -> None:
        if field.data not in (self.languages.data or []):
            raise ValidationError(_l("Choose one of the languages for citizens as the authoritative one."))

    def validate_extra_minutes(self, field: Field) -> None:
        if (field.data or 0) % 5:
            raise ValidationError(_l("Minutes: enter a multiple of five."))

    def validate_phone(self, field: Field) -> None:
        field.data = dialled(field.data, self.country.data)

    def validate_accent(self, field: Field) -> None:
        if not field.data:
            field.data = None
            return
        try:
            found = contrast(colour(field.data), WHITE)
        except ValueError as error:
            raise ValidationError(_l("Enter a colour like #12594d, or nothing.")) from error
        if found < LEAST:
            raise ValidationError(
                _(
                    "This colour cannot be read on white: its contrast is %(found)s, and 4.5 is needed."
                    " Take a darker one.",
                    found=f"{found:.1f}",
                )
            )

    def validate_zone(self, field: Field) -> None:
        if field.data != this_town().zone and is_anything_to_come(this_town().id, now()):
            raise ValidationError(
                _l(
                    "The time zone cannot be changed while there are appointments to come:"
                    " they would begin at other times."
                )
            )


def dialled(typed: str | None, country: str) -> str:
    """The number in international form. Raises ValidationError."""
    try:
        number = phonenumbers.parse(typed or "", country)
    except phonenumbers.NumberParseException as error:
        raise ValidationError(_l("Enter a phone number like 015 12 34 56.")) from error
    if not phonenumbers.is_possible_number(number):
        raise ValidationError(_l("Enter a phone number like 015 12 34 56."))
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


@admin.get("/town")
def town() -> ResponseReturnValue:
    require(Role.ADMINISTRATOR, None)
    return _page(TownForm(obj=this_town()))


@admin.post("/town")
def save_town() -> ResponseReturnValue:
    """Changes the municipality; reminders hold for what is booked from now on."""
    require(Role.ADMINISTRATOR, None)
    row = db.session.get(Municipality, this_town().id) or abort(404)
    form = TownForm(obj=row)
    if not form.validate():
        return _page(form), 422
    raise_town(row, now())
    form.populate_obj(row)
    return saved(("municipality", row.id), "change_town", _("The municipality is saved."), back_to("town"))


def _page(form: TownForm) -> str:
    return render_template("admin/town.html", form=form)
