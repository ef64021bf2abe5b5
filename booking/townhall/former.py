"""What stood in a row of the town hall before somebody saved it: kept with the audit line, to be put back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from sqlalchemy import inspect

from booking.db import db
from booking.townhall.models import Desk, Municipality, Office, Service, ServiceText

KINDS = {model.__tablename__: model for model in (Municipality, Office, Desk, Service, ServiceText)}

DECIMALS = ("fee",)  # which JSON does not know

Saved = Mapping[str, Any]  # the table and the key of a row, and of each column that changed what it was and what it is


class ChangedAgain(Exception):
    """Somebody has changed the same thing since."""


def changes_to_save() -> list[Saved]:
    """What this transaction changes in rows that were there, as long as it is not flushed."""
    rows = [row for row in db.session.dirty if type(row) in KINDS.values()]
    return [found for row in rows if (found := _saved(row))["was"]]


def put_back(changes: Sequence[Saved]) -> None:
    """Gives each row back what it was. Raises ChangedAgain, and then nothing has happened."""
    rows = [(db.session.get(KINDS[one["table"]], tuple(one["key"])), one) for one in changes]
    if not all(
        row and all(_plain(getattr(row, name)) == value for name, value in one["is"].items()) for row, one in rows
    ):
        raise ChangedAgain
    for row, one in rows:
        for name, value in one["was"].items():
            setattr(row, name, Decimal(value) if name in DECIMALS and value is not None else value)


def _saved(row: Any) -> Saved:
    state = inspect(row)
    histories: dict[str, Any] = {one.key: state.attrs[one.key].history for one in state.mapper.column_attrs}
    changed = {name: one for name, one in histories.items() if one.added and one.deleted}
    was = {name: _plain(one.deleted[0]) for name, one in changed.items()}
    now = {name: _plain(one.added[0]) for name, one in changed.items()}
    return {"table": row.__tablename__, "key": list(state.identity), "was": was, "is": now}


def _plain(value: Any) -> Any:
    """As JSON can keep it."""
    return str(value) if isinstance(value, Decimal) else value
