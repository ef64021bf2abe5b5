"""The tables of the town hall: who serves, where, what and when."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, LargeBinary, Numeric, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from booking.db import Base, key

MINUTES_A_DAY = 24 * 60


def spoken(texts: dict[str, str], language: str, fallback: str) -> str:
    """The text in `language`, else in the municipality's own language, else in any."""
    return texts.get(language) or texts.get(fallback) or next(iter(texts.values()), "")


class Municipality(Base):
    """One town with its languages, zone and rules; everything else reaches one."""

    __tablename__ = "municipality"
    __table_args__ = (
        CheckConstraint("hold_minutes BETWEEN 5 AND 60", name="hold_minutes"),
        CheckConstraint("retention_days BETWEEN 0 AND 365", name="retention_days"),
        CheckConstraint("freed_minutes BETWEEN 0 AND 240", name="freed_minutes"),
        CheckConstraint("holds_per_browser >= 1", name="holds_per_browser"),
        CheckConstraint("holds_per_address >= 1", name="holds_per_address"),
        CheckConstraint("held_percent BETWEEN 1 AND 100", name="held_percent"),
        CheckConstraint("open_per_contact >= 1", name="open_per_contact"),
        CheckConstraint("made_per_contact >= 1", name="made_per_contact"),
        CheckConstraint("wait_minutes BETWEEN 0 AND 240", name="wait_minutes"),
        CheckConstraint(f"quiet_from BETWEEN 0 AND {MINUTES_A_DAY}", name="quiet_from"),
        CheckConstraint(f"quiet_until BETWEEN 0 AND {MINUTES_A_DAY}", name="quiet_until"),
        CheckConstraint("speaks IN ('citizen', 'authoritative')", name="speaks"),
        CheckConstraint("longest_wait_minutes BETWEEN 0 AND 240", name="longest_wait_minutes"),
        CheckConstraint("extra_minutes BETWEEN 0 AND 120 AND extra_minutes % 5 = 0", name="extra_minutes"),
    )

    id: Mapped[int] = key()
    slug: Mapped[str] = mapped_column(String(40), unique=True)
    names: Mapped[dict[str, str]]
    zone: Mapped[str] = mapped_column(String(64))
    country: Mapped[str] = mapped_column(String(2), default="BE")  # how a phone number without a prefix is read
    languages: Mapped[list[str]]
    language: Mapped[str] = mapped_column(String(2))  # the authoritative one
    phone: Mapped[str] = mapped_column(String(40))
    email: Mapped[str] = mapped_column(String(254))
    hold_minutes: Mapped[int] = mapped_column(default=20)
    retention_days: Mapped[int] = mapped_column(default=7)  # after the last appointment of a booking
    # [{"occasion": "day-before", "days": 1, "at": "18:00", "channels": ["email"]}, {"occasion": …, "hours": 2, …}]
    reminders: Mapped[list[dict[str, Any]]]
    revision: Mapped[int] = mapped_column(default=1)  # rises with all of the above and below that is not an offer
    freed_minutes: Mapped[int] = mapped_column(default=30)  # a freed slot comes back within so many, at random
    holds_per_browser: Mapped[int] = mapped_column(default=3)  # living ones, as the next three
    holds_per_address: Mapped[int] = mapped_column(default=60)  # an IPv6 /64 is one address
    held_percent: Mapped[int] = mapped_column(default=50)  # of an office's local day, of all citizens together
    open_per_contact: Mapped[int] = mapped_column(default=5)  # appointments still to come
    made_per_contact: Mapped[int] = mapped_column(default=10)  # bookings made within a day, cancelled ones too
    wait_minutes: Mapped[int] = mapped_column(default=10)  # messages of an administrator's change wait so long
    quiet_from: Mapped[int] = mapped_column(default=20 * 60 + 30)  # from here, in minutes after midnight, to here no
    quiet_until: Mapped[int] = mapped_column(default=8 * 60)  # reminder goes out; the same twice: there are none
    speaks: Mapped[str] = mapped_column(String(20), default="citizen")  # whose language messages are in
    longest_wait_minutes: Mapped[int] = mapped_column(default=45)  # between two desks of one visit, the way aside
    extra_minutes: Mapped[int] = mapped_column(default=10)  # for who needs more time, or brings an interpreter
    asks_proof: Mapped[bool] = mapped_column(default=False)  # of work, done by browsers while the form is filled in
    accent: Mapped[str | None] = mapped_column(String(7))  # "#12594d"; None: the look of its file, or ours

    offices: Mapped[list[Office]] = relationship(back_populates="municipality", order_by="Office.position")
    logo: Mapped[Logo | None] = relationship()

    def name(self, language: str) -> str:
        return spoken(self.names, language, self.language)


class Logo(Base):
    """The picture on top of a municipality's pages, as a PNG. It is kept when it is taken off."""

    __tablename__ = "logo"

    municipality_id: Mapped[int] = mapped_column(ForeignKey("municipality.id"), primary_key=True, autoincrement=False)
    fingerprint: Mapped[str] = mapped_column(String(32))
    width: Mapped[int]
    height: Mapped[int]
    texts: Mapped[dict[str, str]]  # what it shows, in words
    is_shown: Mapped[bool] = mapped_column(default=True)
    content: Mapped[bytes] = mapped_column(LargeBinary, deferred=True)
    former: Mapped[bytes | None] = mapped_column(LargeBinary, deferred=True)  # the picture before it


class Office(Base):
    """A building with an address. `revision` counts what it offers, `activity` all that agendas and feeds show."""

    __tablename__ = "office"
    __table_args__ = (CheckConstraint("walk_minutes BETWEEN 0 AND 60", name="walk_minutes"),)

    id: Mapped[int] = key()
    municipality_id: Mapped[int] = mapped_column(ForeignKey("municipality.id"), index=True)
    position: Mapped[int]
    names: Mapped[dict[str, str]]
    address: Mapped[str] = mapped_column(String(200))
    directions: Mapped[dict[str, str]]
    access: Mapped[list[str]] = mapped_column(default=list)  # what helps people get in: step_free, lift, …
    phone: Mapped[str | None] = mapped_column(String(20))  # E.164; None where it is the municipality's
    email: Mapped[str | None] = mapped_column(String(254))
    day_list_email: Mapped[str | None] = mapped_column(String(254))  # where the list of the day goes at six
    revision: Mapped[int] = mapped_column(default=1)
    activity: Mapped[int] = mapped_column(default=1)
    activity_at: Mapped[datetime]  # when `activity` last rose; never goes back
    walk_minutes: Mapped[int] = mapped_column(default=5)  # from one desk to another

    municipality: Mapped[Municipality] = relationship(back_populates="offices")
    desks: Mapped[list[Desk]] = relationship(back_populates="office", order_by="Desk.position")

    def name(self, language: str) -> str:
        return self.names.get(language) or spoken(self.names, language, self.municipality.language)


class Way(Base):
    """How long it takes from one office to another, either way. Offices without one are never combined in a visit."""

    __tablename__ = "way"
    __table_args__ = (
        CheckConstraint("one_id < other_id", name="one_before_other"),
        CheckConstraint("minutes BETWEEN 0 AND 120", name="minutes"),
    )

    one_id: Mapped[int] = mapped_column(ForeignKey("office.id", ondelete="CASCADE"), primary_key=True)
    other_id: Mapped[int] = mapped_column(ForeignKey("office.id", ondelete="CASCADE"), primary_key=True)
    minutes: Mapped[int]


class Change(Base):
    """A stretch of one counter's ticks that changed with this revision of its office: it is read again.

    A revision without such a line changed anything: then the whole office is read again.
    """

    __tablename__ = "change"
    __table_args__ = (
        CheckConstraint("first_tick < end_tick", name="first_before_end"),
        Index("ix_change_office_id_revision", "office_id", "revision"),
    )

    id: Mapped[int] = key()
    office_id: Mapped[int] = mapped_column(ForeignKey("office.id", ondelete="CASCADE"))
    revision: Mapped[int]
    counter_id: Mapped[int] = mapped_column(ForeignKey("counter.id", ondelete="CASCADE"))
    first_tick: Mapped[int]
    end_tick: Mapped[int]  # the tick after the last
    at: Mapped[datetime]  # until they are swept


class Desk(Base):
    """A department's front in an office. `key` is what the catalogue calls it: civil, building, economy."""

    __tablename__ = "desk"
    __table_args__ = (
        UniqueConstraint("office_id", "key"),
        CheckConstraint("step_minutes IN (5, 10, 15, 20, 30, 60)", name="step_minutes"),
        CheckConstraint("buffer_minutes >= 0 AND buffer_minutes % 5 = 0", name="buffer_minutes"),
        CheckConstraint("grace_minutes BETWEEN 0 AND 120", name="grace_minutes"),
        CheckConstraint("crowd_size BETWEEN 0 AND 10000", name="crowd_size"),
    )

    id: Mapped[int] = key()
    office_id: Mapped[int] = mapped_column(ForeignKey("office.id"))
    key: Mapped[str] = mapped_column(String(40))
    position: Mapped[int]
    names: Mapped[dict[str, str]]
    email: Mapped[str] = mapped_column(String(254))  # answers to messages go here
    step_minutes: Mapped[int] = mapped_column(default=5)  # appointments start on this grid of the wall clock
    buffer_minutes: Mapped[int] = mapped_column(default=0)  # kept free after each appointment
    grace_minutes: Mapped[int] = mapped_column(default=10)  # after so many an expected visitor is late
    # {"9": 30}: of ten who are called between nine and ten o'clock, three are walk-ins, as long as some wait
    walk_in_percents: Mapped[dict[str, Any]] = mapped_column(default=dict)
    # when citizens may book which part: [{"percent": 60, "days": 28, "at": 480}]; none: all of it at once
    releases: Mapped[list[dict[str, Any]]] = mapped_column(default=list)
    crowd_size: Mapped[int] = mapped_column(default=0)  # so many citizens choose a time at once; 0: as many as come

    office: Mapped[Office] = relationship(back_populates="desks")
    counters: Mapped[list[Counter]] = relationship(back_populates="desk", order_by="Counter.number")

    def name(self, language: str) -> str:
        return self.names.get(language) or spoken(self.names, language, self.office.municipality.language)


class Counter(Base):
    """One numbered place at a desk that serves one visit at a time: the bookable unit."""

    __tablename__ = "counter"
    __table_args__ = (
        UniqueConstraint("desk_id", "number"),
        CheckConstraint("late_minutes BETWEEN 0 AND 240", name="late_minutes"),
    )

    id: Mapped[int] = key()
    desk_id: Mapped[int] = mapped_column(ForeignKey("desk.id"))
    number: Mapped[int]
    late_minutes: Mapped[int] = mapped_column(default=0)  # how late it runs
    late_on: Mapped[date | None]  # on this local day

    desk: Mapped[Desk] = relationship(back_populates="counters")

    def late_by(self, day: date) -> int:
        """How many minutes the counter runs late on this local day."""
        return self.late_minutes if self.late_on == day else 0


class Service(Base):
    """What the citizen comes for. Lengths in minutes, multiples of five."""

    __tablename__ = "service"
    __table_args__ = (
        UniqueConstraint("municipality_id", "key"),
        CheckConstraint("minutes BETWEEN 5 AND 480 AND minutes % 5 = 0", name="minutes"),
        CheckConstraint("extra_person_minutes >= 0 AND extra_person_minutes % 5 = 0", name="extra_person_minutes"),
        CheckConstraint("max_people BETWEEN 1 AND 20", name="max_people"),
        CheckConstraint("in_person IN ('yes', 'no')", name="in_person"),
        CheckConstraint("walk_in IN ('yes', 'sometimes', 'no')", name="walk_in"),
        CheckConstraint("online IN ('yes', 'partly', 'no')", name="online"),
        CheckConstraint("min_notice_hours >= 0", name="min_notice_hours"),
        CheckConstraint("max_days_ahead BETWEEN 1 AND 400", name="max_days_ahead"),
        CheckConstraint("move_hours BETWEEN 0 AND 1000", name="move_hours"),
        CheckConstraint("cancel_hours BETWEEN 0 AND 1000", name="cancel_hours"),
    )

    id: Mapped[int] = key()
    municipality_id: Mapped[int] = mapped_column(ForeignKey("municipality.id"))
    key: Mapped[str] = mapped_column(String(60))
    desk_key: Mapped[str] = mapped_column(String(40))
    minutes: Mapped[int]
    extra_person_minutes: Mapped[int]
    max_people: Mapped[int]
    in_person: Mapped[str] = mapped_column(String(10))
    walk_in: Mapped[str] = mapped_column(String(10))
    online: Mapped[str] = mapped_column(String(10))
    is_sensitive: Mapped[bool]  # never named in text messages, subject lines and calendars
    fee: Mapped[Decimal | None] = mapped_column(Numeric(8, 2))  # euros; None where the council sets it
    min_notice_hours: Mapped[int]
    max_days_ahead: Mapped[int]
    reminders: Mapped[list[dict[str, Any]] | None]  # of its own; None: those of the municipality
    # Services with the same word can be dealt with in one appointment, one after the other at one counter.
    combines: Mapped[str | None] = mapped_column(String(40))
    # Keys of services and desks that come first in a visit of several.
    comes_after: Mapped[list[str]] = mapped_column(default=list, server_default="[]")
    move_hours: Mapped[int] = mapped_column(default=0)  # before its begin a citizen can move it no more,
    cancel_hours: Mapped[int] = mapped_column(default=0)  # and cancel it no more; staff can

    online_url: Mapped[str | None] = mapped_column(String(300))  # where it can be done without coming

    texts: Mapped[list[ServiceText]] = relationship(
        back_populates="service", cascade="all, delete-orphan", lazy="selectin"
    )

    def text(self, language: str) -> ServiceText:
        """The texts in `language`, else the first there is."""
        return next((text for text in self.texts if text.language == language), self.texts[0])

    def length(self, people: int) -> int:
        """Minutes that one visit of so many people takes."""
        return self.minutes + self.extra_person_minutes * (people - 1)

    def combines_with(self, other: Service) -> bool:
        """Whether one appointment can be for both."""
        return self.id != other.id and self.combines is not None and self.combines == other.combines

    def must_follow(self, other: Service) -> bool:
        """Whether in one visit the other one comes first."""
        return other.key in self.comes_after or (other.desk_key in self.comes_after and other.desk_key != self.desk_key)


class ServiceText(Base):
    """What citizens read about a service in one language."""

    __tablename__ = "service_text"

    service_id: Mapped[int] = mapped_column(ForeignKey("service.id", ondelete="CASCADE"), primary_key=True)
    language: Mapped[str] = mapped_column(String(2), primary_key=True)
    name: Mapped[str] = mapped_column(String(160))
    summary: Mapped[str]
    who: Mapped[str]
    bring: Mapped[list[str]]
    words: Mapped[list[str]]  # what people type when they look for it
    questions: Mapped[str] = mapped_column(default="", server_default="")  # see questions.py

    service: Mapped[Service] = relationship(back_populates="texts")


class OnlineVisit(Base):
    """How many followed the link to do a service online on a day."""

    __tablename__ = "online_visit"

    service_id: Mapped[int] = mapped_column(ForeignKey("service.id", ondelete="CASCADE"), primary_key=True)
    followed_on: Mapped[date] = mapped_column(primary_key=True)
    count: Mapped[int] = mapped_column(default=0)


class CounterService(Base):
    """Who does what: this counter serves this service."""

    __tablename__ = "counter_service"

    counter_id: Mapped[int] = mapped_column(ForeignKey("counter.id", ondelete="CASCADE"), primary_key=True)
    service_id: Mapped[int] = mapped_column(ForeignKey("service.id", ondelete="CASCADE"), primary_key=True, index=True)


class OpeningHours(Base):
    """A weekly rule of one counter in wall-clock minutes after midnight (so that 24:00 can be said)."""

    __tablename__ = "opening_hours"
    __table_args__ = (
        CheckConstraint("weekday BETWEEN 0 AND 6", name="weekday"),
        CheckConstraint(f"opens >= 0 AND opens < closes AND closes <= {MINUTES_A_DAY}", name="opens_before_closes"),
        CheckConstraint("opens % 5 = 0 AND closes % 5 = 0", name="whole_ticks"),
        CheckConstraint("until_on IS NULL OR from_on <= until_on", name="from_before_until"),
        CheckConstraint("every_weeks BETWEEN 1 AND 8", name="every_weeks"),
    )

    id: Mapped[int] = key()
    counter_id: Mapped[int] = mapped_column(ForeignKey("counter.id", ondelete="CASCADE"), index=True)
    weekday: Mapped[int]  # 0 is Monday
    opens: Mapped[int]
    closes: Mapped[int]
    from_on: Mapped[date]
    until_on: Mapped[date | None]  # the last day it holds
    every_weeks: Mapped[int] = mapped_column(default=1)  # 2: every other week, counted from that of `from_on`


class Closure(Base):
    """A stretch in which an office, or one counter of it, does not serve."""

    __tablename__ = "closure"
    __table_args__ = (CheckConstraint("starts_at < ends_at", name="starts_before_ends"),)

    id: Mapped[int] = key()
    office_id: Mapped[int] = mapped_column(ForeignKey("office.id"), index=True)
    counter_id: Mapped[int | None] = mapped_column(ForeignKey("counter.id", ondelete="CASCADE"))
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    reasons: Mapped[dict[str, str]]
