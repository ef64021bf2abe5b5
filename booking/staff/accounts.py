"""Accounts of staff: signing in, roles, and slowing down those who guess."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import delete, func, select

from booking.db import db
from booking.staff.models import Attempt, Role, Staff, StaffRole

WINDOW = timedelta(minutes=15)
TRIES_PER_ACCOUNT = 5
TRIES_PER_ADDRESS = 50

_hasher = PasswordHasher()
_NOBODY = _hasher.hash("nobody has this password")


class Throttled(Exception):
    """Too many failed tries; `until` says when the next one is looked at."""

    def __init__(self, until: datetime) -> None:
        super().__init__(f"Too many tries; the next one counts from {until:%H:%M} UTC.")
        self.until = until


def hashed(password: str) -> str:
    return _hasher.hash(password)


def signed_in(municipality_id: int, email: str, password: str) -> Staff | None:
    """The active account with this e-mail address and password, or None. Takes as long for unknown addresses."""
    staff = db.session.scalar(
        select(Staff).where(Staff.municipality_id == municipality_id, Staff.email == email.strip().lower())
    )
    known = staff.password_hash if staff else _NOBODY
    try:
        _hasher.verify(known, password)
    except (VerificationError, InvalidHashError):
        return None
    return staff if staff and staff.is_active else None


def check_tries(limits: dict[str, int], now: datetime) -> None:
    """Raises Throttled when one of the subjects (pseudonym → limit) has failed too often within the window."""
    for subject, limit in limits.items():
        recent = select(func.count(), func.min(Attempt.at)).where(Attempt.subject == subject, Attempt.at > now - WINDOW)
        count, oldest = db.session.execute(recent).one()
        if count >= limit:
            raise Throttled(oldest + WINDOW)


def record_failure(subjects: Iterable[str], now: datetime) -> None:
    """Counts one failed try for each subject, and forgets those that no longer count. Flushes."""
    db.session.execute(delete(Attempt).where(Attempt.at <= now - WINDOW))
    db.session.add_all(Attempt(subject=subject, at=now) for subject in subjects)
    db.session.flush()


def may(staff: Staff, role: Role, desk_id: int | None) -> bool:
    """Whether the member of staff has at least this role at the desk (None: at all desks)."""
    return any(
        held.role.rank >= role.rank and (held.desk_id is None or held.desk_id == desk_id) for held in staff.roles
    )


def add(municipality_id: int, email: str, name: str, language: str, password: str) -> Staff:
    """Adds an account without a role. Flushes."""
    staff = Staff(
        municipality_id=municipality_id,
        email=email.strip().lower(),
        name=name,
        language=language,
        password_hash=hashed(password),
    )
    db.session.add(staff)
    db.session.flush()
    return staff


def grant(staff: Staff, role: Role, desk_id: int | None = None) -> None:
    """Gives the role at one desk, or at all. Flushes."""
    staff.roles.append(StaffRole(role=role, desk_id=desk_id))
    db.session.flush()
