"""The rules of reminders as an administrator types them, of the municipality or of one service."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import time
from typing import Any

from flask_babel import gettext as _
from wtforms import Field, ValidationError
from wtforms.utils import unset_value

from booking.outbox.models import MessageChannel

MORE_RULES = 2  # empty rows below the reminders there are
MOST_HOURS, MOST_DAYS = 72, 60


class Reminders(Field):
    """The reminder rules, a row each: so many days before at a time of the wall clock, or so many hours before."""

    def process(self, formdata: Any, data: Any = unset_value, extra_filters: Any = None) -> None:
        super().process(None, data, extra_filters)
        self.wrong = ""
        if formdata is not None:
            self.data = list(self._typed(formdata))

    @property
    def rows(self) -> list[dict[str, Any]]:
        return [*(self.data or []), *({} for _row in range(MORE_RULES))]

    def _typed(self, formdata: Any) -> Iterator[dict[str, Any]]:
        seen: set[str] = set()
        for row in range(20):
            number = formdata.get(f"{self.name}-{row}-number", "").strip()
            if not number:
                continue
            rule = self._rule(formdata, row, number)
            if rule and rule["occasion"] not in seen:
                seen.add(rule["occasion"])
                yield rule

    def _rule(self, formdata: Any, row: int, number: str) -> dict[str, Any] | None:
        """One row; what is wrong with it is kept to be said."""
        channels = [one.value for one in MessageChannel if formdata.get(f"{self.name}-{row}-{one.value}")]
        unit = "hours" if formdata.get(f"{self.name}-{row}-unit") == "hours" else "days"
        most = MOST_HOURS if unit == "hours" else MOST_DAYS
        if not (number.isascii() and number.isdigit() and 1 <= int(number[:4]) <= most):
            self.wrong = _("Reminders: enter 1 to %(days)s days, or 1 to %(hours)s hours.", days=60, hours=72)
            return None
        if not channels:
            self.wrong = _("Reminders: tick e-mail, text message or both.")
            return None
        if unit == "hours":
            return {"occasion": f"{int(number)}-hours-before", "hours": int(number), "channels": channels}
        at = formdata.get(f"{self.name}-{row}-at", "")
        try:
            at = f"{time.fromisoformat(at):%H:%M}"
        except ValueError:
            self.wrong = _("Reminders: enter a time of the day like 18:00.")
            return None
        return {"occasion": f"{int(number)}-days-before", "days": int(number), "at": at, "channels": channels}

    def pre_validate(self, form: Any) -> None:
        if self.wrong:
            raise ValidationError(self.wrong)
