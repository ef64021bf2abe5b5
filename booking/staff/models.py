"""The tables of staff: accounts, roles, the town's own sign-in, tries that are throttled, and the audit log."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from booking.db import Base, choice, key


class Role(StrEnum):
    """What somebody may do; each includes the ones before it."""

    CLERK = "clerk"
    LEAD = "lead"
    MANAGER = "manager"
    ADMINISTRATOR = "administrator"

    @property
    def rank(self) -> int:
        return _RANKS[self]


_RANKS = {role: rank for rank, role in enumerate(Role)}  # asked hundreds of times a page


class Place(NamedTuple):
    """Where a role holds: at a desk, in an office with all its desks, or, with neither, in the whole municipality."""

    desk_id: int | None = None
    office_id: int | None = None


EVERYWHERE = Place()


class Staff(Base):
    """Somebody who signs in. Raising `generation` ends all sessions of the account."""

    __tablename__ = "staff"
    __table_args__ = (
        UniqueConstraint("municipality_id", "email"),
        CheckConstraint("email = lower(email)", name="email_lower"),
    )

    id: Mapped[int] = key()
    municipality_id: Mapped[int] = mapped_column(ForeignKey("municipality.id"))
    email: Mapped[str] = mapped_column(String(254))
    name: Mapped[str] = mapped_column(String(120))
    language: Mapped[str] = mapped_column(String(2))
    password_hash: Mapped[str] = mapped_column(String(200))
    is_active: Mapped[bool] = mapped_column(default=True)
    generation: Mapped[int] = mapped_column(default=1)
    invited_at: Mapped[datetime | None]  # since when a link waits with which a password is chosen
    asked_at: Mapped[datetime | None]  # since when a link waits because the password was forgotten
    has_totp: Mapped[bool] = mapped_column(default=False)  # the second factor is set up
    totp_generation: Mapped[int] = mapped_column(default=1)  # its secret is derived from this; another one voids it
    recovery_used: Mapped[int] = mapped_column(default=0)  # a bit for each recovery code that was used
    totp_step: Mapped[int | None]  # the step of the last digits that were taken: none is taken twice

    roles: Mapped[list[StaffRole]] = relationship(cascade="all, delete-orphan", lazy="selectin")


class StaffRole(Base):
    """A role at one desk, in one office with all its desks, or where neither is named in the whole municipality."""

    __tablename__ = "staff_role"
    __table_args__ = (
        UniqueConstraint("staff_id", "desk_id"),
        Index("ix_staff_role_staff_id_office_id", "staff_id", "office_id", unique=True),
        CheckConstraint("office_id IS NULL OR desk_id IS NULL", name="one_place"),
    )

    id: Mapped[int] = key()
    staff_id: Mapped[int] = mapped_column(ForeignKey("staff.id", ondelete="CASCADE"))
    desk_id: Mapped[int | None] = mapped_column(ForeignKey("desk.id", ondelete="CASCADE"))
    office_id: Mapped[int | None] = mapped_column(ForeignKey("office.id", ondelete="CASCADE"))
    role: Mapped[Role] = mapped_column(choice(Role, "role"))

    @property
    def place(self) -> Place:
        return Place(self.desk_id, self.office_id)


class SignInProvider(Base):
    """The OpenID Connect provider of a municipality, at which its staff may sign in."""

    __tablename__ = "sign_in_provider"

    municipality_id: Mapped[int] = mapped_column(ForeignKey("municipality.id"), primary_key=True, autoincrement=False)
    name: Mapped[str] = mapped_column(String(60))  # as staff call it
    issuer: Mapped[str] = mapped_column(String(300))
    client_id: Mapped[str] = mapped_column(String(200))
    secret: Mapped[str | None] = mapped_column(String(1000))  # sealed with a key outside the database
    has_second_factor: Mapped[bool] = mapped_column(default=False)  # it asks for one, so we do not
    allows_passwords: Mapped[bool] = mapped_column(default=True)


class Identity(Base):
    """Who a member of staff is at the provider: its subject never changes, their e-mail address may."""

    __tablename__ = "identity"
    __table_args__ = (UniqueConstraint("municipality_id", "issuer", "subject"),)

    staff_id: Mapped[int] = mapped_column(
        ForeignKey("staff.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    municipality_id: Mapped[int] = mapped_column(ForeignKey("municipality.id"))
    issuer: Mapped[str] = mapped_column(String(300))
    subject: Mapped[str] = mapped_column(String(255))


class DeviceKind(StrEnum):
    KIOSK = "kiosk"  # people check in, or take a number
    DISPLAY = "display"  # shows who is called to which counter


class Device(Base):
    """A kiosk or a screen of an office, signed in by a secret link. Raising `generation` signs it out."""

    __tablename__ = "device"

    id: Mapped[int] = key()
    office_id: Mapped[int] = mapped_column(ForeignKey("office.id", ondelete="CASCADE"), index=True)
    kind: Mapped[DeviceKind] = mapped_column(choice(DeviceKind, "kind"))
    name: Mapped[str] = mapped_column(String(80))  # where it stands
    generation: Mapped[int] = mapped_column(default=1)
    made_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]


class Attempt(Base):
    """One failed try of a sign-in or a reference with its code; counted to slow guessing down."""

    __tablename__ = "attempt"
    __table_args__ = (Index("ix_attempt_subject_at", "subject", "at"),)

    id: Mapped[int] = key()
    subject: Mapped[str] = mapped_column(String(32))  # a pseudonym of what was tried, or of where from
    at: Mapped[datetime]


class AuditLine(Base):
    """Who did what, when, from where. Ids, and what a thing of the town hall was before; names and contacts of people
    never stand here. Triggers refuse any change.
    """

    __tablename__ = "audit_line"
    __table_args__ = (Index("ix_audit_line_object", "object_kind", "object_id"),)

    id: Mapped[int] = key()
    municipality_id: Mapped[int] = mapped_column(ForeignKey("municipality.id"), index=True)
    at: Mapped[datetime]
    actor: Mapped[str] = mapped_column(String(20))  # citizen, staff, worker
    staff_id: Mapped[int | None] = mapped_column(ForeignKey("staff.id"))
    action: Mapped[str] = mapped_column(String(40))
    object_kind: Mapped[str] = mapped_column(String(40))
    object_id: Mapped[int]
    details: Mapped[dict[str, Any]]
    origin: Mapped[str | None] = mapped_column(String(45))  # the address from which a member of staff acted
