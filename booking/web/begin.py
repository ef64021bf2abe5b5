"""The first start: one page that takes a new town from nothing to its first bookable slot."""

from __future__ import annotations

import re
from typing import Any
from zoneinfo import ZoneInfo

from flask import Blueprint, abort, current_app, redirect, render_template
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from wtforms import Field, PasswordField, SelectField, StringField, ValidationError
from wtforms.fields.choices import SelectChoice  # type: ignore[attr-defined]  # newer than its types
from wtforms.validators import DataRequired, Length

from booking import links
from booking.config import LANGUAGES
from booking.db import db
from booking.first import Administrator, Beginning, Begun, is_nothing_there, open_town
from booking.spoken import language_name, weekday
from booking.web.admin.fields import EmailField, SeveralField, WholeField, line
from booking.web.admin.hours import WeekField
from booking.web.admin.town import countries, dialled, zones
from booking.web.forms import Form, stripped
from booking.web.language import preferred_of_all
from booking.web.pages import failure, now
from booking.web.towns import OUR_OWN

begin = Blueprint("begin", __name__)

WEEK = tuple(((540, 720), (780, 960)) if day < 5 else () for day in range(7))


class BeginForm(Form):
    """What a town hall needs to be booked."""

    name = line(_l("Name of the municipality"), _l("Enter the name of the municipality."), 80)
    slug = StringField(_l("Short name in addresses"), filters=[stripped])
    languages = SeveralField(_l("Languages for citizens"), validate_choice=False)
    language = SelectField(_l("Authoritative language"), validate_choice=False)
    country = SelectField(_l("Country"), choices=countries)
    zone = SelectField(_l("Time zone"), choices=zones())
    phone = line(_l("Phone number for citizens"), _l("Enter the phone number that citizens call."), 40)
    email = EmailField(_l("E-mail address for citizens"), validators=[DataRequired(_l("Enter the e-mail address."))])
    address = line(_l("Address of the town hall"), _l("Enter the address, so that people find it."), 200)
    desk = line(_l("First desk, like civil registry"), _l("Enter the name of the desk."), 80)
    counters = WholeField(_l("How many counters does it have?"), 1, 50)
    week = WeekField(_l("Hours"))
    service = line(_l("First service, like passport"), _l("Enter the name of the service."), 160)
    minutes = WholeField(_l("How many minutes does it take?"), 5, 480)
    your_name = line(_l("Your name"), _l("Enter your name."), 120)
    your_email = EmailField(_l("Your e-mail address"), validators=[DataRequired(_l("Enter your e-mail address."))])
    password = PasswordField(
        _l("New password"),
        validators=[Length(12, 200, message=_l("Take 12 characters at least; a short sentence is easy to keep."))],
    )

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        choices = [SelectChoice(code, language_name(code)) for code in LANGUAGES]
        self.languages.choices, self.language.choices = choices, choices

    def validate_slug(self, field: Field) -> None:
        field.data = (field.data or "").lower()
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]{1,39}", field.data) or field.data in OUR_OWN:
            raise ValidationError(_l("Enter a short name of small letters, digits and hyphens, like mytown."))

    def validate_languages(self, field: Field) -> None:
        field.data = [code for code in LANGUAGES if code in (field.data or [])]
        if not field.data:
            raise ValidationError(_l("Tick one language at least."))

    def validate_language(self, field: Field) -> None:
        if field.data not in (self.languages.data or []):
            raise ValidationError(_l("Choose one of the languages for citizens as the authoritative one."))

    def validate_phone(self, field: Field) -> None:
        field.data = dialled(field.data, self.country.data)

    def validate_minutes(self, field: Field) -> None:
        if (field.data or 0) % 5:
            raise ValidationError(_l("Minutes: enter a multiple of five."))


@begin.get("/begin/<token>")
def begin_here(token: str) -> ResponseReturnValue:
    """The form, while there is no municipality, for who has the link that the command prints."""
    _check(token)
    usual = {"language": preferred_of_all(), "languages": [preferred_of_all()], "zone": "Europe/Brussels"}
    return _page(BeginForm(data=usual | {"counters": 2, "minutes": 15, "week": WEEK, "country": "BE"}))


@begin.post("/begin/<token>")
def do_begin(token: str) -> ResponseReturnValue:
    """Makes the town; the next page is the one on which its citizens book."""
    _check(token)
    form = BeginForm()
    if not form.validate():
        return _page(form), 422
    data = {name: form[name].data for name in Beginning.__annotations__ if name != "week"}
    wanted = Beginning(week=form.week.stretches, **data)
    owner = Administrator(form.your_name.data or "", form.your_email.data or "", form.password.data or "")
    try:
        open_town(wanted, owner, now(), now().astimezone(ZoneInfo(wanted.zone)).date())
    except Begun:
        return failure(409, _("This town hall is there already"), _("Sign in to change it."))
    db.session.commit()
    return redirect(f"/{wanted.slug}/{wanted.language}/service/first", 303)


def _check(token: str) -> None:
    keys: links.Keys = current_app.extensions["balie"]["settings"].keys
    if links.claim(keys, "begin", token) is None or not is_nothing_there():
        abort(404)


def _page(form: BeginForm) -> str:
    days = [weekday(day, preferred_of_all()) for day in range(7)]
    return render_template("begin.html", form=form, days=days)
