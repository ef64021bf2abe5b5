"""Links with which staff choose a password: of an invitation, or because the old one is gone.

They are derived, good once and for a time. A new link, a change of the address and shutting the account void them.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import select

from booking import links
from booking.db import db
from booking.outbox.models import Kind, Message, MessageChannel, MessageState
from booking.outbox.queue import Notice, queue_for_staff
from booking.staff.accounts import NOT_CHOSEN
from booking.staff.models import Staff

INVITED_FOR = timedelta(days=7)
ASKED_FOR = timedelta(hours=1)


class Ended(Exception):
    """The link was genuine, and is over: used, replaced, or too old."""


def link_of(keys: links.Keys, staff: Staff, kind: Kind) -> str:
    """The secret part of the address. For a forgotten password it is another one each time it is asked for."""
    if kind == Kind.FORGOTTEN:
        return links.token(keys, "password", staff.id, _asked(staff))
    return links.token(keys, "join", staff.id, staff.generation)


def open_until(staff: Staff, kind: Kind) -> datetime | None:
    """Until when the account's link of this kind works; None if it has none."""
    if kind == Kind.FORGOTTEN:
        return staff.asked_at and staff.asked_at + ASKED_FOR
    return staff.invited_at and staff.invited_at + INVITED_FOR


def whose(keys: links.Keys, municipality_id: int, token: str, now: datetime) -> Staff | None:
    """The account of a link; None if we never gave it out here. Raises Ended."""
    kind = Kind.FORGOTTEN if links.claim(keys, "password", token) else Kind.INVITATION
    claim = links.claim(keys, "password" if kind == Kind.FORGOTTEN else "join", token)
    row = db.session.get(Staff, claim.id) if claim else None
    if claim is None or row is None or row.municipality_id != municipality_id or not row.is_active:
        return None
    until = open_until(row, kind)
    is_current = claim.generation == (_asked(row) if kind == Kind.FORGOTTEN else row.generation)
    if not is_current or until is None or now > until:
        raise Ended
    return row


def send_invitation(staff: Staff, now: datetime) -> None:
    """Sends the link of the invitation to its owner, unless a letter with it waits already. Flushes."""
    _send(staff, Kind.INVITATION, now)


def without_letter(municipality_id: int, now: datetime) -> Sequence[Staff]:
    """Whose invitation still works and has never been sent."""
    letter = select(Message.id).where(
        Message.subject_kind == "staff",
        Message.subject_id == Staff.id,
        Message.kind == Kind.INVITATION,
        Message.sequence == Staff.generation,
    )
    query = select(Staff).where(Staff.municipality_id == municipality_id, Staff.is_active, ~letter.exists())
    return db.session.scalars(query.where(Staff.invited_at > now - INVITED_FOR).order_by(Staff.name)).all()


def ask_for_password(municipality_id: int, email: str, now: datetime) -> None:
    """Sends a link to choose a new password to the account of this address, or the invitation that it still has.

    Nothing happens, and nobody is told so, where there is no such account. Flushes.
    """
    found = select(Staff).where(Staff.municipality_id == municipality_id, Staff.email == email.strip().lower())
    staff = db.session.scalar(found.where(Staff.is_active))
    if staff is None:
        return
    if staff.password_hash != NOT_CHOSEN:
        staff.asked_at = now
        _send(staff, Kind.FORGOTTEN, now)
    elif (open_until(staff, Kind.INVITATION) or now) > now:
        _send(staff, Kind.INVITATION, now)


def void_links(staff: Staff) -> None:
    """Ends the links that went to another address, as when the address was mistyped. Flushes."""
    staff.asked_at = None
    if staff.invited_at is not None:
        staff.generation += 1
    db.session.flush()


def letter_about(staff: Staff) -> Message | None:
    """The last letter with the account's present invitation, to say what became of it."""
    mine = (Message.subject_kind == "staff", Message.subject_id == staff.id, Message.kind == Kind.INVITATION)
    query = select(Message).where(*mine, Message.sequence == staff.generation).order_by(Message.id.desc())
    return db.session.scalars(query.limit(1)).first()


def _send(staff: Staff, kind: Kind, now: datetime) -> None:
    until = open_until(staff, kind)
    last = letter_about(staff) if kind == Kind.INVITATION else None
    if until is None or (last and last.state in (MessageState.QUEUED, MessageState.SENDING)):
        return
    notice = Notice(kind, f"{now:%Y%m%dT%H%M%S}", MessageChannel.EMAIL, now, until)
    queue_for_staff(staff.municipality_id, (staff.id, staff.generation), notice, now)


def _asked(staff: Staff) -> int:
    return int(staff.asked_at.timestamp()) if staff.asked_at else 0
