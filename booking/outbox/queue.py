"""The queue: put a message in, claim one, record what became of it. Safe for many workers at once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, func, insert, or_, select, update

from booking.db import db, insert_unless_there, run, table
from booking.outbox.models import Heartbeat, Kind, Message, MessageChannel, MessageState

PAUSES = (1, 5, 15, 60, 180, 360)  # minutes before the next try; the last one repeats
STUCK_AFTER = timedelta(minutes=10)  # a claim that old belongs to a worker that died
KEEP_CONTENT = timedelta(days=1)


@dataclass(frozen=True)
class Notice:
    """What a message is about and when it may go: not before `due_at`, not at or after `expires_at`."""

    kind: Kind
    occasion: str
    channel: MessageChannel
    due_at: datetime
    expires_at: datetime


def queue(municipality_id: int, appointment: tuple[int, int], notices: Iterable[Notice], now: datetime) -> None:
    """Adds one row a notice about the appointment (its id and sequence). Flushes with the change that causes it."""
    rows = [row(municipality_id, appointment, notice, now) for notice in notices]
    if rows:
        run(_INSERT, rows)


_INSERT = insert(table(Message))


def queue_once(municipality_id: int, appointment: tuple[int, int], notice: Notice, now: datetime) -> None:
    """The same for news that may come up again: it is queued the first time only."""
    insert_unless_there(Message, [row(municipality_id, appointment, notice, now)])


def row(municipality_id: int, appointment: tuple[int, int], notice: Notice, now: datetime) -> dict[str, Any]:
    """The row of a message about the appointment (its id and sequence), for whoever inserts it."""
    return {
        "municipality_id": municipality_id,
        "subject_kind": "appointment",
        "subject_id": appointment[0],
        "sequence": appointment[1],
        "kind": notice.kind,
        "occasion": notice.occasion,
        "channel": notice.channel,
        "state": MessageState.QUEUED,
        "attempts": 0,
        "made_at": now,
        "due_at": notice.due_at,
        "expires_at": notice.expires_at,
    }


def drop_queued(appointment_id: int, reason: str, now: datetime) -> None:
    """Drops what still waits about the appointment: it is no longer true."""
    db.session.execute(
        update(Message)
        .where(Message.subject_id == appointment_id, Message.subject_kind == "appointment")
        .where(Message.state == MessageState.QUEUED)
        .values(state=MessageState.DROPPED, reason=reason, ended_at=now, content=None),
        execution_options={"synchronize_session": False},
    )


def due_ids(now: datetime, limit: int) -> list[int]:
    """The messages that wait to be sent, longest due first; e-mail whose worker died is among them.

    A text message whose worker died is not: nobody knows whether it was sent, and it must not be sent twice.
    """
    query = select(Message.id).where(_is_free(now)).order_by(Message.due_at, Message.id).limit(limit)
    return list(db.session.scalars(query))


def claim(message_id: int, now: datetime) -> bool:
    """Takes the message for this worker; False if another one was faster. The caller commits before it sends."""
    taken = db.session.execute(
        update(Message)
        .where(Message.id == message_id, _is_free(now))
        .values(state=MessageState.SENDING, claimed_at=now, attempts=Message.attempts + 1)
        .returning(Message.id),
        execution_options={"synchronize_session": False},
    )
    return taken.scalar_one_or_none() is not None


def _is_free(now: datetime) -> ColumnElement[bool]:
    waits = and_(Message.state == MessageState.QUEUED, Message.due_at <= now)
    stuck = and_(
        Message.state == MessageState.SENDING,
        Message.channel == MessageChannel.EMAIL,
        Message.claimed_at <= now - STUCK_AFTER,
    )
    return or_(waits, stuck)


def end(message: Message, state: MessageState, now: datetime, reason: str | None = None) -> None:
    """Records how the message ended."""
    message.state = state
    message.reason = reason and reason[:200]
    message.claimed_at = None
    message.ended_at = now


def defer(message: Message, reason: str, now: datetime) -> None:
    """Puts the message back for a later try, after a pause that grows."""
    pause = PAUSES[min(message.attempts, len(PAUSES)) - 1]
    message.state = MessageState.QUEUED
    message.reason = reason[:200]
    message.claimed_at = None
    message.due_at = now + timedelta(minutes=pause)


def tidy(now: datetime) -> None:
    """Ends text messages whose worker died as failed, and purges the kept bytes of what was sent a day ago."""
    undecided = (Message.state == MessageState.SENDING, Message.channel == MessageChannel.SMS)
    db.session.execute(
        update(Message)
        .where(*undecided, Message.claimed_at <= now - STUCK_AFTER)
        .values(state=MessageState.FAILED, claimed_at=None, ended_at=now, reason="undecided: the worker stopped"),
        execution_options={"synchronize_session": False},
    )
    db.session.execute(
        update(Message)
        .where(Message.content.is_not(None), Message.ended_at <= now - KEEP_CONTENT)
        .values(content=None),
        execution_options={"synchronize_session": False},
    )


def erase(appointment_ids: Iterable[int]) -> None:
    """Deletes the messages about these appointments."""
    db.session.execute(
        delete(Message).where(Message.subject_kind == "appointment", Message.subject_id.in_(list(appointment_ids))),
        execution_options={"synchronize_session": False},
    )


def beat(step: str, now: datetime) -> None:
    """Writes down that a step of the worker ended."""
    insert_unless_there(Heartbeat, [{"step": step, "at": now}], change="at")


@dataclass(frozen=True)
class Depth:
    """How much waits: due messages, the moment the oldest fell due, and the last beat of each step."""

    due: int
    oldest_due_at: datetime | None
    beats: dict[str, datetime]


def depth(now: datetime) -> Depth:
    waiting = select(func.count(), func.min(Message.due_at)).where(
        Message.state == MessageState.QUEUED, Message.due_at <= now
    )
    due, oldest = db.session.execute(waiting).one()
    beats = {beat.step: beat.at for beat in db.session.scalars(select(Heartbeat))}
    return Depth(due, oldest, beats)
