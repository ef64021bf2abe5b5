"""The fields of administration forms: a text in each language, several choices, lists a line each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import time
from typing import Any

from flask_babel import gettext as _
from wtforms import Field, IntegerField, SelectMultipleField, StringField, ValidationError
from wtforms.utils import unset_value
from wtforms.validators import DataRequired, Length

from booking.spoken import language_name, wall_clock
from booking.web.forms import stripped, valid_email
from booking.web.towns import town


class ByLanguage(Field):
    """A text in each language of the municipality, as a dict. The authoritative one must be there, or every one.

    Texts of languages that are switched off stay as they are.
    """

    def __init__(self, label: Any, most: int = 200, *, needs: str = "own", rows: int = 1, **options: Any) -> None:
        """`needs`: "own" (the authoritative language), "every" or "none"; with several `rows` it is an area."""
        super().__init__(label, **options)
        self.most, self.needs, self.rows = most, needs, rows

    @property
    def languages(self) -> Sequence[str]:
        return town().languages

    def text(self, language: str) -> str:
        found: str = (self.data or {}).get(language, "")
        return found

    def process(self, formdata: Any, data: Any = unset_value, extra_filters: Any = None) -> None:
        super().process(None, data, extra_filters)
        self.before: Mapping[str, str] = dict(self.data or {})
        if formdata is not None:
            typed = {one: self._clean(formdata.get(f"{self.name}-{one}", "")) for one in self.languages}
            self.data = {**self.before, **typed}

    def _clean(self, text: str) -> str:
        if self.rows == 1:
            return stripped(text) or ""
        return "\n".join(line for part in text.splitlines() if (line := stripped(part) or ""))

    def pre_validate(self, form: Any) -> None:
        needed = {"own": [town().language], "every": self.languages, "none": []}[self.needs]
        missing = [language_name(one) for one in needed if not self.text(one)]
        if missing:
            raise ValidationError(
                _("%(field)s: write it in %(languages)s.", field=self.label.text, languages=", ".join(missing))
            )
        if any(len(self.text(one)) > self.most for one in self.languages):
            raise ValidationError(
                _("%(field)s: shorten it to %(num)s characters.", field=self.label.text, num=self.most)
            )

    def populate_obj(self, obj: Any, name: str) -> None:
        setattr(obj, name, {one: text for one, text in self.data.items() if text})


class SeveralField(SelectMultipleField):
    """Boxes to tick."""


class WholeField(IntegerField):
    """A whole number within bounds; what is wrong is said with the bounds."""

    def __init__(self, label: Any, least: int, most: int, **options: Any) -> None:
        super().__init__(label, **options)
        self.least, self.most = least, most

    def process_formdata(self, valuelist: list[str]) -> None:
        text = valuelist[0].strip() if valuelist else ""
        self.data = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None

    def pre_validate(self, form: Any) -> None:
        if self.data is None or not self.least <= self.data <= self.most:
            raise ValidationError(
                _(
                    "%(field)s: enter a whole number from %(least)s to %(most)s.",
                    field=self.label.text,
                    least=self.least,
                    most=self.most,
                )
            )


class ClockField(StringField):
    """A time of the day, kept as minutes after midnight."""

    data: Any

    def _value(self) -> str:
        return wall_clock(self.data) if isinstance(self.data, int) else ""

    def process_formdata(self, valuelist: list[str]) -> None:
        try:
            at = time.fromisoformat(valuelist[0].strip())
        except (IndexError, ValueError):
            self.data = None
            return
        self.data = at.hour * 60 + at.minute

    def pre_validate(self, form: Any) -> None:
        if self.data is None:
            raise ValidationError(_("%(field)s: enter a time of the day like 18:00.", field=self.label.text))


class EmailField(StringField):
    """An e-mail address."""

    def __init__(self, label: Any, **options: Any) -> None:
        super().__init__(label, filters=[stripped], **options)

    def pre_validate(self, form: Any) -> None:
        if self.data:
            self.data = valid_email(self.data)


def line(label: Any, required: Any, most: int) -> StringField:
    """A line of text that must be there; `required` says what to do when it is not."""
    return StringField(label, filters=[stripped], validators=[DataRequired(required), Length(max=most)])


def lines_of(text: str) -> list[str]:
    """The lines of an area that hold anything."""
    return [found for part in text.splitlines() if (found := stripped(part) or "")]
