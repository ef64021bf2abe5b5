"""What cannot be taken back is confirmed by typing a name: the field, and whether it was typed."""

from __future__ import annotations

from typing import Any

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from wtforms import Field, StringField, ValidationError

from booking.web.forms import Form, stripped


class TypedForm(Form):
    """Asks for the name of what a step ends; `step` tells apart the fields of several steps on one page."""

    typed = StringField(_l("Type the name to confirm"), filters=[stripped])

    def __init__(self, wanted: str, step: str = "", **options: Any) -> None:
        super().__init__(**options)
        self.wanted, self.step = stripped(wanted) or "", step
        self.typed.id = f"typed-{step}" if step else "typed"

    def validate_typed(self, field: Field) -> None:
        if (field.data or "").casefold() != self.wanted.casefold():
            raise ValidationError(_("Type exactly: %(name)s", name=self.wanted))


def not_typed(wanted: str, step: str = "") -> TypedForm | None:
    """The form as it was sent, which says what to type; None where that was typed, and the step may be taken."""
    form = TypedForm(wanted, step)
    return None if form.validate() else form


def typed_forms(wanted: str, steps: tuple[str, ...], refused: TypedForm | None) -> dict[str, TypedForm]:
    """The empty form of each step, and the one that was refused as it was sent."""
    forms = {step: TypedForm(wanted, step, formdata=None) for step in steps}
    return forms | ({refused.step: refused} if refused else {})
