"""The crowd that a release of times may draw: a desk lets in so many people at once, in the order in which they came.

A place in the line is a row without a person. Whether it is let in is not stored and nobody calls anybody: it follows
from how many are before it, counted with those who fill in their form. Whoever has gone stops counting by the clock.
So the number before a place only falls, and what memory says of a moment ago lets nobody in too early.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from math import ceil
from weakref import WeakKeyDictionary

from sqlalchemy import Engine, Row, and_, bindparam, case, func, or_, select, update

from booking.appointments.holds import LONGEST
from booking.appointments.limits import take_subjects
from booking.appointments.models import CrowdPlace, Hold
from booking.db import UtcDateTime, db, insert_row, read_once, run, table
from booking.townhall.models import Counter, Desk

CHOOSING = timedelta(minutes=10)  # who was let in counts for so long after looking last; who is slower may still choose
AWAY = timedelta(minutes=5)  # who waits may be away for the wait that is expected, and so much longer
KEEP = timedelta(hours=6)
FRESH = timedelta(seconds=1)  # for so long memory holds, and for as long again with each so many in the line,
LONG_LINE = 2_000  # because reading 18,000 takes 150 ms, which others would feel once a second
MEASURED = timedelta(minutes=10)  # the rate of letting in is that of the last ten minutes
FEWEST = 3  # let in, before a rate is said


class TooManyPlaces(Exception):
    """As many people as one network address may have wait in the line already."""


@dataclass(frozen=True)
class Turn:
    """Where a place stands: its number in the line (1 is next, 0 is let in), and until when it is kept."""

    place_id: int
    number: int
    minutes: int | None  # until it is let in; None where nothing can be said yet
    kept_until: datetime
    wants_until: datetime  # for how long it is kept from now on
    is_noted: bool  # that it was let in

    @property
    def lasts_until(self) -> datetime:
        """Until when it is kept once this look is written down."""
        return self.wants_until if self.is_worth_noting else self.kept_until

    @property
    def is_worth_noting(self) -> bool:
        """Whether looking now keeps the place for clearly longer than is written down, or lets it in."""
        is_news = self.number == 0 and not self.is_noted
        return is_news or self.wants_until - self.kept_until > AWAY / 4


@dataclass(frozen=True)
class Crowd:
    """Those at the times of one desk, as they were at `read_at`: so many fill in their form, and the places by id.

    Of a crowd that is locked only as many places as are let in, and that of who asks: its number says only whether it
    waits.
    """

    size: int
    read_at: datetime
    holding: int
    places: Mapping[int, Row[tuple[object, ...]]]
    of_address: int = 0  # places that count and belong to the network address of who asks, where it is locked

    @cached_property
    def _living(self) -> Sequence[int]:
        """The ids of the places that count, in the order in which they came."""
        return [id for id, one in self.places.items() if one.left_at is None and one.kept_until > self.read_at]

    def is_fresh(self, desk: Desk, now: datetime) -> bool:
        """Whether it may still be told of the desk."""
        lasts = FRESH * (1 + len(self.places) // LONG_LINE)
        return self.size == desk.crowd_size and self.read_at <= now < self.read_at + lasts

    @property
    def is_open(self) -> bool:
        """Whether somebody who comes now need not wait."""
        return len(self._living) + self.holding < self.size

    @cached_property
    def waiting(self) -> int:
        """How many people wait."""
        return sum(self.places[id].let_in_at is None for id in self._living[max(self.size - self.holding, 0) :])

    def turn(self, place_id: int) -> Turn | None:
        """Where the place stands; None for one that was used, or that nobody looked after."""
        place = self.places.get(place_id)
        is_noted = place is not None and place.let_in_at is not None
        if place is None or place.left_at is not None or not (is_noted or place.kept_until > self.read_at):
            return None
        number = max(bisect_left(self._living, place_id) + self.holding - self.size + 1, 0)
        if number == 0 or is_noted:
            wants = self.read_at + CHOOSING
            return Turn(place_id, 0, 0, place.kept_until, wants, is_noted)
        minutes = self._minutes(number)
        wants = self.read_at + AWAY + timedelta(minutes=minutes or 0)
        return Turn(place_id, number, minutes, place.kept_until, max(wants, place.kept_until), is_noted=False)

    def _minutes(self, number: int) -> int | None:
        """How long it takes until the line has moved on by so many."""
        return None if self._pace is None else max(ceil(number * self._pace / timedelta(minutes=1)), 1)

    @cached_property
    def _pace(self) -> timedelta | None:
        """How long it took for each who was let in of late after waiting; None where too few were."""
        waited = [one for one in self.places.values() if one.let_in_at is not None and one.let_in_at > one.came_at]
        since = max(self.read_at - MEASURED, min((one.came_at for one in waited), default=self.read_at))
        count = sum(one.let_in_at >= since for one in waited)
        if count < FEWEST or self.read_at <= since:
            return None
        pace: timedelta = (self.read_at - since) / count
        return pace


_kept: WeakKeyDictionary[Engine, dict[int, Crowd]] = WeakKeyDictionary()


def crowd_of(desk: Desk, now: datetime, place_id: int = 0) -> Crowd:
    """Who is at the desk's times: from memory when that was read lately and can know the place."""
    kept = _kept.setdefault(db.engine, {})
    found = kept.get(desk.id)
    if found is None or not found.is_fresh(desk, now) or place_id > max(found.places, default=0):
        found = kept[desk.id] = _read(desk, now)
    return found


def locked_crowd(desk: Desk, place_id: int, address: str, now: datetime) -> Crowd:
    """The same as it is for sure: until this transaction ends, nobody else takes a place or a time at this desk."""
    take_subjects([f"crowd {desk.id}"])
    asked = {"place": place_id, "address": address, "most": desk.crowd_size + 1}
    rows = read_once(_LET_IN, desk=desk.id, since=now - KEEP, now=now, **asked)
    places = {row.id: row for row in sorted(rows, key=lambda row: row.id or 0) if row.id is not None}
    return Crowd(desk.crowd_size, now, rows[0].holding, places, rows[0].of_address)


def take_place(desk: Desk, crowd: Crowd, address: str, most: int, now: datetime) -> int:
    """A new place at the end of the line, in a crowd that is locked. Raises TooManyPlaces. Flushes."""
    if crowd.of_address >= most:
        raise TooManyPlaces
    place = CrowdPlace(desk_id=desk.id, address=address, came_at=now, kept_until=now + AWAY)
    insert_row(place)
    return place.id


def leave(place_ids: Iterable[int], now: datetime) -> None:
    """The places have done what they are for: their holder keeps a time."""
    for id in sorted(place_ids):
        run(_LEAVE, {"place": id, "now": now})


def note_look(turn: Turn, now: datetime) -> None:
    """Somebody looked after the place: it is kept for longer, and that it was let in is written down once."""
    values = {"place": turn.place_id, "until": turn.wants_until, "entered": now if turn.number == 0 else None}
    run(_LOOK, values)


def look_again_at(desk_ids: Iterable[int]) -> None:
    """Drops what memory knows of these desks' crowds, after a change of them was committed."""
    for id in desk_ids:
        _kept.setdefault(db.engine, {}).pop(id, None)


def has_chosen(browser: str, now: datetime) -> bool:
    """Whether the browser keeps a time, or lately did: who has chosen once does not stand in the line again for it."""
    return run(_CHOSEN, {"browser": browser, "since": now - LONGEST}).first() is not None


def forget_places(now: datetime) -> None:
    """Deletes the places that nobody can use any more."""
    run(_FORGET, {"since": now - KEEP})


def _read(desk: Desk, now: datetime) -> Crowd:
    rows = read_once(_CROWD, desk=desk.id, since=now - KEEP, now=now)
    holding = rows[0].holding if rows else 0
    return Crowd(desk.crowd_size, now, holding, {row.id: row for row in rows if row.id is not None})


_PLACE, _HOLD, _COUNTER, _DESK = table(CrowdPlace), table(Hold), table(Counter), table(Desk)
_NOW, _SINCE = bindparam("now", type_=UtcDateTime()), bindparam("since", type_=UtcDateTime())
_HOLDING = (
    select(func.count())
    .select_from(_HOLD.join(_COUNTER, _COUNTER.c.id == _HOLD.c.counter_id))
    .where(
        _COUNTER.c.desk_id == bindparam("desk"),
        _HOLD.c.browser.is_not(None),
        _HOLD.c.booking_id.is_(None),
        _HOLD.c.expires_at > _NOW,
    )
    .scalar_subquery()
)
_COLUMNS = (_PLACE.c.id, _PLACE.c.came_at, _PLACE.c.kept_until, _PLACE.c.let_in_at, _PLACE.c.left_at)
_OURS = and_(_PLACE.c.desk_id == _DESK.c.id, _PLACE.c.came_at > _SINCE)
_CROWD = (
    select(_HOLDING.label("holding"), *_COLUMNS)
    .select_from(_DESK.outerjoin(_PLACE, _OURS))
    .where(_DESK.c.id == bindparam("desk"))
    .order_by(_PLACE.c.id)
)
_COUNTS = and_(_PLACE.c.desk_id == bindparam("desk"), _PLACE.c.left_at.is_(None), _PLACE.c.kept_until > _NOW)
_OF_ADDRESS = select(func.count()).where(_COUNTS, _PLACE.c.address == bindparam("address")).scalar_subquery()
_IS_MINE = _PLACE.c.id == bindparam("place")
_LET_IN = (
    select(_HOLDING.label("holding"), _OF_ADDRESS.label("of_address"), *_COLUMNS)
    .select_from(_DESK.outerjoin(_PLACE, and_(_OURS, or_(_COUNTS, _IS_MINE))))
    .where(_DESK.c.id == bindparam("desk"))
    .order_by(case((_IS_MINE, 0), else_=1), _PLACE.c.id)
    .limit(bindparam("most"))
)
_THIS = update(_PLACE).where(_PLACE.c.id == bindparam("place"))
_LEAVE = _THIS.values(left_at=_NOW)
_LOOK = _THIS.where(_PLACE.c.left_at.is_(None)).values(
    kept_until=bindparam("until", type_=UtcDateTime()),
    let_in_at=func.coalesce(_PLACE.c.let_in_at, bindparam("entered", type_=UtcDateTime())),
)
_CHOSEN = select(_HOLD.c.id).where(
    _HOLD.c.browser == bindparam("browser"), _HOLD.c.booking_id.is_(None), _HOLD.c.made_at > _SINCE
)
_FORGET = _PLACE.delete().where(_PLACE.c.came_at <= _SINCE)
