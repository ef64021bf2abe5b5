"""What became of a text message: receipts that come by themselves, and those that are looked up after a crash."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from sqlalchemy import select, update

from booking.appointments.models import Appointment
from booking.config import Settings
from booking.db import begin_write, db
from booking.delivery.errors import Away, BrokeOff
from booking.delivery.fallback import give_up, recipient
from booking.delivery.sms import Receipt, TextService
from booking.outbox.models import Message, MessageChannel, MessageState
from booking.outbox.queue import claim_undecided, put_off, undecided_ids

BATCH = 50
RANKS = (MessageState.QUEUED, MessageState.SENDING, MessageState.SENT, MessageState.FAILED, MessageState.DELIVERED)


def receipts_path(message_id: int) -> str:
    """Where in our town's address the receipts for a message come in."""
    return f"/receipts/{message_id}"


def receive(message_id: int, receipt: Receipt, now: datetime) -> None:
    """Takes a receipt in. States only move forward, so late, repeated and reordered ones change nothing. Flushes."""
    earlier = RANKS[: RANKS.index(receipt.state)]
    same = Message.provider_id.is_(None) | (Message.provider_id == receipt.provider_id)
    moved = db.session.execute(
        update(Message)
        .where(Message.id == message_id, Message.channel == MessageChannel.SMS, Message.state.in_(earlier), same)
        .values(state=receipt.state, reason=None, claimed_at=None, ended_at=now, provider_id=receipt.provider_id)
        .returning(Message.id),
        execution_options={"synchronize_session": False},
    ).first()
    if moved is None:
        return
    message = db.session.get_one(Message, message_id, populate_existing=True)
    if receipt.state == MessageState.FAILED:
        give_up(message, receipt.reason or "failed", now)
    else:
        message.to_call_at = message.called_at  # it arrived after all
        db.session.flush()


def decide_undecided(settings: Settings, clock: Callable[[], datetime]) -> None:
    """Looks up at Twilio what became of text messages whose worker died, or whose answer never came. Commits each.

    One that is there was sent. One that is not, ten minutes later, was never taken: it goes out again. One of which
    nobody can tell is never sent again: the citizen is called. Raises Away.
    """
    ids = undecided_ids(clock(), BATCH)
    db.session.rollback()
    for id in ids:
        begin_write()
        if not claim_undecided(id, clock()):
            db.session.rollback()
            continue
        db.session.commit()
        _decide(settings, id, clock)


def _decide(settings: Settings, id: int, clock: Callable[[], datetime]) -> None:
    to, text, known = _traces(db.session.get_one(Message, id))
    db.session.rollback()
    found, reason = None, None
    try:
        if settings.twilio is not None:  # where texts are files, writing one again is harmless
            found = TextService(settings.twilio).found(to, text, known)
    except BrokeOff as error:
        reason = str(error)
    except Away as error:
        _ask_later(id, str(error), clock())
        raise
    begin_write()
    _record(id, found, reason, clock())
    db.session.commit()


def _ask_later(id: int, reason: str, now: datetime) -> None:
    """Twilio cannot be asked: after a pause, unless it is of no use any more."""
    begin_write()
    if now >= db.session.get_one(Message, id).expires_at:
        _record(id, None, reason, now)
    db.session.commit()


def _traces(message: Message) -> tuple[str, str, set[str]]:
    """To whom, which words, and the ids at Twilio that other messages about the same appointment have."""
    appointment = db.session.get_one(Appointment, message.subject_id)
    text = (message.content or b"").decode()
    others = select(Message.provider_id).where(
        Message.provider_id.is_not(None), Message.subject_id == message.subject_id, Message.id != message.id
    )
    return recipient(appointment, message.channel) or "", text, {str(id) for id in db.session.scalars(others)}


def _record(id: int, found: Receipt | None, reason: str | None, now: datetime) -> None:
    """Found: as the receipt says. Not found: again, while it is of use. `reason`: why nobody can tell."""
    message = db.session.get_one(Message, id)
    if message.state != MessageState.SENDING:
        return  # its receipt came meanwhile
    if found is not None:
        receive(id, found, now)
    elif reason is not None:
        give_up(message, f"undecided: {reason}", now)
    else:
        put_off(message, "not taken at the first try", now)
