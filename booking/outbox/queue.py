"""The queue: put a message in, claim one, record what became of it. Safe for many workers at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, case, delete, func, insert, or_, select, update

from booking.db import db, insert_unless_there, run, table
from booking.outbox.models import TO_STAFF, Heartbeat, Kind, Message, MessageChannel, MessageState

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


def queue_once(municipality_id: int, appointment: tuple[int, int], notice: Notice, now: datetime) -> bool:
    """The same for news that may come up again: it is queued the first time only. Whether this was the first."""
    return insert_unless_there(Message, [row(municipality_id, appointment, notice, now)]) > 0


def queue_test(municipality_id: int, staff_id: int, notice: Notice, now: datetime) -> None:
    """Queues a message that a member of staff sends to themselves, to see it as a citizen would."""
    queue_for_staff(municipality_id, (staff_id, 0), notice, now)


def queue_for_staff(municipality_id: int, staff: tuple[int, int], notice: Notice, now: datetime) -> None:
    """Queues a letter to a member of staff (their id, and the generation of their account that it is about)."""
    insert_unless_there(Message, [{**row(municipality_id, staff, notice, now), "subject_kind": "staff"}])


def queue_day_list(municipality_id: int, office_id: int, notice: Notice, content: bytes, now: datetime) -> None:
    """Queues the list of an office's day, with its bytes, once a day."""
    made = {**row(municipality_id, (office_id, 0), notice, now), "subject_kind": "office", "content": content}
    insert_unless_there(Message, [made])


def day_lists(municipality_id: int, occasion: str | None = None) -> Sequence[Message]:
    """The lists of offices' days, of one occasion where it is said."""
    mine = select(Message).where(Message.municipality_id == municipality_id, Message.subject_kind == "office")
    query = mine if occasion is None else mine.where(Message.occasion == occasion)
    return db.session.scalars(query.order_by(Message.id)).all()


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


def due_ids(channel: MessageChannel, now: datetime, limit: int) -> list[int]:
    """The messages that wait to be sent this way, longest due first; e-mail whose worker died is among them.

    A text message whose worker died is not: nobody knows whether it was sent, and it must not be sent twice.
    """
    query = select(Message.id).where(Message.channel == channel, _is_free(now))
    return list(db.session.scalars(query.order_by(Message.due_at, Message.id).limit(limit)))


def claim(message_id: int, now: datetime) -> Message | None:
    """Takes the message for this worker; None if another one was faster. The caller commits before it sends."""
    return db.session.scalars(
        update(Message)
        .where(Message.id == message_id, _is_free(now))
        .values(state=MessageState.SENDING, claimed_at=now, attempts=Message.attempts + 1)
        .returning(Message),
        execution_options={"synchronize_session": False, "populate_existing": True},
    ).one_or_none()


def _is_free(now: datetime) -> ColumnElement[bool]:
    waits = and_(Message.state == MessageState.QUEUED, Message.due_at <= now)
    stuck = and_(Message.channel == MessageChannel.EMAIL, _is_stuck(now))
    return or_(waits, stuck)


def _is_stuck(now: datetime) -> ColumnElement[bool]:
    return and_(Message.state == MessageState.SENDING, Message.claimed_at <= now - STUCK_AFTER)


def undecided_ids(now: datetime, limit: int) -> list[int]:
    """Text messages that may have been sent or not: their worker died, or the answer never came."""
    query = select(Message.id).where(Message.channel == MessageChannel.SMS, _is_stuck(now))
    return list(db.session.scalars(query.order_by(Message.claimed_at, Message.id).limit(limit)))


def claim_undecided(message_id: int, now: datetime) -> bool:
    """Takes an undecided message to look it up; it is looked up again after a pause if that fails."""
    taken = db.session.execute(
        update(Message).where(Message.id == message_id, _is_stuck(now)).values(claimed_at=now).returning(Message.id),
        execution_options={"synchronize_session": False},
    )
    return taken.scalar_one_or_none() is not None


def record_sent(message_id: int, provider_id: str | None, now: datetime) -> None:
    """Writes down that it was handed over; a receipt that came faster stands."""
    mine = update(Message).where(Message.id == message_id, Message.state == MessageState.SENDING)
    kept = case((Message.subject_kind == "staff", None), else_=Message.content)  # a link of staff opens too much
    told = {"reason": None, "claimed_at": None, "ended_at": now, "provider_id": provider_id, "content": kept}
    run(mine.values(state=MessageState.SENT, **told))


def end(message: Message, state: MessageState, now: datetime, reason: str | None = None) -> None:
    """Records how the message ended."""
    message.state = state
    message.reason = reason and reason[:200]
    message.claimed_at = None
    message.ended_at = now


def defer(message: Message, reason: str, now: datetime) -> None:
    """Puts the message back for a later try, after a pause that grows."""
    pause = PAUSES[min(message.attempts, len(PAUSES)) - 1]
    put_off(message, reason, now + timedelta(minutes=pause))


def put_off(message: Message, reason: str, until: datetime) -> None:
    """Puts the message back until then."""
    message.state = MessageState.QUEUED
    message.reason = reason[:200]
    message.claimed_at = None
    message.due_at = until


def release(message_id: int, reason: str) -> None:
    """Puts a message back as it was: it was never handed over, and keeps its place. It was tried, though."""
    mine = update(Message).where(Message.id == message_id, Message.state == MessageState.SENDING)
    fewer = case((Message.attempts > 1, Message.attempts - 1), else_=Message.attempts)
    run(mine.values(state=MessageState.QUEUED, claimed_at=None, attempts=fewer, reason=reason[:200]))


def tidy(now: datetime) -> None:
    """Purges the kept bytes of what ended a day ago, letters to staff whose links have ended, and lists of the day."""
    db.session.execute(
        update(Message)
        .where(Message.content.is_not(None), Message.ended_at <= now - KEEP_CONTENT)
        .values(content=None),
        execution_options={"synchronize_session": False},
    )
    db.session.execute(
        delete(Message).where(
            Message.subject_kind != "appointment",
            Message.ended_at <= now - KEEP_CONTENT,
            or_(Message.kind.not_in(TO_STAFF), Message.expires_at <= now),
        ),
        execution_options={"synchronize_session": False},
    )


def messages_about(appointment_id: int) -> Sequence[Message]:
    """All messages about the appointment, in the order in which they were caused and fell due."""
    query = select(Message).where(Message.subject_kind == "appointment", Message.subject_id == appointment_id)
    return db.session.scalars(query.order_by(Message.made_at, Message.due_at, Message.id)).all()


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
