"""The call list: citizens whom no message reached, and whom somebody must call before their appointment."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, and_, func, select
from sqlalchemy.orm import contains_eager, joinedload

from booking.appointments.models import Appointment, AppointmentService
from booking.db import db
from booking.outbox.models import Message
from booking.staff.audit import Actor, record
from booking.townhall.models import Counter


@dataclass(frozen=True)
class Call:
    """An appointment of which the citizen must be told, and the message that did not reach them last."""

    appointment: Appointment
    message: Message


def calls(desk_ids: Iterable[int], now: datetime) -> Sequence[Call]:
    """Whom to call at these desks, the next appointment first; each appointment once."""
    query = (
        select(Appointment, Message)
        .join(Message, _is_open(now))
        .join(Appointment.counter)
        .where(Counter.desk_id.in_(list(desk_ids)))
        .options(
            contains_eager(Appointment.counter),
            joinedload(Appointment.booking),
            joinedload(Appointment.items).joinedload(AppointmentService.service),
        )
    )
    found = db.session.execute(query.order_by(Appointment.starts_at, Appointment.id, Message.id)).unique()
    return list({appointment.id: Call(appointment, message) for appointment, message in found}.values())


def count_of_calls(desk_ids: Iterable[int], now: datetime) -> int:
    """How many are to be called at these desks."""
    query = select(func.count(Appointment.id.distinct())).join(Message, _is_open(now)).join(Appointment.counter)
    return db.session.scalar(query.where(Counter.desk_id.in_(list(desk_ids)))) or 0


def called(appointment: Appointment, actor: Actor, now: datetime) -> None:
    """Takes the appointment off the list: somebody has called, or tried to. Flushes."""
    mine = select(Message).where(Message.subject_kind == "appointment", Message.subject_id == appointment.id)
    for message in db.session.scalars(mine.where(Message.to_call_at.is_not(None), Message.called_at.is_(None))):
        message.called_at = now
    db.session.flush()
    record(actor, "call_about", ("appointment", appointment.id), now)


def _is_open(now: datetime) -> ColumnElement[bool]:
    """What is to be called about: a message about the appointment as it stands now, which has not begun."""
    return and_(
        Message.subject_kind == "appointment",
        Message.subject_id == Appointment.id,
        Message.sequence == Appointment.sequence,
        Message.to_call_at.is_not(None),
        Message.called_at.is_(None),
        Appointment.starts_at > now,
    )
