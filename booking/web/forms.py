"""The forms of citizens and staff, and what makes their answers valid."""

from __future__ import annotations

import unicodedata
from typing import Any

import phonenumbers
from email_validator import EmailNotValidError, validate_email
from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from wtforms import Field, PasswordField, RadioField, SelectMultipleField, StringField, ValidationError
from wtforms.fields.choices import SelectChoice  # type: ignore[attr-defined]  # newer than its types
from wtforms.validators import DataRequired, Length

from booking.spoken import language_name
from booking.web.towns import town

MOBILE = {phonenumbers.PhoneNumberType.MOBILE, phonenumbers.PhoneNumberType.FIXED_LINE_OR_MOBILE}
# Countries that texts go to: those of the European Economic Area, and neighbours in everyday life.
_COUNTRIES = "AT BE BG CH CY CZ DE DK EE ES FI FR GB GR HR HU IE IS IT LI LT LU LV MT NL NO PL PT RO SE SI SK UA"
TEXTED = frozenset(_COUNTRIES.split())
UNSEEN = {"Cc", "Cf", "Cs"}  # control, format and half characters
JOINERS = "\u200c\u200d"  # which words of some languages need
NEEDED = {
    "extra_time": _l("More time, for example because I speak or hear with difficulty"),
    "interpreter": _l("More time: I bring an interpreter"),
    "loop": _l("A hearing loop"),
    "step_free": _l("A way without steps"),
    "fetch": _l("Please come and fetch me in the waiting room"),
}  # as the form asks for the words of appointments/needs.py
BY_EMAIL, BY_SMS = {"email", "both"}, {"sms", "both"}


def stripped(text: str | None) -> str | None:
    """What people see of a text: single spaces, no characters that are drawn as nothing or turn the line around."""
    if not text:
        return text
    seen = "".join(c if c in JOINERS or unicodedata.category(c) not in UNSEEN or c.isspace() else "" for c in text)
    return " ".join(seen.strip(JOINERS).split())


class Form(FlaskForm):  # type: ignore[misc]
    """A form of ours. That it comes from our own page is checked for every POST before any form is read (security)."""

    class Meta(FlaskForm.Meta):  # type: ignore[misc]
        csrf = False


class DetailsForm(Form):
    """Who comes, and how they may be reached, if at all."""

    name = StringField(
        _l("Your name"),
        filters=[stripped],
        validators=[
            DataRequired(_l("Enter your name, so that we can call it out.")),
            Length(max=120, message=_l("Shorten your name to 120 characters.")),
        ],
    )
    reach = RadioField(
        _l("How may we reach you?"),
        choices=[
            SelectChoice("email", _l("By e-mail")),
            SelectChoice("sms", _l("By text message")),
            SelectChoice("both", _l("By e-mail and text message")),
            SelectChoice("none", _l("Not at all: I write the reference down")),
        ],
        default="email",
        validators=[DataRequired(_l("Choose how we may reach you."))],
    )
    email = StringField(_l("E-mail address"), filters=[stripped])
    phone = StringField(_l("Mobile phone number"), filters=[stripped])
    website = StringField(_l("Leave this empty"))  # nobody sees it; programs fill it in
    altcha = StringField("")  # the proof of work, where one is asked for; without a label translations would be read
    needs = SelectMultipleField(_l("What do you need?"), choices=[SelectChoice(*one) for one in NEEDED.items()])

    def validate_website(self, field: Field) -> None:
        if field.data:
            raise ValidationError(_l("Empty the field “Leave this empty”. Only programs fill it in."))

    def validate_email(self, field: Field) -> None:
        if self.reach.data not in BY_EMAIL:
            field.data = None
            return
        if not field.data:
            raise ValidationError(_l("Enter your e-mail address, or choose another way to reach you."))
        field.data = valid_email(field.data)

    def validate_phone(self, field: Field) -> None:
        if self.reach.data not in BY_SMS:
            field.data = None
            return
        if not field.data:
            raise ValidationError(_l("Enter your mobile phone number, or choose another way to reach you."))
        number = e164(field.data)
        if number is None:
            raise ValidationError(_l("Enter a mobile number like 0470 12 34 56 or +32 470 12 34 56."))
        field.data = number

    @property
    def typed(self) -> dict[str, Any]:
        """What was typed, to be kept while another time is chosen."""
        words = {name: (self[name].data or "")[:300] for name in ("name", "reach", "email", "phone")}
        return {**words, "needs": [need for need in self.needs.data or () if need in NEEDED]}


class StaffDetailsForm(DetailsForm):
    """The same as a clerk fills it in for somebody: a name is enough."""

    name = StringField(
        _l("Name"),
        filters=[stripped],
        validators=[
            DataRequired(_l("Enter a name to call out.")),
            Length(max=120, message=_l("Shorten the name to 120 characters.")),
        ],
    )
    reach = RadioField(
        _l("How may we reach them?"),
        choices=[
            SelectChoice("email", _l("By e-mail")),
            SelectChoice("sms", _l("By text message")),
            SelectChoice("both", _l("By e-mail and text message")),
            SelectChoice("none", _l("Not at all: they write the reference down, or get a slip")),
        ],
        default="none",
        validators=[DataRequired(_l("Choose how we may reach them."))],
    )
    language = RadioField(
        _l("Their language"),
        choices=lambda: [SelectChoice(one, language_name(one)) for one in town().languages],
        validators=[DataRequired(_l("Choose their language."))],
    )
    channel = RadioField(
        _l("They are"),
        choices=[SelectChoice("phone", _l("on the phone")), SelectChoice("counter", _l("at the counter"))],
        default="phone",
        validators=[DataRequired(_l("Choose where they are."))],
    )


class FindForm(Form):
    """The reference of a booking and its four digits."""

    reference = StringField(
        _l("Reference"), validators=[DataRequired(_l("Enter the reference, seven letters and digits."))]
    )
    code = StringField(
        _l("Code of four digits"), filters=[stripped], validators=[DataRequired(_l("Enter the four digits."))]
    )


class SignInForm(Form):
    email = StringField(_l("E-mail address"), validators=[DataRequired(_l("Enter your e-mail address."))])
    password = PasswordField(_l("Password"), validators=[DataRequired(_l("Enter your password."))])


def valid_email(typed: str) -> str:
    """The address as mail servers know it: a domain like bücher.example by its ASCII name. Raises ValidationError."""
    try:
        found = validate_email(typed, check_deliverability=False, allow_smtputf8=False)
    except EmailNotValidError as error:
        raise ValidationError(_l("Enter an e-mail address like name@example.org.")) from error
    return found.ascii_email or typed


def e164(typed: str) -> str | None:
    """The number in international form, read as people of the municipality's country write it; None if it is none."""
    try:
        number = phonenumbers.parse(typed, town().country)
    except phonenumbers.NumberParseException:
        return None
    if phonenumbers.region_code_for_number(number) not in TEXTED or phonenumbers.number_type(number) not in MOBILE:
        return None  # no far, premium, satellite or fixed line: a text would cost the town, or reach nobody
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
