"""Messages of an administrator's change wait some minutes: until then they can be sent at once, or called off."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, func, select, update

from booking.db import db
from booking.outbox.models import Kind, Message, MessageState


@dataclass(frozen=True)
class Waiting:
    """A change whose messages wait: how many they are, and until when."""

    change: str
    count: int
    due_at: datetime


def hold_back(appointment_ids: Iterable[int], change: str, now: datetime, until: datetime) -> None:
    """Lets the messages that were just queued about these appointments wait, in the transaction of the change.

    What was to be sent at once waits until then; reminders keep their time. All can be called off with the change.
    """
    mine = (Message.subject_kind == "appointment", Message.subject_id.in_(list(appointment_ids)))
    made = (Message.state == MessageState.QUEUED, Message.made_at == now)
    _change({"change": change}, *mine, *made)
    _change({"due_at": until}, *mine, *made, Message.due_at < until)


def waiting(municipality_id: int, now: datetime) -> Sequence[Waiting]:
    """The changes whose messages still wait, the next one first."""
    query = (
        select(Message.change, func.count(), func.min(Message.due_at))
        .where(Message.municipality_id == municipality_id, Message.change.is_not(None))
        .where(*_waits(now))
        .group_by(Message.change)
        .order_by(func.min(Message.due_at))
    )
    return [Waiting(str(change), count, due_at) for change, count, due_at in db.session.execute(query)]


def send_now(municipality_id: int, change: str, now: datetime) -> int:
    """Lets the messages of the change go that wait for it to be called off; how many."""
    return _change({"due_at": now}, *_of(municipality_id, change), *_waits(now))


def call_off(municipality_id: int, change: str, now: datetime) -> bool:
    """Drops the messages of a change that is undone. False, and nothing is dropped, if one has gone already."""
    mine = _of(municipality_id, change)
    gone = select(Message.id).where(*mine, Message.state.not_in((MessageState.QUEUED, MessageState.DROPPED)))
    if db.session.scalar(gone.limit(1)) is not None:
        return False
    ended = {"state": MessageState.DROPPED, "reason": "called off", "ended_at": now, "content": None}
    _change(ended, *mine, Message.state == MessageState.QUEUED)
    return True


def _of(municipality_id: int, change: str) -> tuple[ColumnElement[bool], ...]:
    return Message.municipality_id == municipality_id, Message.change == change


def _waits(now: datetime) -> tuple[ColumnElement[bool], ...]:
    """Of what is queued, the news that is held back: it was due when it was made. Reminders never are."""
    return Message.state == MessageState.QUEUED, Message.due_at > now, Message.kind != Kind.REMINDER


def _change(values: dict[str, Any], *where: ColumnElement[bool]) -> int:
    statement = update(Message).where(*where).values(values)
    return db.session.execute(statement, execution_options={"synchronize_session": False}).rowcount  # type: ignore[attr-defined, no-any-return]
