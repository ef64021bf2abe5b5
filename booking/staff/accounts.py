"""Accounts of staff: signing in, roles, and slowing down those who guess."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address, ip_network

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import bindparam, delete, func, select, update
from sqlalchemy.orm import Session, joinedload

from booking.db import Base, begin_write, db, is_in_transaction, reader, run
from booking.staff.models import EVERYWHERE, Attempt, Place, Role, Staff, StaffRole

WINDOW = timedelta(minutes=15)
NOT_CHOSEN = "none yet"  # no hash, so that no password fits
LONGEST_WINDOW = timedelta(days=7)

_hasher = PasswordHasher()
_NOBODY = _hasher.hash("nobody has this password")


class Throttled(Exception):
    """Too many failed tries; `until` says when the next one is looked at."""

    def __init__(self, until: datetime) -> None:
        super().__init__(f"Too many tries; the next one counts from {until:%H:%M} UTC.")
        self.until = until


_ACCOUNT = select(Staff).where(Staff.id == bindparam("id")).options(joinedload(Staff.roles))


def account(id: int) -> Staff | None:
    """The account of this id with its roles, as every page of staff asks for it.

    Inside a transaction it is the session's. Before one it belongs to no session, and is there to be read.
    """
    if is_in_transaction():
        return db.session.get(Staff, id)
    with reader() as connection, Session(connection) as session:
        found = session.scalars(_ACCOUNT, {"id": id}).unique().one_or_none()
        session.expunge_all()
        return found


def hashed(password: str) -> str:
    return _hasher.hash(password)


def signed_in(municipality_id: int, email: str, password: str) -> Staff | None:
    """The active account with this e-mail address and password, or None. Takes as long for unknown addresses.

    Commits, so that nobody waits for SQLite's write lock while the password is looked at, which takes long; the
    account is then read again in a transaction that writes.
    """
    query = select(Staff).where(Staff.municipality_id == municipality_id, Staff.email == email.strip().lower())
    staff = db.session.scalar(query)
    known = _NOBODY if staff is None or staff.password_hash == NOT_CHOSEN else staff.password_hash
    db.session.commit()
    try:
        _hasher.verify(known, password)
    except (VerificationError, InvalidHashError):
        return None
    begin_write()
    staff = db.session.scalar(query)
    return staff if staff and staff.is_active and staff.password_hash == known else None


@dataclass(frozen=True)
class Limit:
    """How many tries a subject (a pseudonym of what is tried, or of where from) has within the window."""

    subject: str
    tries: int
    window: timedelta = WINDOW


def record_try(limits: Iterable[Limit], now: datetime) -> list[int]:
    """Writes a try down for each subject, before it is looked at; what comes back takes it back. Commits.

    Who tries many at once is counted all the same: each sees at least those that were written before it.
    """
    db.session.execute(delete(Attempt).where(Attempt.at <= now - LONGEST_WINDOW))
    tries = [Attempt(subject=limit.subject, at=now) for limit in limits]
    db.session.add_all(tries)
    db.session.flush()
    ids = [one.id for one in tries]
    db.session.commit()
    return ids


def check_tries(limits: Iterable[Limit], now: datetime) -> None:
    """Raises Throttled when one of the subjects has tried too often within its window, this try included."""
    for limit in limits:
        recent = select(func.count(), func.min(Attempt.at)).where(
            Attempt.subject == limit.subject, Attempt.at > now - limit.window
        )
        count, oldest = db.session.execute(recent).one()
        if count > limit.tries:
            raise Throttled(oldest + limit.window)


def begin_try(limits: Sequence[Limit], now: datetime) -> list[int]:
    """Begins the writing transaction in which a try is looked at; what comes back takes it back.

    Raises Throttled, with the try taken back, since nobody looks at it. Commits.
    """
    tries = record_try(limits, now)
    begin_write()
    try:
        check_tries(limits, now)
    except Throttled:
        forget_tries(tries)
        db.session.commit()
        raise
    return tries


def forget_tries(ids: Iterable[int]) -> None:
    """A try that succeeded does not count. Flushes."""
    db.session.execute(delete(Attempt).where(Attempt.id.in_(list(ids))))


def address_of(remote: str | None) -> str:
    """The part of an address that stands for one household: all of IPv4, the first 64 bits of IPv6."""
    try:
        parsed = ip_address(remote or "")
    except ValueError:
        return ""
    return str(parsed) if parsed.version == 4 else str(ip_network((parsed, 64), strict=False))


def holds(staff: Staff, role: Role, place: Place) -> bool:
    """Whether the member of staff has at least this role at the place; one of a desk is asked for with its office."""
    return any(
        held.role.rank >= role.rank
        and (held.office_id in (None, place.office_id) if held.desk_id is None else held.desk_id == place.desk_id)
        for held in staff.roles
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


def grant(staff: Staff, role: Role, place: Place = EVERYWHERE) -> None:
    """Gives the role at the place. Flushes."""
    staff.roles.append(StaffRole(role=role, desk_id=place.desk_id, office_id=place.office_id))
    db.session.flush()


def invite(municipality_id: int, email: str, name: str, language: str, now: datetime) -> Staff:
    """Adds an account whose owner has still to choose a password, by a link. Flushes."""
    staff = Staff(municipality_id=municipality_id, email=email.strip().lower(), name=name, language=language)
    staff.password_hash, staff.invited_at = NOT_CHOSEN, now
    db.session.add(staff)
    db.session.flush()
    return staff


def choose_password(staff: Staff, password_hash: str) -> None:
    """Sets the password; links and sessions from before are void, and so is a secret not in use yet. Flushes."""
    staff.password_hash, staff.invited_at, staff.asked_at = password_hash, None, None
    if not staff.has_totp:
        staff.totp_generation += 1
    staff.generation += 1
    db.session.flush()


def set_roles(staff: Staff, roles: Mapping[Place, Role]) -> None:
    """The roles of the account from now on, by the place where each holds. Flushes."""
    staff.roles.clear()
    db.session.flush()
    for place, role in roles.items():
        grant(staff, role, place)


def roles_held(staff: Staff) -> list[tuple[str, int | None, int | None]]:
    """Role, desk and office (neither: everywhere) of each role, as an audit line keeps them."""
    return [(held.role.value, held.desk_id, held.office_id) for held in staff.roles]


def is_last_administrator(staff: Staff) -> bool:
    """Whether nobody else could let people in again.

    Two administrators who send each other away at once wait here for each other, by the row of the municipality.
    """
    towns = Base.metadata.tables["municipality"]
    run(update(towns).where(towns.c.id == staff.municipality_id).values(revision=towns.c.revision))
    return administers_alone(staff)


def administers_alone(staff: Staff) -> bool:
    """The same as things stand now, for who only looks."""
    others = select(Staff.id).join(Staff.roles).where(Staff.municipality_id == staff.municipality_id)
    others = others.where(Staff.id != staff.id, Staff.is_active, StaffRole.role == Role.ADMINISTRATOR)
    is_one = any(held.role == Role.ADMINISTRATOR for held in staff.roles)
    return is_one and db.session.scalar(others.where(Staff.password_hash != NOT_CHOSEN).limit(1)) is None
